"""Maximum and mean pooling, whose gradients are not select-and-scatter."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnn_jax.ops.geometry import size_of, spans_of
from cnn_jax.ops.outline import outline

_Windows = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]  # size, strides, padding, dilation
_Residuals = tuple[jax.Array, jax.Array | None, jax.Array]  # argmax, sign, and what is as large as the images

_MAX_CHANNELS = 16  # for which XLA's own maximum is the slower one
_MAX_PIXELS = 9  # of a window: for larger ones it takes longer to say where the maximum is, and to compile that


def max_pool(
    images: jax.Array,
    window: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> jax.Array:
    """The maximum over each window: [B, H, W, C] -> [B, H', W', C], H' = floor((H + 2 padding - span) / stride) + 1.

    XLA's own gradient of it, select-and-scatter, costs more on CPU than the convolutions around it. Where windows do
    not overlap, this one keeps which pixel is the maximum, the first of equal ones, as XLA and PyTorch do. Where they
    overlap, it is on CPU the maximum of strided slices, whose gradient equal pixels share, and elsewhere XLA's own.
    Forward-mode differentiation (`jax.jvp`) raises.

    Args:
      window, strides: of height and width.
      padding: so many rows and columns of -inf are added on both sides.
      dilation: steps from one pixel of a window to the next; it spans (window - 1) * dilation + 1.

    Raises:
      ValueError: a window does not fit into the image.
    """
    _check_window(images, window, dilation, padding)
    if dilation != (1, 1):  # XLA's own has no gradient
        return _by_slices(images, (window, strides, padding, dilation))
    if is_tiling(window, strides):
        return _max_of_tiles(_padded(images, padding, -jnp.inf), window)
    return _max_of_windows(images, (window, strides, padding, dilation))


def is_tiling(window: tuple[int, int], strides: tuple[int, int], padding: tuple[int, int] = (0, 0)) -> bool:
    """Whether windows stand side by side, with so few pixels that `max_and_argmax` pays."""
    return window == strides and not any(padding) and 1 < window[0] * window[1] <= _MAX_PIXELS


def mean_pool(
    images: jax.Array,
    window: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> jax.Array:
    """The mean over each window: what does not fill one is left out, and padding counts as 0, as in PyTorch.

    Shapes, arguments and errors are those of `max_pool`.
    """
    _check_window(images, window, dilation, padding)
    images = _padded(images, padding, 0)
    return _pool(images, window, strides, operator.add, dilation) / (window[0] * window[1])


def adaptive_mean_pool(images: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Means over windows that cover any map: [B, H, W, C] -> [B, *size, C], as PyTorch's AdaptiveAvgPool2d.

    Window i of n reaches from floor(i * H / n) to ceil((i + 1) * H / n): windows overlap where n does not divide H, and
    a map that is smaller is repeated.
    """
    if images.shape[1:3] == size:
        return images
    rows, columns = (
        jnp.asarray(_window_means(there, here), images.dtype)
        for there, here in zip(images.shape[1:3], size, strict=True)
    )
    return jnp.einsum("bhwc,ih,jw->bijc", images, rows, columns)


