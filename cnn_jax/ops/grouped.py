"""Convolution in groups as dense convolutions of a few groups each.

XLA's own takes 4 to 20 times as long on a CPU. Groups of few channels stand together in one kernel that is zero between
them: to multiply the zeros costs less than to multiply with tiny matrices.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from cnn_jax.ops.geometry import Geometry

# Measured on two EPYC cores over layers of ResNeXt, RegNet and AlexNet.
_CHANNELS = 32  # that a dense convolution should have

Conv = Callable[[jax.Array, jax.Array, Geometry], jax.Array]


def conv(images: jax.Array, kernel: jax.Array, geometry: Geometry, dense: Conv) -> jax.Array:
    """[B, H, W, in], [height, width, in / groups, out] -> [B, H', W', out]; its gradients are those of `dense`."""
    height, width, channels, features = kernel.shape
    together = _together(geometry.groups, channels)
    blocks = geometry.groups // together
    own = features // geometry.groups
    # Of a block from each of its groups to each: the kernel where they are the same, zero elsewhere.
    separate = kernel.reshape(height, width, 1, channels, blocks, together, own)
    same = jnp.eye(together, dtype=kernel.dtype).reshape(1, 1, together, 1, 1, together, 1)
    merged = (separate * same).reshape(height, width, together * channels, blocks, together * own)
    alone = geometry._replace(groups=1)
    parts = [dense(part, merged[:, :, :, i], alone) for i, part in enumerate(jnp.split(images, blocks, axis=-1))]
    return jnp.concatenate(parts, axis=-1)


def _together(groups: int, channels: int) -> int:
    """How many groups are one block: the least number that divides them and gives it enough channels."""
    return next((n for n in range(1, groups) if groups % n == 0 and n * channels >= _CHANNELS), groups)
