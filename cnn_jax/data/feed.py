"""What the training loop takes a step's data from: decoded data on the device, or a stream."""

import collections
import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.order import epoch_order
from cnn_jax.data.stream import Batches, stream
from cnn_jax.errors import InputError

_BATCHES_AHEAD = 2


@contextlib.contextmanager
def resident_feed(
    labels: np.ndarray, seed: int, batch_size: int, balanced: bool, first: int, end: int
) -> Iterator[Iterator[tuple[jax.Array, int]]]:
    """For each of the steps first, ..., end - 1 (its epoch's order, 1); the compiled step takes its own row of it."""

    def orders() -> Iterator[tuple[jax.Array, int]]:
        steps = len(labels) // batch_size
        for epoch in range(first // steps, -(-end // steps)):
            order = jnp.asarray(epoch_order(seed, epoch, len(labels), batch_size, labels if balanced else None))
            for _ in range(max(first, epoch * steps), min(end, (epoch + 1) * steps)):
                yield order, 1

    yield orders()


@contextlib.contextmanager
def streamed_feed(batches: Batches, workers: int | None, first: int, end: int) -> Iterator[Iterator[tuple[Any, int]]]:
    """For each of the steps (its batch, 1)."""
    with stream(batches, first, end, workers) as decoded:
        yield ((batch, 1) for batch in on_device(decoded))


def on_device(batches: Iterator[Any]) -> Iterator[Any]:
    """The batches, two of them on their way to the device while a third is worked on."""
    ahead: collections.deque[Any] = collections.deque()
    try:
        for batch in batches:
            ahead.append(jax.device_put(batch))
            if len(ahead) > _BATCHES_AHEAD:
                yield ahead.popleft()
    except InputError:
        yield from ahead  # what was read before can be trained on
        raise
    yield from ahead