def _window_means(size: int, windows: int) -> np.ndarray:
    """[windows, size]: each row takes the mean over its window."""
    places, window = np.arange(size), np.arange(windows)[:, None]
    inside = (places >= window * size // windows) & (places < -(-(window + 1) * size // windows))
    means: np.ndarray = inside / inside.sum(axis=1, keepdims=True)
    return means


def _padded(images: jax.Array, padding: tuple[int, int], value: float) -> jax.Array:
    if not any(padding):
        return images
    around = [(0, 0), *((amount, amount) for amount in padding), (0, 0)]
    return jnp.pad(images, around, constant_values=value)


def _pool(
    images: jax.Array,
    window: tuple[int, int],
    strides: tuple[int, int],
    combine: Callable[..., jax.Array],
    dilation: tuple[int, int] = (1, 1),
) -> jax.Array:
    return functools.reduce(combine, _pixels(images, window, strides, dilation))


def _pixels(
    images: jax.Array, window: tuple[int, int], strides: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> list[jax.Array]:
    """The first pixel of each window, the second, ..., along the rows: each [B, H', W', C]."""
    batch, height, width, channels = images.shape
    spans = spans_of(window, dilation)
    rows, columns = (
        (size - span) // step * step + 1 for size, span, step in zip((height, width), spans, strides, strict=True)
    )
    places = [(i * dilation[0], j * dilation[1]) for i in range(window[0]) for j in range(window[1])]
    return [
        lax.slice(images, (0, i, j, 0), (batch, i + rows, j + columns, channels), (1, *strides, 1)) for i, j in places
    ]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_of_windows(images: jax.Array, windows: _Windows) -> jax.Array:
    ways = {way: functools.partial(by, windows=windows) for way, by in _MAXIMA.items()}
    return lax.platform_dependent(images, **ways)


def _windows_forward(images: jax.Array, windows: _Windows) -> tuple[jax.Array, jax.Array]:
    return _max_of_windows(images, windows), images


def _windows_backward(windows: _Windows, images: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    # The platform is asked in here: asked before it is derived, what both ways keep would be kept.
    def pulled(by: Callable[..., jax.Array], x: jax.Array, g: jax.Array) -> jax.Array:
        return jax.vjp(functools.partial(by, windows=windows), x)[1](g)[0]

    ways = {way: functools.partial(pulled, by) for way, by in _MAXIMA.items()}
    return (lax.platform_dependent(images, gradient, **ways),)


_max_of_windows.defvjp(_windows_forward, _windows_backward)


def _by_slices(images: jax.Array, windows: _Windows) -> jax.Array:
    window, strides, padding, dilation = windows
    return _pool(_padded(images, padding, -jnp.inf), window, strides, jnp.maximum, dilation)


def _by_xla(images: jax.Array, windows: _Windows) -> jax.Array:
    window, strides, padding, dilation = windows
    around = [(0, 0), *((amount, amount) for amount in padding), (0, 0)]
    return lax.reduce_window(
        images, _smallest(images.dtype), lax.max, (1, *window, 1), (1, *strides, 1), around, None, (1, *dilation, 1)
    )


# On an H200 select-and-scatter takes half to two thirds of the time of the slices' gradient (3x3 windows, stride 2).
_MAXIMA: dict[str, Callable[..., jax.Array]] = {"cpu": _by_slices, "default": _by_xla}


def _smallest(dtype: Any) -> np.ndarray:
    return np.array(-jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min, dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_of_tiles(images: jax.Array, window: tuple[int, int]) -> jax.Array:
    if images.shape[3] <= _MAX_CHANNELS:
        return _maxima(images, None, window)
    # Without a gradient nothing else reads the images, and XLA computes this along with the convolution before it.
    return lax.reduce_window(images, _smallest(images.dtype), lax.max, (1, *window, 1), (1, *window, 1), "VALID")


def _max_forward(images: jax.Array, window: tuple[int, int]) -> tuple[jax.Array, _Residuals]:
    (maxima, _), residuals = _forward(images, None, window)
    return maxima, residuals


def _max_backward(window: tuple[int, int], residuals: _Residuals, gradient: jax.Array) -> tuple[jax.Array]:
    return (_backward(window, residuals, (gradient, None))[0],)


_max_of_tiles.defvjp(_max_forward, _max_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def max_and_argmax(images: jax.Array, sign: jax.Array | None, window: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """The maxima over tiles, and which pixel of its window each is, counted along the rows: the first of equal ones.

    Of a window with NaN the maximum is NaN, and the pixel any. The gradient of a maximum is that of its pixel.

    Args:
      images: [B, H, W, C].
      sign: [1, 1, 1, C] of 1 and -1, by which the images are multiplied first; it has no gradient.

    Returns:
      [B, H // height, W // width, C], in the type of the images and as uint8.
    """
    return outline(_maxima, images, sign, window=window), outline(_argmax, images, sign, window=window)


def _maxima(images: jax.Array, sign: jax.Array | None, window: tuple[int, int]) -> jax.Array:
    return _pool(_signed(images, sign), window, window, jnp.maximum)


def _argmax(images: jax.Array, sign: jax.Array | None, window: tuple[int, int]) -> jax.Array:
    maxima, *others = _pixels(_signed(images, sign), window, window)
    argmax = jnp.zeros(maxima.shape, jnp.uint8)
    for place, each in enumerate(others, start=1):
        argmax = jnp.where(each > maxima, jnp.uint8(place), argmax)
        maxima = jnp.maximum(maxima, each)
    return argmax


def _signed(images: jax.Array, sign: jax.Array | None) -> jax.Array:
    return images if sign is None else images * sign


def _forward(
    images: jax.Array, sign: jax.Array | None, window: tuple[int, int]
) -> tuple[tuple[jax.Array, jax.Array], _Residuals]:
    maxima, argmax = max_and_argmax(images, sign, window)
    return (maxima, argmax), (argmax, sign, jnp.zeros((0, *images.shape[1:3]), jnp.uint8))


def _backward(
    window: tuple[int, int], residuals: _Residuals, gradients: tuple[jax.Array, Any]
) -> tuple[jax.Array, jax.Array | None]:
    argmax, sign, like = residuals
    spread = outline(to_argmax, gradients[0], argmax, window=window, size=like.shape[1:])
    return _signed(spread, sign), None if sign is None else jnp.zeros_like(sign)


max_and_argmax.defvjp(_forward, _backward)


def to_argmax(gradient: jax.Array, argmax: jax.Array, window: tuple[int, int], size: tuple[int, ...]) -> jax.Array:
    """The gradient of each window's maximum, given to the pixel that it is: maps of `size`, zero elsewhere."""
    batch, rows, columns, channels = gradient.shape
    place = jnp.arange(window[0] * window[1], dtype=argmax.dtype).reshape(1, 1, window[0], 1, window[1], 1)
    is_maximum = argmax[:, :, None, :, None, :] == place
    wide = jnp.broadcast_to(gradient[:, :, None, :, None, :], is_maximum.shape)
    spread = lax.select(is_maximum, wide, jnp.zeros_like(wide))
    spread = spread.reshape(batch, rows * window[0], columns * window[1], channels)
    left = [(0, whole - full, 0) for whole, full in zip(size, spread.shape[1:3], strict=True)]
    return lax.pad(spread, jnp.zeros((), spread.dtype), [(0, 0, 0), *left, (0, 0, 0)])


def _check_window(
    images: jax.Array, window: tuple[int, int], dilation: tuple[int, int], padding: tuple[int, int]
) -> None:
    spans = spans_of(window, dilation)
    if any(size + 2 * amount < span for size, amount, span in zip(images.shape[1:3], padding, spans, strict=True)):
        raise ValueError(f"a {spans[0]}x{spans[1]} pooling window does not fit into {size_of(images)}")
