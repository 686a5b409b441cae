"""Convolution with 3x3 kernels by 16 products a tile of 2x2 outputs instead of 36.

F(2x2, 3x3) of Lavin & Gray 2016 ("Fast algorithms for convolutional neural networks", section 4.1; Winograd 1980):
Y = A' [(G g G') * (B' d B)] A for a 4x4 tile d of the image and a kernel g. Its transforms have no factor but 1 and
1/2, so that it rounds about as the direct sum does. Larger tiles would save more and lose digits.
"""

import functools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops.geometry import Padding

_INPUT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))  # B'
_KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))  # G
_OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))  # A'
# Measured on two EPYC cores over the layers of small CNNs and of ResNet-18: 0.5 to 0.8 of XLA's time, and of that of
# patches for the gradient of a kernel, which below takes as long.
_MIN_CHANNELS, _MIN_CHANNELS_FOR_KERNELS = 32, 128
_MIN_WORK = 2**28  # multiplications of the direct sum: with fewer there is less to win than it takes to compile
_MAX_BYTES = 2**28  # of tiles at once

Grid = Sequence[Sequence[jax.Array]]


def is_profitable(shape: tuple[int, ...], kernel: jax.Array | jax.ShapeDtypeStruct, strides: tuple[int, int]) -> bool:
    """Whether this beats XLA on CPU, from images to outputs and back."""
    height, width, channels, features = kernel.shape
    pixels = shape[0] * shape[1] * shape[2]
    tiles = 4 * pixels * max(channels, features) * kernel.dtype.itemsize
    return (
        (height, width) == (3, 3)
        and strides == (1, 1)
        and min(channels, features) >= _MIN_CHANNELS
        and kernel.dtype.itemsize >= 4  # half precision has no digits to lose
        and pixels * kernel.size >= _MIN_WORK
        and tiles <= _MAX_BYTES
    )


def takes_tiles(outputs: tuple[int, ...], kernel: tuple[int, ...]) -> bool:
    """Whether a convolution in float32 from an equally large map to [B, H, W, out] goes this way on CPU."""
    return is_profitable(outputs, jax.ShapeDtypeStruct(kernel, jnp.float32), (1, 1))


def is_profitable_for_kernels(shape: tuple[int, ...], kernel: jax.Array, strides: tuple[int, int]) -> bool:
    """Whether it does for the gradient of the kernel."""
    return is_profitable(shape, kernel, strides) and min(kernel.shape[2:]) >= _MIN_CHANNELS_FOR_KERNELS


def conv(images: jax.Array, kernel: jax.Array, padding: Padding, turned: bool = False) -> jax.Array:
    """[B, H, W, in], [3, 3, in, out] -> [B, H', W', out] at stride 1.

    `turned`: from out to in instead, with the kernel turned about, which is never written down: to transpose large
    kernels would take longer than to multiply with them.
    """
    batch = images.shape[0]
    rows, columns = (size + sum(amounts) - 2 for size, amounts in zip(images.shape[1:3], padding, strict=True))
    tiles = _tiles(images, padding, rows, columns)
    order = (2, 1, 0) if turned else (0, 1, 2)
    weights = _transform(_KERNEL, [[kernel[i, j] for j in order] for i in order])
    multiply = functools.partial(lax.dot_general, dimension_numbers=(((1,), (int(turned),)), ((), ())))
    products = [[multiply(_flat(t), w) for t, w in zip(*row, strict=True)] for row in zip(tiles, weights, strict=True)]
    outputs = _transform(_OUTPUT, products)
    shape = (batch, -(-rows // 2), -(-columns // 2), outputs[0][0].shape[1])
    pairs = [jnp.stack([y.reshape(shape) for y in row], axis=3) for row in outputs]
    whole = jnp.stack(pairs, axis=2).reshape(batch, 2 * shape[1], 2 * shape[2], shape[3])
    return whole[:, :rows, :columns]


def images_gradient(gradient: jax.Array, kernel: jax.Array, padding: Padding, size: tuple[int, int]) -> jax.Array:
    """[B, H', W', out] -> [B, H, W, in]: a convolution with the kernel turned about."""
    (top, _), (left, _) = padding
    rows, columns = gradient.shape[1:3]
    around = ((2 - top, size[0] + top - rows), (2 - left, size[1] + left - columns))
    return conv(gradient, kernel, around, turned=True)


def kernel_gradient(images: jax.Array, gradient: jax.Array, padding: Padding) -> jax.Array:
    """[B, H, W, in], [B, H', W', out] -> [3, 3, in, out]: G' [sum over tiles of (B' d B) x (A y A')] G."""
    rows, columns = gradient.shape[1:3]
    tiles = _tiles(images, padding, rows, columns)
    even = jnp.pad(gradient, ((0, 0), (0, rows % 2), (0, columns % 2), (0, 0)))
    back = _transform(_transposed(_OUTPUT), [[even[:, i::2, j::2] for j in range(2)] for i in range(2)])
    over_tiles = functools.partial(lax.dot_general, dimension_numbers=(((0,), (0,)), ((), ())))
    sums = [
        [over_tiles(_flat(t), _flat(y)) for t, y in zip(*both, strict=True)] for both in zip(tiles, back, strict=True)
    ]
    return jnp.stack([jnp.stack(row) for row in _transform(_transposed(_KERNEL), sums)])


def _tiles(images: jax.Array, padding: Padding, rows: int, columns: int) -> Grid:
    """B' d B of all tiles, which overlap by two: 4x4 arrays [B, tiles down, tiles across, C]."""
    around = [(before, after + size % 2) for (before, after), size in zip(padding, (rows, columns), strict=True)]
    padded = lax.pad(images, jnp.zeros((), images.dtype), [(0, 0, 0), *((*pair, 0) for pair in around), (0, 0, 0)])
    down, across = -(-rows // 2), -(-columns // 2)

    def every_second(i: int, j: int) -> jax.Array:
        return padded[:, i : i + 2 * down - 1 : 2, j : j + 2 * across - 1 : 2]

    return _transform(_INPUT, [[every_second(i, j) for j in range(4)] for i in range(4)])


def _transform(matrix: Sequence[Sequence[float]], parts: Grid) -> Grid:
    """M p M' for a grid p of arrays."""

    def element(left: Sequence[float], right: Sequence[float]) -> jax.Array:
        return _combined([(left[i] * right[j], parts[i][j]) for i in range(len(left)) for j in range(len(right))])

    return [[element(left, right) for right in matrix] for left in matrix]


def _combined(terms: Sequence[tuple[float, jax.Array]]) -> jax.Array:
    used = [part if factor == 1 else -part if factor == -1 else part * factor for factor, part in terms if factor]
    return functools.reduce(operator.add, used)


def _transposed(matrix: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
    return list(zip(*matrix, strict=True))


def _flat(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])
