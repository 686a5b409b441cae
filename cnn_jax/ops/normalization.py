"""Batch normalization with a gradient that reads its input as seldom as it can."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops.outline import outline
from cnn_jax.ops.pooling import max_and_argmax, to_argmax
from cnn_jax.ops.sums import sums_of_images

Statistics = tuple[jax.Array, jax.Array]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def batch_norm(
    images: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    epsilon: float,
    axis: str | None = None,
    window: tuple[int, int] | None = None,
) -> tuple[jax.Array, Statistics]:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over batch, height and width (Ioffe & Szegedy 2015, alg. 1).

    Applied as one multiplication and one addition an element. Forward-mode differentiation (`jax.jvp`) raises.

    Args:
      images: [B, H, W, C]; half precision is computed in float32.
      scale, bias: [C].
      axis: of devices, over which the statistics are taken too.
      window: only the maximum of each of these is wanted: `max_pool(result, window, window)`, without ever making the
        result in full. A maximum and what rises commute, so it is taken first; and both gradients that are sums need
        only what the maxima are.

    Returns:
      [B, H, W, C] in the type of the images, or [B, H // height, W // width, C] with a window; and the mean and the
      (biased) variance [C], which have no gradient.
    """
    return _forward(images, scale, bias, epsilon, axis, window)[0]


def normalized(images: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, known: Statistics) -> jax.Array:
    """The same with statistics that are known, and no window."""
    mean, variance = known
    factor = scale * lax.rsqrt(variance + epsilon)
    wide = images.astype(factor.dtype)
    return (wide * _row(factor) + _row(bias - mean * factor)).astype(images.dtype)


def local_response_norm(
    images: jax.Array, window: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> jax.Array:
    """x / (k + alpha * sum of x^2 over the `window` channels around x)^beta (Krizhevsky et al. 2012, section 3.3).

    As in the paper, alpha is a factor of the sum. In PyTorch and Caffe it is a factor of the mean: theirs is `window`
    times this one.

    Args:
      images: [B, H, W, C]; half precision is computed in float32.

    Returns:
      The same shape and type.
    """
    wide = images.astype(jnp.promote_types(images.dtype, jnp.float32))
    channels = images.shape[3]
    squares = jnp.pad(wide * wide, ((0, 0), (0, 0), (0, 0), (window // 2, (window - 1) // 2)))
    total = sum((squares[..., i : i + channels] for i in range(1, window)), squares[..., :channels])
    return (wide * (k + alpha * total) ** -beta).astype(images.dtype)


def _forward(
    images: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    epsilon: float,
    axis: str | None,
    window: tuple[int, int] | None,
) -> tuple[tuple[jax.Array, Statistics], tuple[Any, ...]]:
    wide = images.astype(scale.dtype)
    count = images.size // images.shape[3]
    mean, squares = (of_images.sum(0) / count for of_images in outline(_moments, wide))
    if axis is not None:
        mean, squares = lax.pmean((mean, squares), axis)
    variance = jnp.maximum(squares - mean * mean, 0)  # which rounding could make negative
    chosen, argmax = images, None
    if window is not None:  # a negative scale makes a minimum of the maximum
        sign = _row(jnp.where(scale < 0, -1, 1).astype(images.dtype))
        maxima, argmax = max_and_argmax(images, sign, window)
        chosen = maxima * sign
    output = normalized(chosen, scale, bias, epsilon, (mean, variance))
    kept = None if argmax is None else chosen
    return (output, (mean, variance)), (images, scale, mean, lax.rsqrt(variance + epsilon), kept, argmax)


def _backward(
    epsilon: float,
    axis: str | None,
    window: tuple[int, int] | None,
    residuals: tuple[Any, ...],
    gradients: tuple[jax.Array, Statistics],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Section 3 of the paper, its sums over x instead of over x - mean, and dx as a line in dy and x."""
    images, scale, mean, inverse, maxima, argmax = residuals
    wide, dy = images.astype(scale.dtype), gradients[0].astype(scale.dtype)
    chosen = wide if maxima is None else maxima.astype(scale.dtype)
    bias_gradient, of_chosen = (of_images.sum(0) for of_images in outline(_products, dy, chosen))
    scale_gradient = inverse * (of_chosen - mean * bias_gradient)
    count = images.size // images.shape[3]
    all_bias, all_scale = bias_gradient, scale_gradient
    if axis is not None:  # each device's parameters get its own part, its images all of them
        all_bias, all_scale = lax.psum((bias_gradient, scale_gradient), axis)
        count *= lax.axis_size(axis)
    factor = scale * inverse
    slope = -factor * inverse * all_scale / count
    steep = dy * _row(factor)
    if window is not None:
        steep = to_argmax(steep, argmax, window, images.shape[1:3])
    images_gradient = steep + (wide * _row(slope) - _row(factor * all_bias / count + slope * mean))
    return images_gradient.astype(images.dtype), scale_gradient, bias_gradient


batch_norm.defvjp(_forward, _backward)


# Sums of each image first, then of those: where XLA adds 200,000 numbers in a row, a variance is off by 1e-5.
def _moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[B, H, W, C] -> sums and sums of squares [B, C]."""
    return sums_of_images(x), sums_of_images(x * x)


def _products(dy: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return sums_of_images(dy), sums_of_images(dy * x)


def _row(channels: jax.Array) -> jax.Array:
    return channels.reshape(1, 1, 1, -1)
