"""Signals that ask a run to stop, remembered until the loop looks."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from cnn_jax.cli.progress import announce


class StopSignals:
    """Within `with StopSignals() as stop`, the first SIGINT or SIGTERM only sets `stop.received`.

    A second one acts as it always does. Outside the main thread, where Python allows no handlers, nothing is changed.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()
        announce("\nstopping after this step and saving; once more stops at once, without saving")

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
