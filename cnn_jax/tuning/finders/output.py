"""Where the finders write."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from cnn_jax.errors import InputError, SaveError


def check_output(output: str | Path) -> Path:
    """The folder; raises InputError where it cannot be made or written, before anything long is begun.

    It is made by `writing`: what is refused later leaves nothing behind.
    """
    folder = Path(output)
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    if not nearest.is_dir():
        raise InputError(f"--output={output}: {nearest} is a file; choose another folder")
    if not os.access(nearest, os.W_OK):
        raise InputError(f"--output={output}: {nearest} cannot be written; choose another folder")
    return folder


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Makes the folder for what is written inside; raises SaveError where the disk does not take it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise SaveError(
            f"--output={folder}: what was found cannot be written ({error.strerror}); make room or choose another"
        ) from error
