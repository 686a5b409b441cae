"""What tells whether files are still those that were read before, without reading them again."""

import hashlib
import os
from pathlib import Path

import numpy as np

from cnn_jax.errors import InputError, shown


def check_file(path: Path, what: str) -> None:
    """Raises InputError where `data.dir` is no regular file: reading from a pipe might never end."""
    if not os.path.isfile(path):
        problem = "this is not a regular file" if os.path.exists(path) else "there is no such file"
        raise InputError(f"config.data.dir={shown(str(path))}: {problem}; it must be {what}")


def stamp(status: os.stat_result) -> int:
    """64 bits that change when a file is written, or another is put in its place, even with the former one's times.

    `mv` and `os.utime` keep or set the time of writing, but not the inode, nor the time when that was changed.
    """
    text = f"{status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def file_state(path: str, state: str, time: int) -> tuple[int, int, int]:
    """Hashes of 64 bits of a file's path and of its label and size, and its `stamp`."""
    hashes = (hashlib.blake2b(os.fsencode(text), digest_size=8).digest() for text in (path, state))
    first, second = (int.from_bytes(value, "little") for value in hashes)
    return first, second, time % 2**64


def fingerprint(states: np.ndarray) -> str:
    """Changes when a file is added, removed, renamed, written, replaced or labelled anew."""
    return hashlib.sha256(states.tobytes()).hexdigest()[:16]


def identity(states: np.ndarray) -> str:
    """The same without the stamps, which a copy of the data does not share."""
    return fingerprint(np.ascontiguousarray(states[:, :2]))


def place(kind: str, path: str | Path, how: str = "") -> str:
    """A short name for where data are, and for how they are read, where that can differ."""
    whole = os.path.abspath(path)
    digest = hashlib.sha256(os.fsencode(whole) + (b"\0" + os.fsencode(how) if how else b"")).hexdigest()[:12]
    return f"{kind}-{os.path.basename(whole)[:40]}-{digest}"
