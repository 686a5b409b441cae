"""Data that lives on the device: batches are gathered inside the compiled step, nothing is copied while training."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.splits import Examples
from cnn_jax.random import stream_key

Batch = dict[str, jax.Array]


class Resident(NamedTuple):
    """Images uint8 [N, H, W, C] and labels int32 [N] on the device."""

    images: Any
    labels: Any


def place(examples: Examples) -> Resident:
    return Resident(jnp.asarray(examples.images), jnp.asarray(examples.labels, jnp.int32))


def epoch_order(seed: jax.Array, epoch: jax.Array, count: int, batch_size: int) -> jax.Array:
    """Which examples each step of an epoch sees: int32 [count // batch_size, batch_size], a function of seed and epoch.

    A last partial batch is left out; as every epoch is permuted anew, no example is left out for good.
    """
    permutation = jax.random.permutation(stream_key(seed, "shuffle", epoch), count).astype(jnp.int32)
    steps = count // batch_size
    return permutation[: steps * batch_size].reshape(steps, batch_size)


def take(data: Resident, index: jax.Array) -> Batch:
    """The batch of the examples with these indices [B]; an index beyond the end is padding, with mask False."""
    mask = index < data.labels.shape[0]
    safe = jnp.where(mask, index, 0)
    return {"image": data.images[safe], "label": data.labels[safe], "index": index, "mask": mask}


def in_order(count: int, batch_size: int) -> np.ndarray:
    """Every example once, in order: int32 [ceil(count / batch_size), batch_size]; the end is padded with `count`."""
    steps = -(-count // batch_size)
    index = np.arange(steps * batch_size, dtype=np.int32)
    return np.minimum(index, count, dtype=np.int32).reshape(steps, batch_size)
