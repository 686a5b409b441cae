"""Convolution of few channels as one product of pieces of rows with a banded matrix.

With few channels a patch is many tiny pieces, and gathering them costs more than all arithmetic. A stretch of a row is
one piece: what `tile` outputs side by side take from `kernel height` rows of the image is a matrix
[height * (tile + width - 1) * in, tile * out] that holds the kernel along its diagonals and zeros elsewhere.
Multiplying the zeros is the price. (So what is not finite in an image reaches all of its stretch.)
"""

import jax
import jax.numpy as jnp

from cnn_jax.ops.geometry import Padding
from cnn_jax.ops.outline import outline

# Measured on two EPYC and two Xeon cores over the layers of LeNet-5 and of small CNNs: 0.2 to 0.6 of XLA's time.
_MAX_FEATURES, _MAX_FEW_CHANNELS, _MAX_FEATURES_OF_FEW = 8, 8, 16
_MIN_TILE = 4  # and no less than the kernel: smaller ones overlap much
_MAX_WASTE = 8  # multiplications with zeros for each with a weight
_MIN_OUTPUTS = 2**14  # with fewer there is little to win


def is_profitable(outputs: tuple[int, ...], kernel: jax.Array, strides: tuple[int, int]) -> bool:
    """Whether this beats XLA on CPU for outputs [B, H', W', features] of a kernel [height, width, in, out]."""
    batch, rows, columns, features = outputs
    _, width, channels, _ = kernel.shape
    return (
        strides == (1, 1)
        and features <= (_MAX_FEATURES_OF_FEW if channels <= _MAX_FEW_CHANNELS else _MAX_FEATURES)
        and width > 1
        and _tile(columns, width) + width - 1 <= _MAX_WASTE * width
        and batch * rows * columns >= _MIN_OUTPUTS
        and kernel.dtype.itemsize >= 4  # long sums want more than half precision
    )


def is_profitable_for_images(outputs: tuple[int, ...], kernel: jax.Array, strides: tuple[int, int]) -> bool:
    """Whether it does for the gradient of the images, which goes through the same product the other way."""
    return is_profitable((*outputs[:3], kernel.shape[2]), kernel, strides)


def conv(images: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """[B, H, W, in], [height, width, in, out] -> [B, H', W', out] at stride 1; the kernel's gradient is one product."""
    return _conv(outline(_pad, images, padding=padding), kernel)  # every stretch reads it


def images_gradient(gradient: jax.Array, kernel: jax.Array, padding: Padding, size: tuple[int, int]) -> jax.Array:
    """[B, H', W', out] -> [B, H, W, in]."""
    like = jnp.zeros((gradient.shape[0], *size, kernel.shape[2]), gradient.dtype)  # only its shape counts: it is linear
    return jax.vjp(lambda x: _conv(_pad(x, padding), kernel), like)[1](gradient)[0]


def _pad(images: jax.Array, padding: Padding) -> jax.Array:
    return jnp.pad(images, ((0, 0), *padding, (0, 0)))


def _conv(images: jax.Array, kernel: jax.Array) -> jax.Array:
    height, width, channels, features = kernel.shape
    batch, full_height, full_width, _ = images.shape
    rows, columns = full_height - height + 1, full_width - width + 1
    tile = _tile(columns, width)
    reach = tile + width - 1
    lines = images.reshape(batch, full_height, full_width * channels)
    stretches = [
        jnp.concatenate([lines[:, i : i + rows, v * channels : (v + reach) * channels] for i in range(height)], axis=-1)
        for v in range(0, columns, tile)
    ]
    products = jnp.stack(stretches, axis=2).reshape(batch * rows * len(stretches), -1) @ _band(kernel, reach)
    return products.reshape(batch, rows, columns, features)


def _tile(columns: int, width: int) -> int:
    """Outputs side by side that are computed together: the least number that divides a row and is not too small."""
    return next((n for n in range(max(_MIN_TILE, width), columns) if columns % n == 0), columns)


def _band(kernel: jax.Array, full_width: int) -> jax.Array:
    """[height * W * in, W' * out]: from pixel v of a row to output w goes the kernel's column v - w."""
    height, width, channels, features = kernel.shape
    columns = full_width - width + 1
    # Rows of W + 1, read again as rows of W, move on by one from row to row.
    padded = jnp.pad(kernel.transpose(0, 2, 3, 1), ((0, 0), (0, 0), (0, 0), (0, columns)))
    repeated = jnp.broadcast_to(padded[..., None, :], (height, channels, features, columns, full_width + 1))
    flat = repeated.reshape(height, channels, features, -1)[..., : columns * full_width]
    skewed = flat.reshape(height, channels, features, columns, full_width)
    return skewed.transpose(0, 4, 1, 3, 2).reshape(height * full_width * channels, columns * features)
