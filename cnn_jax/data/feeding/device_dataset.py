"""Data that lives on the devices: batches are gathered inside the compiled step, nothing is copied while training.

Each device holds an equal part of the images. An example of a batch is found by the one that has it and goes to the
one whose turn it is; on a single device that is a plain look-up.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnn_jax.data.splits import Examples
from cnn_jax.runtime.devices import Devices

Batch = dict[str, jax.Array]


class DeviceDataset(NamedTuple):
    """Images uint8 [N, H, W, C] and labels int32 [N] on the devices, N a multiple of their number."""

    images: Any
    labels: Any


def put_on_device(examples: Examples, devices: Devices) -> DeviceDataset:
    """The examples on the devices, an equal part on each."""
    labels = np.asarray(examples.labels, np.int32)
    return DeviceDataset(*(devices.spread_rows(rows, devices.folded) for rows in (examples.images, labels)))


def gather_batch(data: DeviceDataset, index: jax.Array, axis: str | None = None) -> Batch:
    """The batch of the examples with these indices.

    Args:
      data: all of it; inside a program for each device, that device's part.
      index: int32 [B], of the whole batch.
      axis: of the devices, inside a program for each; None: there is one device.

    Returns:
      {image, label, index, mask} of the whole batch, or of this device's part of it.
    """
    if axis is None:
        images, labels = data.images[index], data.labels[index]
    else:
        size = data.labels.shape[0]
        position = index - lax.axis_index(axis) * size
        here = (position >= 0) & (position < size)
        safe = jnp.where(here, position, 0)

        def exchange(rows: jax.Array) -> jax.Array:
            # One device adds an example, all others add zeros.
            found = jnp.where(here.reshape(-1, *(1,) * (rows.ndim - 1)), rows[safe], 0)
            return lax.psum_scatter(found, axis, scatter_dimension=0, tiled=True)

        images, labels = exchange(data.images), exchange(data.labels)
        index = own_part(index, axis)
    return {"image": images, "label": labels, "index": index, "mask": jnp.ones(index.shape, bool)}


def own_part(rows: jax.Array, axis: str | None) -> jax.Array:
    """Of the rows of a whole batch, those of the device that this program runs for."""
    if axis is None:
        return rows
    size = rows.shape[0] // lax.axis_size(axis)
    return lax.dynamic_slice_in_dim(rows, lax.axis_index(axis) * size, size)
