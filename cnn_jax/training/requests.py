"""What a host asks of all hosts while they train: to save, or to stop."""

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import Any, TypeVar

from cnn_jax.cli.signals import StopSignals
from cnn_jax.distributed import hosts
from cnn_jax.training.evaluation import device_get_delayed

T = TypeVar("T")


class Request(IntEnum):
    """The largest one of all hosts is done by all."""

    NONE = 0
    SAVE = 1
    STOP = 2


class Requests:
    """Sends this host's request with every call and keeps what all hosts have agreed on.

    A request travels with the sums of a call or a batch, so that no transfer is made for it alone. All hosts get the
    same answer at the same place. (Orbax's `reached_preemption` does this for SIGTERM alone, and needs JAX's preemption
    service, which `hosts.connect` switches off.)

    Args:
      signals: SIGINT or SIGTERM asks to stop.
      max_over_hosts: see `hosts.max_over_hosts`.

    Attributes:
      agreed: what all hosts are to do and have not done yet.
    """

    def __init__(
        self,
        signals: StopSignals,
        max_over_hosts: Callable[[tuple[int, int]], Any] = lambda values: values,
    ):
        self._signals, self._max_over_hosts = signals, max_over_hosts
        self._agreed_signal = 0
        self.agreed = Request.NONE

    def fetch(self, values: Iterable[T], save_is_due: Callable[[], bool] = lambda: False) -> Iterator[T]:
        """`device_get_delayed`; with each value this host's request goes out and an answer comes back."""
        sent = ((value, self._max_over_hosts(self._own(save_is_due))) for value in values)
        for value, (request, number) in device_get_delayed(sent):
            self.agreed = max(self.agreed, Request(int(request)))
            self._agreed_signal = max(self._agreed_signal, int(number))
            yield value

    @property
    def stop_signal(self) -> int | None:
        """The number of the signal that stops the run; a host that is alone need not wait for an answer."""
        if self.agreed is Request.STOP:
            return self._agreed_signal
        return self._signals.received if hosts.count() == 1 else None

    def saved(self) -> None:
        """What was asked for is done."""
        self.agreed = Request.NONE

    def _own(self, save_is_due: Callable[[], bool]) -> tuple[int, int]:
        if self._signals.received:
            return Request.STOP, self._signals.received
        return (Request.SAVE if save_is_due() else Request.NONE), 0
