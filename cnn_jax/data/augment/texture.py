"""Noise and blur."""

import math

import jax
import jax.numpy as jnp

from cnn_jax.data.augment.draws import per_image, uniform

# From here on a Gaussian's weights are below 1.1 % of its highest.
_SIGMAS = 3.0


def noise(images: jax.Array, keys: jax.Array, std: float) -> jax.Array:
    """Adds Gaussian noise with this standard deviation in gray levels to every value."""
    # Drawn flat: the counters of an array with several axes cost more than the noise itself on CPU.
    normal = jax.vmap(lambda key: jax.random.normal(key, (math.prod(images.shape[1:]),)))(keys)
    return jnp.clip(images + std * normal.reshape(images.shape), 0.0, 255.0)


def blur(images: jax.Array, keys: jax.Array, most: float) -> jax.Array:
    """A Gaussian blur whose sigma, in pixels, is drawn evenly from [0, most]."""
    return gaussian_blur(images, uniform(keys, 0.0, most), max(1, int(_SIGMAS * most + 0.5)))


def gaussian_blur(images: jax.Array, sigma: jax.Array, radius: int) -> jax.Array:
    """Each image [B, H, W, C] with its own sigma [B]; the kernel ends at `radius`; borders are mirrored ("reflect").

    Two passes of shifts and adds: on CPU several times faster than a convolution with a kernel per image.
    """
    distances = jnp.arange(-radius, radius + 1)[None]
    weights = jnp.exp(-0.5 * jnp.square(distances / jnp.maximum(sigma, 1e-3)[:, None]))
    weights = weights / weights.sum(axis=1, keepdims=True)
    height, width = images.shape[1:3]
    rows = jnp.pad(images.astype(jnp.float32), ((0, 0), (radius, radius), (0, 0), (0, 0)), mode="reflect")
    images = sum((per_image(weights[:, i]) * rows[:, i : i + height] for i in range(2 * radius + 1)), jnp.float32(0))
    columns = jnp.pad(images, ((0, 0), (0, 0), (radius, radius), (0, 0)), mode="reflect")
    return sum((per_image(weights[:, i]) * columns[:, :, i : i + width] for i in range(2 * radius + 1)), jnp.float32(0))
