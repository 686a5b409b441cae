"""Convolution of few channels as one product of whole rows with a banded matrix.

With few channels a patch is many tiny pieces, and gathering them costs more than all arithmetic. A row of an image is
one piece: what a row of outputs takes from `kernel height` rows of the image is a matrix [height * W * in, W' * out]
that holds the kernel along its diagonals and zeros elsewhere. Multiplying the zeros is the price. (So what is not
finite in an image reaches all of its row.)
"""

import jax
import jax.numpy as jnp

Padding = tuple[tuple[int, int], tuple[int, int]]

# Measured on two EPYC cores over the layers of LeNet-5 and of small CNNs: there it took 0.3 to 0.6 of XLA's time.
_MOST_FEATURES = 8
_MOST_WASTE = 8  # multiplications with zeros for each with a weight
_LEAST_OUTPUTS = 2**14  # with fewer there is little to win


def pays(outputs: tuple[int, ...], kernel: jax.Array, strides: tuple[int, int]) -> bool:
    """Whether this beats XLA on CPU for outputs [B, H', W', features] of a kernel [height, width, in, out]."""
    batch, rows, columns, features = outputs
    width = kernel.shape[1]
    return (
        strides == (1, 1)
        and features <= _MOST_FEATURES
        and width > 1
        and columns + width - 1 <= _MOST_WASTE * width
        and batch * rows * columns >= _LEAST_OUTPUTS
        and kernel.dtype.itemsize >= 4  # long sums want more than half precision
    )


def conv(images: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """[B, H, W, in], [height, width, in, out] -> [B, H', W', out] at stride 1; its gradients are products too."""
    height, width, _, features = kernel.shape
    padded = jnp.pad(images, ((0, 0), *padding, (0, 0)))
    batch, full_height, full_width, channels = padded.shape
    rows, columns = full_height - height + 1, full_width - width + 1
    lines = padded.reshape(batch, full_height, full_width * channels)
    stacked = jnp.concatenate([lines[:, i : i + rows] for i in range(height)], axis=-1)
    products = stacked.reshape(batch * rows, -1) @ _band(kernel, full_width)
    return products.reshape(batch, rows, columns, features)


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
