"""Blur pooling: what is too fine for the smaller map is taken out before pixels are left out.

Filters and maxima go along one axis and then along the other. XLA fuses the way back of slices into loops that look for
borders at each element, and a mirrored border into all of them: taken apart, with arrays that are there in between, it
takes a tenth of the time on CPU.
"""

import functools
import math
import operator
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnn_jax.ops.geometry import same_padding, size_of

_AXES = (1, 2)  # height and width
_made = lax.optimization_barrier  # an array that is there, not computed anew by each of its readers


def binomial_filter(size: int) -> np.ndarray:
    """Weights float64 [size] that sum to 1: 3 gives (1, 2, 1) / 4."""
    return np.array([math.comb(size - 1, place) for place in range(size)]) / 2 ** (size - 1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def blur_pool(images: jax.Array, size: int = 4, strides: tuple[int, int] = (2, 2)) -> jax.Array:
    """Each channel under a binomial filter, of which every so many pixels are kept (Zhang 2019, section 3.2).

    Images are mirrored at their borders, as in the paper's code; a map that is smaller than the filter again and again.
    Forward-mode differentiation (`jax.jvp`) raises.

    Args:
      images: [B, H, W, C].
      size: side of the filter; of an even one the larger half reaches down and to the right.
      strides: of height and width.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), C].
    """
    x = _mirrored(images, size)
    for axis, stride in zip(_AXES, strides, strict=True):
        x = _filtered(_made(x), axis, size, stride)
    return x


def _forward(images: jax.Array, size: int, strides: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    return blur_pool(images, size, strides), jnp.zeros((0, *images.shape[1:3]))


def _backward(size: int, strides: tuple[int, int], like: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    height, width = like.shape[1:]
    for axis, stride, length in ((2, strides[1], width), (1, strides[0], height)):
        gradient = _spread(_made(gradient), axis, size, stride, length + size - 1)
    return (_made(_folded(_made(gradient), size, (height, width))),)


blur_pool.defvjp(_forward, _backward)


def blur_max_pool(
    images: jax.Array, window: tuple[int, int], strides: tuple[int, int], padding: tuple[int, int] = (0, 0),
    size: int = 4,
) -> jax.Array:  # fmt: skip
    """The maximum over every window, and then `blur_pool`: shapes and errors are those of `max_pool`.

    Equal pixels of a window share its gradient. Padding is -inf, which no window may hold alone.
    """
    x = images
    if any(padding):
        around = [(0, 0), *((amount, amount) for amount in padding), (0, 0)]
        x = jnp.pad(images, around, constant_values=-jnp.inf)
    for axis, length in zip(_AXES, window, strict=True):
        if x.shape[axis] < length:
            raise ValueError(f"a {window[0]}x{window[1]} pooling window does not fit into {size_of(images)}")
        for _ in range(length - 1):
            x = _max_of_pairs(x, axis)
    return blur_pool(x, size, strides)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_of_pairs(x: jax.Array, axis: int) -> jax.Array:
    """Of each pixel and the next one: one pixel less."""
    return jnp.maximum(*_pairs(x, axis))


def _pairs(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    last = x.shape[axis] - 1
    return lax.slice_in_dim(x, 0, last, 1, axis), lax.slice_in_dim(x, 1, last + 1, 1, axis)


def _pairs_forward(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    return _max_of_pairs(x, axis), x


def _pairs_backward(axis: int, x: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    first, second = _pairs(x, axis)
    of_first = _made(jnp.where(first > second, gradient, jnp.where(first == second, gradient / 2, 0)))
    of_second = _made(gradient - of_first)
    return (jnp.pad(of_first, _around(axis, (0, 1))) + jnp.pad(of_second, _around(axis, (1, 0))),)


_max_of_pairs.defvjp(_pairs_forward, _pairs_backward)


def _mirrored(images: jax.Array, size: int) -> jax.Array:
    return jnp.pad(images, ((0, 0), *same_padding((size, size)), (0, 0)), mode="reflect")


def _folded(gradient: jax.Array, size: int, shape: tuple[int, int]) -> jax.Array:
    """The gradient of what was mirrored: [B, H + size - 1, W + size - 1, C] -> [B, H, W, C]."""
    if min(shape) <= size // 2:  # mirrored more than once
        like = jnp.zeros((gradient.shape[0], *shape, gradient.shape[3]), gradient.dtype)
        return jax.vjp(functools.partial(_mirrored, size=size), like)[1](gradient)[0]
    (before, behind), _ = same_padding((size, size))
    for axis, length in zip(_AXES, shape, strict=True):
        ends = (0, before), (before + length, before + length + behind)
        first, last = (jnp.flip(lax.slice_in_dim(gradient, *end, 1, axis), axis) for end in ends)
        inside = lax.slice_in_dim(gradient, before, before + length, 1, axis)
        inside = _plus(inside, first, axis, 1)
        gradient = _made(_plus(inside, last, axis, length - 1 - behind))
    return gradient


def _plus(x: jax.Array, part: jax.Array, axis: int, start: int) -> jax.Array:
    place = (slice(None),) * axis + (slice(start, start + part.shape[axis]),)
    return x.at[place].add(part)


def _filtered(x: jax.Array, axis: int, size: int, stride: int) -> jax.Array:
    outputs = (x.shape[axis] - size) // stride + 1
    moved = (lax.slice_in_dim(x, i, i + (outputs - 1) * stride + 1, stride, axis) for i in range(size))
    return _weighted(moved, binomial_filter(size))


def _spread(gradient: jax.Array, axis: int, size: int, stride: int, length: int) -> jax.Array:
    """The gradient of what was filtered, `length` pixels along the axis.

    Pixels that stand `stride` apart are reached by the same weights of the filter: they are computed together.
    """
    reach, pixels = (size - 1) // stride, -(-length // stride)
    padded = _made(jnp.pad(gradient, _around(axis, (reach, pixels - gradient.shape[axis]))))
    phases: list[jax.Array] = []
    for phase in range(stride):
        taps = range(phase, size, stride)
        if not taps:  # a stride longer than the filter passes these pixels by
            phases.append(jnp.zeros_like(phases[0]))
            continue
        starts = (reach - (tap - phase) // stride for tap in taps)
        moved = (lax.slice_in_dim(padded, start, start + pixels, 1, axis) for start in starts)
        phases.append(_made(_weighted(moved, binomial_filter(size)[phase::stride])))
    shape = (*gradient.shape[:axis], pixels * stride, *gradient.shape[axis + 1 :])
    return lax.slice_in_dim(jnp.stack(phases, axis + 1).reshape(shape), 0, length, 1, axis)


def _weighted(arrays: Iterable[jax.Array], weights: np.ndarray) -> jax.Array:
    return functools.reduce(operator.add, (float(weight) * x for weight, x in zip(weights, arrays, strict=True)))


def _around(axis: int, amounts: tuple[int, int]) -> list[tuple[int, int]]:
    return [amounts if each == axis else (0, 0) for each in range(4)]
