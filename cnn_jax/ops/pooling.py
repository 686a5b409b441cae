"""Maximum and mean pooling, whose gradients are not select-and-scatter."""

import functools
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops.convolution import size_of

_MOST_BITS = 9  # of a window, in which where its maximum is can be kept for the way back


def max_pool(
    images: jax.Array, window: tuple[int, int], strides: tuple[int, int], padding: tuple[int, int] = (0, 0)
) -> jax.Array:
    """The maximum over each window; `padding` adds that many rows and columns of -inf on both sides.

    XLA's own gradient of it, select-and-scatter, costs more on CPU than the convolutions around it. Where windows do
    not overlap, this one keeps a bit for each pixel that says whether it is a maximum; else it is the maximum of
    strided slices, and so its gradient a sum of interleaved pads. Where several pixels of a window are the maximum
    they share the gradient. Forward-mode differentiation (`jax.jvp`) raises for windows that do not overlap.
    """
    if any(padding):
        spans = ((0, 0, 0), (padding[0], padding[0], 0), (padding[1], padding[1], 0), (0, 0, 0))
        images = lax.pad(images, jnp.array(-jnp.inf, images.dtype), spans)
    _check_window(images, window)
    if is_tiling(window, strides):
        return _max_of_tiles(images, window)
    return _pool(images, window, strides, jnp.maximum)


def is_tiling(window: tuple[int, int], strides: tuple[int, int], padding: tuple[int, int] = (0, 0)) -> bool:
    """Whether windows stand side by side, with few enough pixels for `max_and_where`."""
    return window == strides and not any(padding) and 1 < window[0] * window[1] <= _MOST_BITS


def mean_pool(images: jax.Array, window: tuple[int, int], strides: tuple[int, int]) -> jax.Array:
    """The mean over each window; rows and columns that do not fill a window are left out, as in PyTorch."""
    _check_window(images, window)
    return _pool(images, window, strides, operator.add) / (window[0] * window[1])


def _pool(
    images: jax.Array, window: tuple[int, int], strides: tuple[int, int], combine: Callable[..., jax.Array]
) -> jax.Array:
    batch, height, width, channels = images.shape
    rows = (height - window[0]) // strides[0] * strides[0] + 1
    columns = (width - window[1]) // strides[1] * strides[1] + 1
    slices = [
        lax.slice(images, (0, i, j, 0), (batch, i + rows, j + columns, channels), (1, *strides, 1))
        for i in range(window[0])
        for j in range(window[1])
    ]
    return functools.reduce(combine, slices)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_of_tiles(images: jax.Array, window: tuple[int, int]) -> jax.Array:
    return max_and_where(images, window)[0]


def max_and_where(images: jax.Array, window: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """The maxima, and in the bits of an integer which pixels of its window they are."""
    height, width = (size // step * step for size, step in zip(images.shape[1:3], window, strict=True))
    pixels = [images[:, i : height : window[0], j : width : window[1]] for i, j in _places(window)]
    maxima = functools.reduce(jnp.maximum, pixels)
    # Not by comparing with the maxima: XLA may compute the pixels again on the way back, rounded in another way than
    # when it computed the maxima, and none would be one. Among themselves they are always compared alike.
    bits = [
        functools.reduce(jnp.logical_and, [pixel >= other for other in pixels if other is not pixel])
        for pixel in pixels
    ]
    return maxima, functools.reduce(jnp.bitwise_or, [bit.astype(_kind(window)) << k for k, bit in enumerate(bits)])


def _max_forward(images: jax.Array, window: tuple[int, int]) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    maxima, where = max_and_where(images, window)
    return maxima, (where, jnp.zeros((0, *images.shape[1:3]), jnp.uint8))


def _max_backward(
    window: tuple[int, int], residuals: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array]:
    where, like = residuals
    return (to_maxima(gradient, where, window, like.shape[1:]),)


def to_maxima(gradient: jax.Array, where: jax.Array, window: tuple[int, int], size: tuple[int, int]) -> jax.Array:
    """The gradient of each window's maximum, given to the pixels that are it: maps of `size`, zero elsewhere."""
    batch, rows, columns, channels = gradient.shape
    shares = gradient / jnp.maximum(lax.population_count(where), 1).astype(gradient.dtype)  # a NaN is no maximum
    place = jnp.arange(window[0] * window[1], dtype=where.dtype).reshape(1, 1, window[0], 1, window[1], 1)
    is_maximum = (where[:, :, None, :, None, :] >> place) & 1 == 1
    spread = jnp.where(is_maximum, shares[:, :, None, :, None, :], 0)
    spread = spread.reshape(batch, rows * window[0], columns * window[1], channels)
    left = [(0, whole - full) for whole, full in zip(size, spread.shape[1:3], strict=True)]
    return jnp.pad(spread, ((0, 0), *left, (0, 0)))


_max_of_tiles.defvjp(_max_forward, _max_backward)


def _places(window: tuple[int, int]) -> list[tuple[int, int]]:
    return [(i, j) for i in range(window[0]) for j in range(window[1])]


def _kind(window: tuple[int, int]) -> type:
    return jnp.uint8 if window[0] * window[1] <= 8 else jnp.uint16


def _check_window(images: jax.Array, window: tuple[int, int]) -> None:
    if images.shape[1] < window[0] or images.shape[2] < window[1]:
        raise ValueError(f"a {window[0]}x{window[1]} pooling window does not fit into {size_of(images)}")
