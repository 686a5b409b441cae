"""Convolution of images of one channel as one product with all pixels of their windows.

Side by side, a window's pixels are many tiny pieces. Plane by plane, the first pixels of all windows, then the second,
they are copies of the image moved by a pixel, and such a matrix [height * width, B * H' * W'] is made in no time.
"""

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops.geometry import Padding

# Measured on two EPYC cores over first layers of small CNNs: 0.3 to 0.8 of XLA's time; with 5x5 more than it.
_MAX_PIXELS = 9  # of a window
_MIN_OUTPUTS = 2**14  # with fewer there is little to win
_MAX_BYTES = 2**26  # of planes


def is_profitable(outputs: tuple[int, ...], kernel: jax.Array, strides: tuple[int, int]) -> bool:
    """Whether this beats XLA on CPU for outputs [B, H', W', features] of a kernel [height, width, in, out]."""
    height, width, channels, _ = kernel.shape
    positions = outputs[0] * outputs[1] * outputs[2]
    return (
        strides == (1, 1)
        and channels == 1
        and 1 < height * width <= _MAX_PIXELS
        and positions >= _MIN_OUTPUTS
        and positions * height * width * kernel.dtype.itemsize <= _MAX_BYTES
        and kernel.dtype.itemsize >= 4  # long sums want more than half precision
    )


def conv(images: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """[B, H, W, 1], [height, width, 1, out] -> [B, H', W', out] at stride 1; its gradients are products too."""
    height, width, _, features = kernel.shape
    padded = jnp.pad(images[..., 0], ((0, 0), *padding))
    batch, rows, columns = padded.shape[0], padded.shape[1] - height + 1, padded.shape[2] - width + 1
    planes = jnp.stack([padded[:, i : i + rows, j : j + columns] for i in range(height) for j in range(width)])
    products = lax.dot_general(
        planes.reshape(height * width, -1), kernel.reshape(-1, features), (((0,), (0,)), ((), ()))
    )
    return products.reshape(batch, rows, columns, features)
