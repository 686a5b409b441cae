"""Depthwise convolution, each channel by itself, as a sum of shifted products.

There is nothing in it for a matrix product: each pixel of the window is the whole map, moved, times a number a channel.
XLA makes one loop of all of them, which takes about as long as memory does; its own convolution, 10 to 60 times that.
"""

import functools
import itertools
import operator
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops.geometry import Geometry, Padding, spans_of
from cnn_jax.ops.sums import sums_of_images

_MAX_PIXELS = 49  # of a window: each is an operation to compile
_ROWS, _MAX_ROWS = 14, 32  # of a map that are best, and at most, added up in one loop


def is_profitable(kernel: jax.Array, geometry: Geometry) -> bool:
    """Whether this beats XLA on CPU for a kernel [height, width, in / groups, out]."""
    height, width, channels, features = kernel.shape
    return channels == 1 < geometry.groups == features and height * width <= _MAX_PIXELS


def conv(images: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """[B, H, W, C], [height, width, 1, C] -> [B, H', W', C]; half precision is computed in float32."""
    padded = _padded(images, geometry.padding)
    spans = spans_of((kernel.shape[0], kernel.shape[1]), geometry.dilation)
    rows, columns = (
        (size - span) // stride + 1
        for size, span, stride in zip(padded.shape[1:3], spans, geometry.strides, strict=True)
    )
    moved = [_moved(padded, place, (rows, columns), geometry.strides) for place in _places(kernel, geometry)]
    return _sum_of_products(moved, _weights(kernel)).astype(images.dtype)


def images_gradient(gradient: jax.Array, kernel: jax.Array, geometry: Geometry, size: tuple[int, int]) -> jax.Array:
    """[B, H', W', C] -> [B, H, W, C]: the pixels of each phase of the strides are reached by the same of a window."""
    down, across = (
        _phases(*each)
        for each in zip(size, kernel.shape[:2], geometry.strides, geometry.padding, geometry.dilation, strict=True)
    )  # fmt: skip
    around = _reach(down, gradient.shape[1]), _reach(across, gradient.shape[2])
    padded, weights = _padded(gradient, around), _weights(kernel)
    whole = jnp.zeros((gradient.shape[0], *size, gradient.shape[3]), padded.dtype)
    for rows, columns in itertools.product(down, across):
        pairs = list(itertools.product(rows.taps, columns.taps))
        places = [(around[0][0] + i, around[1][0] + j) for (_, i), (_, j) in pairs]
        moved = [_moved(padded, place, (rows.pixels, columns.pixels), (1, 1)) for place in places]
        part = _sum_of_products(moved, [weights[i * kernel.shape[1] + j] for (i, _), (j, _) in pairs])
        between = [
            phase.around(n, step) for phase, n, step in zip((rows, columns), size, geometry.strides, strict=True)
        ]
        whole = whole + lax.pad(part, jnp.zeros((), part.dtype), [(0, 0, 0), *between, (0, 0, 0)])
    return whole.astype(gradient.dtype)


def kernel_gradient(images: jax.Array, gradient: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """[B, H, W, C], [B, H', W', C] -> [height, width, 1, C].

    A few rows of a map are added up as they are multiplied, in one loop with all channels side by side.
    """
    rows, columns = gradient.shape[1:3]
    divisors = [n for n in range(1, _MAX_ROWS + 1) if rows % n == 0]
    terms = min(divisors, key=lambda n: abs(n - _ROWS))
    apart = rows // terms
    padded, wide = _padded(images, geometry.padding), _wide(gradient)
    sums = []
    for i, j in _places(kernel, geometry):
        starts = [i + n * apart * geometry.strides[0] for n in range(terms)]
        moved = [_moved(padded, (start, j), (apart, columns), geometry.strides) for start in starts]
        others = [wide[:, n * apart : (n + 1) * apart] for n in range(terms)]
        sums.append(sums_of_images(_sum_of_products(moved, others)).sum(0))
    return jnp.stack(sums).reshape(kernel.shape).astype(kernel.dtype)


class _Phase(NamedTuple):
    """The pixels first, first + stride, ... of an axis."""

    first: int
    pixels: int
    taps: list[tuple[int, int]]  # which of the window, and how many outputs further on

    def around(self, size: int, stride: int) -> tuple[int, int, int]:
        """What zeros spread these over an axis of `size`: before, behind, between."""
        return self.first, size - self.first - (self.pixels - 1) * stride - 1, stride - 1


def _phases(size: int, side: int, stride: int, padding: tuple[int, int], step: int) -> list[_Phase]:
    """Pixel p is what output o sees through i where o * stride + i * step = p + padding."""
    phases = []
    for first in range(min(stride, size)):
        reached = [(i, first + padding[0] - i * step) for i in range(side)]
        taps = [(i, place // stride) for i, place in reached if place % stride == 0]
        if taps:
            phases.append(_Phase(first, -(-(size - first) // stride), taps))
    return phases


def _reach(phases: list[_Phase], size: int) -> tuple[int, int]:
    """How far they reach beyond an axis of so many outputs, before and behind."""
    outputs = [(further, further + phase.pixels) for phase in phases for _, further in phase.taps]
    return max(0, *(-first for first, _ in outputs), 0), max(0, *(last - size for _, last in outputs), 0)


def _places(kernel: jax.Array, geometry: Geometry) -> list[tuple[int, int]]:
    """Where the pixels of a window are, along its rows."""
    down, across = geometry.dilation
    return [(i * down, j * across) for i in range(kernel.shape[0]) for j in range(kernel.shape[1])]


def _moved(x: jax.Array, place: tuple[int, int], size: tuple[int, int], strides: tuple[int, int]) -> jax.Array:
    ends = [start + (n - 1) * stride + 1 for start, n, stride in zip(place, size, strides, strict=True)]
    return lax.slice(x, (0, *place, 0), (x.shape[0], *ends, x.shape[3]), (1, *strides, 1))


def _sum_of_products(arrays: Iterable[jax.Array], others: Iterable[jax.Array]) -> jax.Array:
    return functools.reduce(operator.add, map(operator.mul, arrays, others))


def _weights(kernel: jax.Array) -> Sequence[jax.Array]:
    """A row [1, 1, 1, C] for each pixel of the window."""
    return list(_wide(kernel).reshape(-1, 1, 1, 1, kernel.shape[3]))


def _padded(x: jax.Array, padding: Padding) -> jax.Array:
    """Made once: each product would else look for the border at each of its elements."""
    return lax.optimization_barrier(_wide(jnp.pad(x, ((0, 0), *padding, (0, 0)))))


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
