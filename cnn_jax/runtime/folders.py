"""Files and folders of this machine: where this user's lie, what can be read, what a failure must take away again."""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/cnn_jax`, or `~/.cache/cnn_jax`."""
    root = os.environ.get("XDG_CACHE_HOME") or ""
    return (Path(root) if os.path.isabs(root) else Path.home() / ".cache") / "cnn_jax"


def refuse_special(path: str | Path) -> None:
    """Raises OSError where a pipe, a device or a folder stands in the place of a file: reading it might never end."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "a folder" if os.path.isdir(path) else "not a regular file", str(path))


def why_no_folder(folder: Path) -> str | None:
    """What keeps a folder from being there or being made, in words; None where nothing is known to."""
    try:
        os.stat(folder)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(folder):
            return "this link leads nowhere"
    except OSError as error:
        return f"it cannot be used ({error.strerror})"
    except ValueError:
        return "no folder can have this name"
    nearest = next(place for place in (folder, *folder.absolute().parents) if os.path.exists(place))
    if not os.path.isdir(nearest):
        return "this is a file" if nearest == folder else f"{nearest} is a file"
    if max((len(os.fsencode(part)) for part in folder.parts), default=0) > os.pathconf(nearest, "PC_NAME_MAX"):
        return "it cannot be used (a name is too long)"
    return None if os.access(nearest, os.W_OK) else f"{nearest} cannot be written"


def missing_folders(folder: Path) -> list[Path]:
    """The folder and those above it that are not there, the deepest first."""
    return [place for place in (folder, *folder.parents) if not os.path.exists(place)]


def make_folder(folder: Path) -> list[Path]:
    """Makes the folder and those above it; those that were not there before, the deepest first. Raises OSError."""
    new = missing_folders(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        remove_empty(new)
        raise
    return new


def remove_empty(folders: Sequence[Path]) -> None:
    """Takes away what `make_folder` made, up to the first that holds something."""
    with contextlib.suppress(OSError):
        for folder in (place for place in folders if os.path.exists(place)):
            folder.rmdir()


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[TextIO]:
    """A text file (UTF-8) that appears whole or not at all in the place of what is there; raises OSError.

    A device or a pipe is written as it is.
    """
    how: dict[str, Any] = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "w", **how) as file:
            yield file
        return
    target = os.path.realpath(path)  # a link stays one
    temporary = f"{target}.tmp"
    try:
        with open(temporary, "w", **how) as file:
            yield file
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
