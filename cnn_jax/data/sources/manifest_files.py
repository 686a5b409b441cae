"""The rows of a manifest against the files on disk: what is missing, what it may be called, what no row names."""

import functools
import itertools
import os
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from cnn_jax.data.sources.file_states import stamp
from cnn_jax.errors import shown

_MOST_FOLDERS = 50  # in which a file is looked for that is not where its row says


class FileState(NamedTuple):
    """Size and `stamp`; both -1 where the file cannot be asked: reading it will say why."""

    size: int
    time: int


def file_states(paths: Sequence[str]) -> list[FileState | None]:
    """Of each of these files; None for those that are not there."""
    states: list[FileState | None] = []
    for path in paths:
        try:
            status = os.stat(path)
            states.append(FileState(status.st_size, stamp(status)))
        except (FileNotFoundError, NotADirectoryError):
            states.append(None)
        except OSError:
            states.append(FileState(-1, -1))
    return states


class Lookalikes:
    """Finds files by what their paths may mean; each folder is read once.

    Args:
      root: the folder that paths are relative to.
    """

    def __init__(self, root: str):
        self._root = root
        self._folders: dict[str, dict[str, list[str]]] = {}

    def hint(self, path: str) -> str:
        """`; there is images/1.png ...` for a path to no file; "" where nothing is like it."""
        found = self._find(path)
        if found is None:
            return ""
        plain = path.replace("\\", "/")
        if found == plain:
            why = "with / in place of \\"
        elif unicodedata.normalize("NFC", found) == unicodedata.normalize("NFC", plain):
            why = "whose name is written in another Unicode form, NFC or NFD"
        elif _folded(found) == _folded(plain):
            why = "in another case"
        elif found.endswith(f"/{plain}"):
            folder = os.path.join(self._root, found.removesuffix(f"/{plain}"))
            why = f"so data.images_dir={shown(folder)} may be meant"
        else:
            why = "is it meant?"
        return f"; there is {shown(found)}, {why}"

    def _find(self, path: str) -> str | None:
        parts = [part for part in re.split(r"[\\/]+", path) if part not in ("", ".")]
        starts = ["/"] if os.path.isabs(path) else []
        for base in [*starts, ""]:
            found = self._walk(base, parts)
            if found is not None:
                return found
        for first in range(1, len(parts)):  # a path of another machine ends as here
            found = self._walk("", parts[first:])
            if found is not None:
                return found
        for folder in self._inner:
            found = self._walk(folder, parts)
            if found is not None:
                return found
        return None

    def _walk(self, base: str, parts: Sequence[str]) -> str | None:
        for last, part in enumerate(parts, start=1 - len(parts)):
            names = self._names(base)
            likely = [part] if part == ".." else names.get(_folded(part), [])
            if not likely and last == 0:  # with another extension, or with one at all
                stem = _folded(part.rpartition(".")[0] or part)
                likely = [name for key in (f"{stem}.*", f"{_folded(part)}.*") for name in names.get(key, [])]
                likely = likely if len(set(likely)) == 1 else []
            if not likely:
                return None
            base = os.path.join(base, part if part in likely else likely[0])
        return base if parts and os.path.isfile(os.path.join(self._root, base)) else None

    def _names(self, folder: str) -> dict[str, list[str]]:
        """Names in a folder below the root, by their folded form and, as `stem.*`, by their stems."""
        if folder not in self._folders:
            names: dict[str, list[str]] = {}
            for name in _listed(os.path.join(self._root, folder)):
                names.setdefault(_folded(name), []).append(name)
                names.setdefault(f"{_folded(os.path.splitext(name)[0])}.*", []).append(name)
            self._folders[folder] = names
        return self._folders[folder]

    @functools.cached_property
    def _inner(self) -> list[str]:
        """The first folders in the root."""
        names = _listed(self._root)
        return list(itertools.islice((n for n in names if os.path.isdir(os.path.join(self._root, n))), _MOST_FOLDERS))


def unlisted(paths: Sequence[str]) -> list[str]:
    """Files beside these, with the extension of one of them, that are not among them; sorted.

    Args:
      paths: whole, normalised.
    """
    extensions = {os.path.splitext(path)[1].lower() for path in paths}
    listed: dict[str, set[str]] = {}
    for path in paths:
        folder, name = os.path.split(path)
        listed.setdefault(folder, set()).add(name)
    return sorted(
        os.path.join(folder, name)
        for folder, names in listed.items()
        for name in _listed(folder)
        if name not in names and not name.startswith(".") and os.path.splitext(name)[1].lower() in extensions - {""}
    )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
