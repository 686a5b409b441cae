"""SIGINT and SIGTERM while other processes must be told first."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from cnn_jax.cli import stopping
from cnn_jax.cli.progress import announce


class Signals:
    """Within it the first SIGINT or SIGTERM is only remembered; `end_on_signals` acts on a second one, at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        stopping.closing.set()
        main = threading.current_thread() is threading.main_thread()  # elsewhere Python allows no handlers
        for number in (signal.SIGINT, signal.SIGTERM) if main else ():
            if signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        stopping.closing.clear()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number
        announce("\nstopping: the trials save what they have; once more stops at once")
