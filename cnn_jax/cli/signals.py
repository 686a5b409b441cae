"""SIGINT and SIGTERM: loops remember them until they look, scripts end on them wherever they are."""

import contextlib
import gc
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from cnn_jax.cli.progress import announce

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 2.0  # seconds


class Shutdown:
    """What must happen before the process may end. One object for the script, its loop, its trackers and the watcher.

    Attributes:
      unsaved: set while a run has made steps that no checkpoint holds; then only the training loop may end the process.
      closing: set while a service or another process is told of the end, which may take longer than `_PATIENCE`.
      stuck: set when a thread of a service hangs; the interpreter must not wait for services at its end.
    """

    def __init__(self) -> None:
        self.unsaved, self.closing, self.stuck = threading.Event(), threading.Event(), threading.Event()

    @contextlib.contextmanager
    def close_services(self) -> Iterator[None]:
        """Sets `closing` within the context."""
        self.closing.set()
        try:
            yield
        finally:
            self.closing.clear()


class Stopped(KeyboardInterrupt):
    """A signal, raised wherever the main thread is."""

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_status = 128 + number


class StopSignals:
    """Within `with StopSignals() as stop`, the first SIGINT or SIGTERM only sets `stop.received`.

    A second one acts as it did before. Outside the main thread, where Python allows no handlers, nothing is changed.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in self._handled():
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def _handled(self) -> list[signal.Signals]:
        return list(_SIGNALS)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()
        announce("\nstopping after this step and saving; once more stops at once, without saving")

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}


class SweepStopSignals(StopSignals):
    """`StopSignals` of a sweep: its trials save, and it waits for them.

    The thread of `end_on_signals` acts on a second signal. Signals that the process ignores stay ignored.
    """

    def _handled(self) -> list[signal.Signals]:
        return [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number
        announce("\nstopping: the trials save what they have; once more stops at once")


def end_on_signals(again: str, shutdown: Shutdown) -> None:
    """For scripts, once: the signals raise `Stopped`, unless something in the script handles them.

    Python handles signals between two of its instructions, and a program that XLA compiles can take minutes. So a
    thread watches. It ends the process two seconds after a signal, unless `shutdown` says that something is unsaved or
    closing, and at once when a second signal comes.

    Args:
      again: the command line to repeat, for the message.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as after nohup, or in the background of a shell
            signal.signal(number, _raise)
    threading.Thread(target=_watch, args=(reader, again, shutdown), daemon=True).start()


def leave(status: int, shutdown: Shutdown) -> NoReturn:
    """Ends the process with this status; at once, without waiting for anything, if a thread is stuck."""
    if not shutdown.stuck.is_set():
        gc.freeze()  # else the interpreter searches all of JAX for cycles to free: 0.7 s for what ends anyway
        sys.exit(status)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def _watch(reader: int, again: str, shutdown: Shutdown) -> None:
    first = _next_signal(reader)
    since = time.monotonic()
    while time.monotonic() - since < _PATIENCE:
        if shutdown.unsaved.is_set() or shutdown.closing.is_set():
            since = time.monotonic()
        if select.select([reader], [], [], 0.1)[0]:
            _end_at_once(_next_signal(reader), "stopped at once", again)
    _end_at_once(first, f"stopped by {signal.Signals(first).name}", again)


def _next_signal(reader: int) -> int:
    while True:
        number = os.read(reader, 1)[0]
        if number in _SIGNALS:
            return number


def _end_at_once(number: int, what: str, again: str) -> None:
    """Not `sys.exit`: it would wait for the main thread and for other threads, which may be stuck."""
    os.write(sys.stderr.fileno(), f"\n{what}. To go on: {again}\n".encode(errors="backslashreplace"))
    os._exit(128 + number)
