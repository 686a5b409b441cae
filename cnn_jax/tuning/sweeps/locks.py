"""Locks between the processes of a sweep. They are the kernel's (flock): free as soon as their holders are gone."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Holds the lock of a file for a moment, after whoever has it now; raises OSError where it cannot be made."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class TrialLock:
    """Says that a trial is being run: held by this process and, once that is started, by the trial itself."""

    def __init__(self, path: Path, descriptor: int):
        self._path, self.descriptor = path, descriptor

    @classmethod
    def take(cls, path: Path) -> "TrialLock | None":
        """None where another process holds it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    def release(self, done: bool) -> None:
        """Gives the lock back, once; where the trial is done, nobody will want it again."""
        if self.descriptor < 0:
            return
        if done:
            self._path.unlink(missing_ok=True)
        os.close(self.descriptor)
        self.descriptor = -1
