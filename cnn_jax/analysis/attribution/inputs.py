"""What every method is given: images, and the class of each whose logit is explained."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.attribution.memory import in_chunks, rows_within
from cnn_jax.analysis.layers import Apply
from cnn_jax.errors import InputError


def check(
    apply: Apply, variables: Any, images: Any, targets: Any = None, chunk: int | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """(images float32 [B, H, W, C], targets int32 [B], how many images to take at once).

    Args:
      images: uint8 or float pixels in 0..255.
      targets: classes [B], one class for all, or None: of each the predicted class.
      chunk: None: as many as `memory.LIMIT` holds.

    Raises:
      InputError: the images have another form, or there is no such class.
    """
    pixels = np.asarray(images, np.float32)
    if pixels.ndim != 4 or not pixels.size:
        raise InputError(f"images of shape {pixels.shape}: it must be [B, H, W, C], as image[None] makes of one image")
    if chunk is None:
        chunk = rows_within(apply, variables, pixels.shape[1:])
    if targets is None:
        logits = in_chunks(functools.partial(_logits, apply, variables), chunk, pixels)
        return pixels, logits.argmax(axis=1).astype(np.int32), chunk
    classes = jax.eval_shape(apply, variables, jax.ShapeDtypeStruct((1, *pixels.shape[1:]), jnp.float32)).shape[-1]
    numbers = np.asarray(targets)
    if numbers.shape not in ((), (len(pixels),)) or not np.issubdtype(numbers.dtype, np.integer):
        raise InputError(f"targets={targets}: it must be a class, or {len(pixels)} of them, one for each image")
    if numbers.min() < 0 or numbers.max() >= classes:
        raise InputError(f"targets={targets}: classes are 0 to {classes - 1}")
    return pixels, np.broadcast_to(numbers, len(pixels)).astype(np.int32), chunk


@functools.partial(jax.jit, static_argnums=0)
def _logits(apply: Apply, variables: Any, images: jax.Array) -> jax.Array:
    return apply(variables, images)


def of_target(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Of each row of [B, K] the value of its own target [B]."""
    return jnp.take_along_axis(logits, targets[:, None], axis=1)[:, 0]


@functools.partial(jax.jit, static_argnums=0)
def score(apply: Apply, variables: Any, images: jax.Array, targets: jax.Array) -> jax.Array:
    """Each image's target logit [B]."""
    return of_target(apply(variables, images), targets)
