"""What the training loop takes a step's data from: decoded data on the device, or a stream."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from cnn_jax.data.feeding.order import epoch_order
from cnn_jax.data.feeding.stream import Batches, stream
from cnn_jax.runtime.devices import Devices
from cnn_jax.runtime.prefetch import prefetch

_BATCHES_AHEAD = 2


@contextlib.contextmanager
def resident_loader(
    labels: np.ndarray, seed: int, batch_size: int, balanced: bool, steps_per_call: int, devices: Devices,
    first: int, end: int,
) -> Iterator[Iterator[tuple[tuple[jax.Array, int], int]]]:  # fmt: skip
    """For each call: ((its epoch's order, of which it takes its own rows, how many steps it makes), how many)."""
    steps = len(labels) // batch_size

    def orders() -> Iterator[tuple[tuple[jax.Array, int], int]]:
        for epoch in range(first // steps, -(-end // steps)):
            order = devices.copy(epoch_order(seed, epoch, len(labels), batch_size, labels if balanced else None))
            start, stop = max(first, epoch * steps), min(end, (epoch + 1) * steps)
            while start < stop:
                # Calls end at the same steps wherever a run goes on, so that few lengths are compiled.
                done = start - epoch * steps
                count = min(stop - start, steps_per_call - done % steps_per_call)
                yield (order, count), count
                start += count

    yield orders()


@contextlib.contextmanager
def streaming_loader(
    batches: Batches, workers: int | None, devices: Devices, first: int, end: int
) -> Iterator[Iterator[tuple[Any, int]]]:
    """For each call: (its batch, 1 step)."""
    with stream(batches, first, end, workers) as decoded:
        yield ((batch, 1) for batch in prefetch_to_devices(decoded, devices))


def prefetch_to_devices(batches: Iterator[Any], devices: Devices) -> Iterator[Any]:
    """The batches, two of them on their way to the devices while a third is worked on."""
    return prefetch((devices.spread(batch, devices.folded) for batch in batches), _BATCHES_AHEAD)
