"""Random changes of training images, inside the compiled step, each example with its own key.

An operation is a function (images [B, H, W, C], keys [B], strength) -> images of the same shape and type.
`cnn_jax.config_keys.AUGMENTATIONS` holds the same names with what their strength may be.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Operation = Callable[[jax.Array, jax.Array, Any], jax.Array]


def flip(images: jax.Array, keys: jax.Array, probability: float) -> jax.Array:
    """Mirrors left and right with the given probability."""
    draws = jax.vmap(jax.random.uniform)(keys)
    return jnp.where((draws < probability)[:, None, None, None], images[:, :, ::-1], images)


def translate(images: jax.Array, keys: jax.Array, pixels: int) -> jax.Array:
    """Shifts by whole pixels, up to `pixels` each way along both axes, evenly drawn; what comes in is black."""
    offsets = jax.vmap(lambda key: jax.random.randint(key, (2,), 0, 2 * pixels + 1))(keys)
    padded = jnp.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))

    def crop(image: jax.Array, offset: jax.Array) -> jax.Array:
        return lax.dynamic_slice(image, (offset[0], offset[1], 0), images.shape[1:])

    return jax.vmap(crop)(padded, offsets)


OPERATIONS: dict[str, Operation] = {"flip": flip, "translate": translate}


def augment(images: jax.Array, keys: jax.Array, pipeline: Sequence[tuple[str, Any]]) -> jax.Array:
    """Applies the (name, strength) pairs in order; every operation draws from its own key."""
    for position, (name, strength) in enumerate(pipeline):
        own_keys = jax.vmap(partial(jax.random.fold_in, data=position))(keys)
        images = OPERATIONS[name](images, own_keys, strength)
    return images
