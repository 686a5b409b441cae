"""How a script ends when SIGINT or SIGTERM comes, wherever it is."""

import contextlib
import gc
import os
import select
import signal
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

# Set while a run has made steps that no checkpoint holds: then only the training loop may end the process.
unsaved = threading.Event()
# Set while a service is told of a run's end: that may take longer than a signal's patience.
closing = threading.Event()
# Set where a thread of some service is stuck: the interpreter, which waits for services at its end, must not.
stuck = threading.Event()

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 2.0  # seconds


class Stopped(KeyboardInterrupt):
    """A signal, raised wherever the main thread is."""

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_status = 128 + number


def end_on_signals(again: str) -> None:
    """For scripts, once: the signals raise `Stopped`, unless something in the script handles them.

    Python handles signals between two of its instructions, and a program that XLA compiles can take minutes. So a
    thread of its own watches: it ends the process two seconds after a signal where nothing is unsaved, and at once
    when a second one comes.

    Args:
      again: the command line to repeat, for the message.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as after nohup, or in the background of a shell
            signal.signal(number, _raise)
    threading.Thread(target=_watch, args=(reader, again), daemon=True).start()


def leave(status: int) -> NoReturn:
    """Ends the process with this status; at once, without waiting for anything, where a thread is stuck."""
    if not stuck.is_set():
        gc.freeze()  # else the interpreter searches all of JAX for cycles to free: 0.7 s for what ends anyway
        sys.exit(status)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def _watch(reader: int, again: str) -> None:
    first = _next_signal(reader)
    since = time.monotonic()
    while time.monotonic() - since < _PATIENCE:
        if unsaved.is_set() or closing.is_set():
            since = time.monotonic()
        if select.select([reader], [], [], 0.1)[0]:
            _leave(_next_signal(reader), "stopped at once", again)
    _leave(first, f"stopped by {signal.Signals(first).name}", again)


def _next_signal(reader: int) -> int:
    while True:
        number = os.read(reader, 1)[0]
        if number in _SIGNALS:
            return number


def _leave(number: int, what: str, again: str) -> None:
    """Not `sys.exit`: it would wait for the main thread and for other threads, which may be stuck."""
    os.write(sys.stderr.fileno(), f"\n{what}. To go on: {again}\n".encode(errors="backslashreplace"))
    os._exit(128 + number)
