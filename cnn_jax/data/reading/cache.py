"""Work on data that is done once and for all: entries in the user's cache folder."""

import contextlib
import errno
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from cnn_jax.errors import InputError
from cnn_jax.runtime.folders import cache_folder

_LONGEST_NAME = 200
_CHECKED = 1 << 26
_STATES_VERSION = 2  # of what a state is made of; those of another one tell nothing of what has changed


def entry(key: str, write: Callable[[Path], None], is_whole: Callable[[Path], bool] = lambda folder: True) -> Path:
    """The folder of the entry `key`, filled by `write(folder)` if it is not there yet.

    The entry appears whole or not at all: it is written beside its place and renamed.

    Args:
      is_whole: says of an entry that is there whether it can be used; if not, it is written again.

    Raises:
      InputError: the cache folder cannot be written.
    """
    folder = cache_folder() / "datasets" / _file_name(key)
    if _is_there(folder, key) and is_whole(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        temporary = Path(tempfile.mkdtemp(prefix=f".writing-{_here()}-{os.getpid()}-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        write(temporary)
        (temporary / "entry.json").write_text(json.dumps({"key": key, "files": _contents(temporary)}))
        while not _moved(temporary, folder):
            if _is_there(folder, key) and is_whole(folder):  # finished meanwhile by another process
                return folder
            with contextlib.suppress(FileNotFoundError):  # a broken entry; another process may do the same
                os.rename(folder, f"{temporary}-broken")
                shutil.rmtree(f"{temporary}-broken", ignore_errors=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if not is_whole(folder):
        raise InputError(f"{folder}: what was just written there cannot be read back; delete it and try again")
    return folder


def array(key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array under `key`, made by `make()` if it is not there yet."""
    folder = entry(key, lambda folder: np.save(folder / "array.npy", make()), _holds_an_array)
    return np.load(folder / "array.npy", allow_pickle=False)


def facts(key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What JSON can hold, under `key`; made by `make()` if it is not there yet."""

    def write(folder: Path) -> None:
        (folder / "facts.json").write_text(json.dumps(make()))

    folder = entry(key, write)
    return dict(json.loads((folder / "facts.json").read_text()))


def allocate(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """A new uint8 .npy file of this shape, mapped into memory; OSError where the disk has no room for it."""
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    # A memory-mapped file is sparse: without its blocks, a full disk would be a SIGBUS in the middle of a write.
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.path.getsize(path))
    return images


def remove(prefix: str) -> None:
    """Deletes the entries whose keys begin with `prefix`: they are of former data."""
    for folder in (cache_folder() / "datasets").glob(f"{_file_name(prefix)}*"):
        shutil.rmtree(folder, ignore_errors=True)


def remember(name: str, states: np.ndarray) -> None:
    """Keeps an array under a name, for `recall`; where the cache cannot be written, nothing is kept."""
    path = _states_file(name)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{_here()}-{os.getpid()}.tmp")
        with open(temporary, "wb") as file:
            np.save(file, states)
        os.replace(temporary, path)


def recall(name: str) -> np.ndarray | None:
    """What was last kept under the name, uint64 [N, 3]."""
    try:
        states = np.lib.format.open_memmap(_states_file(name), mode="r")
        return np.array(states) if states.dtype == np.uint64 and states.shape[1:] == (3,) else None
    except Exception:  # it is missing or broken: nothing is lost but a message
        return None


def _states_file(name: str) -> Path:
    return cache_folder() / "states" / f"{_file_name(name)}-{_STATES_VERSION}.npy"


def _holds_an_array(folder: Path) -> bool:
    try:
        np.load(folder / "array.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return True


def _moved(temporary: Path, folder: Path) -> bool:
    """Puts a finished entry into its place; False where there is one already, which is left alone."""
    try:
        os.rename(temporary, folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    return True


def _file_name(key: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._+-]", "_", key)
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 17]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _contents(folder: Path) -> dict[str, list[int]]:
    """{file: [size, checksum]}; without the checksum for what is too large to be read each time."""
    return {
        path.name: [path.stat().st_size, zlib.crc32(path.read_bytes()) if path.stat().st_size <= _CHECKED else 0]
        for path in sorted(folder.iterdir())
        if path.name != "entry.json"
    }


def _is_there(folder: Path, key: str) -> bool:
    try:
        saved = json.loads((folder / "entry.json").read_text())
        whole: bool = saved["key"] == key and saved["files"] == _contents(folder)
        return whole
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _remove_abandoned(parent: Path) -> None:
    """Deletes what killed processes left half-written: of this machine at once, of others after a day of silence."""
    for folder in parent.glob(".writing-*"):
        with contextlib.suppress(OSError):  # another process does the same
            host, _, rest = folder.name.removeprefix(".writing-").partition("-")
            number = rest.partition("-")[0]
            gone = host == _here() and number.isdigit() and not psutil.pid_exists(int(number))
            newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            if gone or time.time() - newest > 86_400:
                shutil.rmtree(folder, ignore_errors=True)


def _here() -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", platform.node())


def _unwritable(folder: Path, error: OSError) -> InputError:
    space = "free some space, or " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return InputError(
        f"the data cache {folder.parent} cannot be written ({error.strerror or error}); {space}set XDG_CACHE_HOME to "
        f"another folder"
    )
