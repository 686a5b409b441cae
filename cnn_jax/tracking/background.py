"""A tracker behind a thread of its own: however slow its server is, training does not wait for it."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from cnn_jax.cli.signals import Shutdown

PATIENCE = 30.0  # seconds without any progress, at the end
_MOST_WAITING = 10_000  # calls


class _Tracker(Protocol):
    def log(self, step: int, metrics: Mapping[str, Any]) -> None: ...

    def log_artifact(self, path: Path) -> None: ...

    def finish(self, summary: Mapping[str, Any]) -> None: ...


class Background:
    """Makes a tracker and passes every call on to it, in order, in a thread that nobody waits for.

    What goes wrong there is raised by the next call here. `finish` waits until everything is passed on, or until
    nothing has moved for `patience` seconds. The thread is a daemon, and `shutdown.stuck` is set where it hangs: a
    process ends all the same.

    Args:
      name: what a warning calls it.
      start: makes the tracker; it is given a function to call whenever something has been sent.
    """

    def __init__(
        self, name: str, start: Callable[[Callable[[], None]], _Tracker], shutdown: Shutdown,
        patience: float | None = None,
    ):  # fmt: skip
        self.name, self._shutdown = name, shutdown
        self._patience = PATIENCE if patience is None else patience
        self._calls: queue.Queue[Callable[[_Tracker], None] | None] = queue.Queue(_MOST_WAITING)
        self._error: BaseException | None = None
        self._moved = time.monotonic()
        self._thread = threading.Thread(target=self._work, args=(start,), daemon=True)
        self._thread.start()

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        row = dict(metrics)
        self._put(lambda tracker: tracker.log(step, row))

    def log_artifact(self, path: Path) -> None:
        self._put(lambda tracker: tracker.log_artifact(path))

    def finish(self, summary: Mapping[str, Any]) -> None:
        figures = dict(summary)
        self._put(lambda tracker: tracker.finish(figures))
        self._put(None)
        self._moved = time.monotonic()
        while self._thread.is_alive() and time.monotonic() - self._moved < self._patience:
            self._thread.join(0.05)
        self._raise()
        if self._thread.is_alive():
            self._shutdown.stuck.set()
            raise TimeoutError(f"nothing has moved for {self._patience:g} s")

    def _put(self, call: Callable[[_Tracker], None] | None) -> None:
        self._raise()
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            self._shutdown.stuck.set()
            raise TimeoutError(f"{_MOST_WAITING:,} rows wait for it") from None

    def _raise(self) -> None:
        if self._error is not None:
            raise RuntimeError(" ".join(str(self._error).split())[:300] or type(self._error).__name__) from self._error

    def _alive(self) -> None:
        self._moved = time.monotonic()

    def _work(self, start: Callable[[Callable[[], None]], _Tracker]) -> None:
        try:
            tracker = start(self._alive)
            while (call := self._calls.get()) is not None:
                call(tracker)
                self._alive()
        except BaseException as error:  # whatever a service's client raises; it is said by the next call
            self._error = error
