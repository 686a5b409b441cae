"""The operations of Pillow's ImageOps and ImageEnhance that RandAugment and TrivialAugment use beside the colours.

Images are float32 [B, H, W, C] in 0..255. Where Pillow looks values up in a table, they are rounded first.
"""

import jax
import jax.numpy as jnp

from cnn_jax.data.augment.colour import blend
from cnn_jax.data.augment.draws import per_image


def posterize(images: jax.Array, bits: jax.Array) -> jax.Array:
    """Keeps the first `bits` [B] of the 8 bits of every value."""
    step = per_image(2.0 ** (8 - bits))
    return jnp.floor(jnp.round(images) / step) * step


def solarize(images: jax.Array, threshold: jax.Array) -> jax.Array:
    """Inverts the values from the threshold [B] on."""
    return jnp.where(images >= per_image(threshold), 255 - images, images)


def autocontrast(images: jax.Array) -> jax.Array:
    """Stretches each channel to 0..255; one that has a single value stays as it is."""
    low, high = images.min(axis=(1, 2), keepdims=True), images.max(axis=(1, 2), keepdims=True)
    stretched = (images - low) * (255 / jnp.where(high > low, high - low, 1.0))
    return jnp.where(high > low, jnp.clip(stretched, 0.0, 255.0), images)


def equalize(images: jax.Array) -> jax.Array:
    """Makes each channel's cumulative histogram a straight line, by Pillow's integer rule."""
    batch, height, width, channels = images.shape
    values = jnp.round(images).astype(jnp.int32).transpose(0, 3, 1, 2).reshape(batch * channels, height * width)

    def one_channel(values: jax.Array) -> jax.Array:
        counts = jnp.zeros(256, jnp.int32).at[values].add(1)
        last = counts[values.max()]
        step = (height * width - last) // 255
        before = jnp.cumsum(counts) - counts
        table = jnp.minimum((before + step // 2) // jnp.maximum(step, 1), 255)
        return jnp.where(step == 0, values, table[values])

    equalized = jax.vmap(one_channel)(values).reshape(batch, channels, height, width)
    return equalized.transpose(0, 2, 3, 1).astype(jnp.float32)


def adjust_sharpness(images: jax.Array, factor: jax.Array) -> jax.Array:
    """Away from the smoothed image (factor [B] above 1) or towards it; border pixels stay as they are."""
    height, width = images.shape[1:3]
    if min(height, width) < 3:
        return images
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    window = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    smooth = (window + 4 * images[:, 1:-1, 1:-1]) / 13  # Pillow's SMOOTH: 1 all around, 5 in the middle
    return blend(images, images.at[:, 1:-1, 1:-1].set(smooth), factor)
