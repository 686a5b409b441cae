"""Batch normalization with a gradient that reads its input as seldom as it can."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

Statistics = tuple[jax.Array, jax.Array]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def batch_norm(
    images: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, axis: str | None = None
) -> tuple[jax.Array, Statistics]:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over batch, height and width (Ioffe & Szegedy 2015, alg. 1).

    Applied as one multiplication and one addition an element. Forward-mode differentiation (`jax.jvp`) raises.

    Args:
      images: [B, H, W, C]; half precision is computed in float32.
      scale, bias: [C].
      axis: of devices, over which the statistics are taken too.

    Returns:
      [B, H, W, C] in the type of the images; and the mean and the (biased) variance [C], which have no gradient.
    """
    return _forward(images, scale, bias, epsilon, axis)[0]


def normalized(images: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, known: Statistics) -> jax.Array:
    """The same with statistics that are known."""
    mean, variance = known
    factor = scale * lax.rsqrt(variance + epsilon)
    wide = images.astype(factor.dtype)
    return (wide * _row(factor) + _row(bias - mean * factor)).astype(images.dtype)


def _forward(
    images: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, axis: str | None
) -> tuple[tuple[jax.Array, Statistics], tuple[jax.Array, ...]]:
    wide = images.astype(scale.dtype)
    mean, squares = wide.mean((0, 1, 2)), (wide * wide).mean((0, 1, 2))
    if axis is not None:
        mean, squares = lax.pmean((mean, squares), axis)
    variance = jnp.maximum(squares - mean * mean, 0)  # which rounding could make negative
    output = normalized(images, scale, bias, epsilon, (mean, variance))
    return (output, (mean, variance)), (images, scale, mean, lax.rsqrt(variance + epsilon))


def _backward(
    epsilon: float, axis: str | None, residuals: tuple[jax.Array, ...], gradients: tuple[jax.Array, Statistics]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Section 3 of the paper, its sums over x instead of over x - mean, and dx as a line in dy and x."""
    images, scale, mean, inverse = residuals
    wide, dy = images.astype(scale.dtype), gradients[0].astype(scale.dtype)
    bias_gradient = dy.sum((0, 1, 2))
    scale_gradient = inverse * ((dy * wide).sum((0, 1, 2)) - mean * bias_gradient)
    count = images.size // images.shape[3]
    all_bias, all_scale = bias_gradient, scale_gradient
    if axis is not None:  # each device's parameters get its own part, its images all of them
        all_bias, all_scale = lax.psum((bias_gradient, scale_gradient), axis)
        count *= lax.axis_size(axis)
    factor = scale * inverse
    slope = -factor * inverse * all_scale / count
    images_gradient = dy * _row(factor) + (wide * _row(slope) - _row(factor * all_bias / count + slope * mean))
    return images_gradient.astype(images.dtype), scale_gradient, bias_gradient


batch_norm.defvjp(_forward, _backward)


def _row(channels: jax.Array) -> jax.Array:
    return channels.reshape(1, 1, 1, -1)
