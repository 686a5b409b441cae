"""Data that lives on the device: batches are gathered inside the compiled step, nothing is copied while training."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cnn_jax.data.splits import Examples

Batch = dict[str, jax.Array]


class Resident(NamedTuple):
    """Images uint8 [N, H, W, C] and labels int32 [N] on the device."""

    images: Any
    labels: Any


def place(examples: Examples) -> Resident:
    return Resident(jnp.asarray(examples.images), jnp.asarray(examples.labels, jnp.int32))


def take(data: Resident, index: jax.Array) -> Batch:
    """The batch of the examples with these indices [B]; an index beyond the end is padding, with mask False."""
    mask = index < data.labels.shape[0]
    safe = jnp.where(mask, index, 0)
    return {"image": data.images[safe], "label": data.labels[safe], "index": index, "mask": mask}
