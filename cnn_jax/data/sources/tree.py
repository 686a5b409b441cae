"""What lies in a folder: without hidden files, litter, and what patterns leave out; each folder is read once."""

import os
from collections.abc import Iterator, Sequence

from cnn_jax.cli.progress import announce
from cnn_jax.data.reading.file_kinds import is_picture_name
from cnn_jax.data.sources.file_states import stamp
from cnn_jax.data.sources.litter import is_litter
from cnn_jax.data.sources.patterns import matches, may_match_below
from cnn_jax.errors import InputError, shown

# path, (size, stamp)
File = tuple[str, tuple[int, int]]


class Tree:
    """A folder of images and what of it is read.

    Args:
      root: the folder; paths below it begin with it.
      include: patterns (see `patterns.matches`): files that none of them matches are left out. Empty: all are taken.
      exclude: files and folders that one of these matches are left out.

    Attributes:
      left_out: {folder: how many of its files and folders the patterns left out}, of the folders read so far.
      matched: patterns that matched something so far.
    """

    def __init__(self, root: str | os.PathLike[str], include: Sequence[str] = (), exclude: Sequence[str] = ()):
        self.root = os.fspath(root)
        self.include, self.exclude = tuple(include), tuple(exclude)
        self.left_out: dict[str, int] = {}
        self.matched: set[str] = set()

    def relative(self, path: str) -> str:
        """A path below the root as patterns have it: without the root, with `/` between its parts."""
        return path[len(self.root) :].lstrip(os.sep).replace(os.sep, "/")

    def entries(self, folder: str) -> list[os.DirEntry[str]]:
        """What is right in a folder, sorted by name.

        Raises:
          InputError: it cannot be read.
        """
        meant = list(self._meant(folder))
        taken = [entry for entry in meant if self._takes(entry)]
        self.left_out[folder] = len(meant) - len(taken)
        return sorted(taken, key=lambda entry: entry.name)

    def folders(self, folder: str) -> dict[str, str]:
        """{name: path} of the folders right in a folder."""
        return {entry.name: entry.path for entry in self.entries(folder) if is_folder(entry)}

    def files(self, folder: str) -> list[str]:
        """Names of what else is right in a folder."""
        return [entry.name for entry in self.entries(folder) if not is_folder(entry)]

    def has_pictures(self, folder: str, deep: bool = False) -> bool:
        """Whether a file right in the folder, or anywhere below, is a picture by its extension; it reads up to one."""
        below = []
        for entry in self._meant(folder):
            if is_folder(entry):
                below += [entry] if not entry.is_symlink() and self._takes(entry) else []
            elif is_picture_name(entry.name) and self._takes(entry):
                return True
        return deep and any(self.has_pictures(entry.path, deep) for entry in below)

    def walk(self, folder: str, seen: set[tuple[int, int]]) -> Iterator[File]:
        """All files below a folder. A folder that `seen` holds is not entered again, as a link may lead back."""
        waiting = [folder]
        while waiting:
            for entry in self.entries(waiting.pop()):
                if is_folder(entry):
                    if inode(entry.path) in seen:
                        announce(f"{shown(entry.path)}: this link leads to a folder that is read already; not followed")
                    else:
                        seen.add(inode(entry.path))
                        waiting.append(entry.path)
                    continue
                try:
                    status = entry.stat()
                    yield entry.path, (status.st_size, stamp(status))
                except OSError:  # a link to nowhere: reading it will say so
                    yield entry.path, (-1, -1)

    def _meant(self, folder: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as found:
                yield from (entry for entry in found if not is_litter(entry.name))
        except OSError as error:
            raise InputError(f"{shown(folder)}: this folder cannot be read ({error.strerror})") from error

    def _takes(self, entry: os.DirEntry[str]) -> bool:
        if not self.include and not self.exclude:
            return True
        path, folder = self.relative(entry.path), is_folder(entry)
        against = [pattern for pattern in self.exclude if matches(path, pattern)]
        reaches = may_match_below if folder else matches
        wanted = [pattern for pattern in self.include if reaches(path, pattern)]
        self.matched.update(against, () if folder else wanted)
        return not against and (bool(wanted) or not self.include)


def is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or through a file
        return False


def inode(folder: str) -> tuple[int, int]:
    """Tells folders apart, by whatever path they are reached."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino
