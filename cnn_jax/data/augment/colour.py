"""What colours become, pixel by pixel; factors as in torchvision's ColorJitter.

Images are [B, H, W, C] with values in 0..255 and C = 1 or 3; results are float32, in 0..255, not rounded. The functions
with a factor [B] do the work, those with keys draw it.
"""

import jax
import jax.numpy as jnp

from cnn_jax.data.augment.draws import per_image, uniform

# ITU-R BT.601, as in Pillow's convert("L")
_LUMA = (0.299, 0.587, 0.114)


def luma(images: jax.Array) -> jax.Array:
    """The gray image [B, H, W, 1]."""
    if images.shape[-1] == 1:
        return images
    parts = [weight * images[..., i : i + 1] for i, weight in enumerate(_LUMA)]
    return parts[0] + parts[1] + parts[2]


def blend(images: jax.Array, others: jax.Array | float, factor: jax.Array) -> jax.Array:
    """factor * images + (1 - factor) * others, within 0..255; a factor [B] above 1 leads away from the others."""
    factor = per_image(factor)
    return jnp.clip(factor * images + (1 - factor) * others, 0.0, 255.0)


def adjust_brightness(images: jax.Array, factor: jax.Array) -> jax.Array:
    return blend(images, 0.0, factor)


def adjust_contrast(images: jax.Array, factor: jax.Array) -> jax.Array:
    """Towards the mean of the gray image, or away from it."""
    return blend(images, luma(images.mean(axis=(1, 2), keepdims=True, dtype=jnp.float32)), factor)


def adjust_saturation(images: jax.Array, factor: jax.Array) -> jax.Array:
    """Towards the gray image, or away from it."""
    return blend(images, luma(images), factor)


def adjust_hue(images: jax.Array, shift: jax.Array) -> jax.Array:
    """Turns the hue of HSV by a share of the circle; gray images have none and stay as they are."""
    if images.shape[-1] == 1:
        return images
    red, green, blue = (images[..., i].astype(jnp.float32) for i in range(3))
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    divisor = jnp.where(chroma == 0, 1.0, chroma)
    sixths = jnp.where(
        value == red, (green - blue) / divisor,
        jnp.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )  # fmt: skip
    sixths = sixths + 6 * shift.reshape(-1, 1, 1)
    channels = [value - chroma * _missing(sixths + n) for n in (5, 3, 1)]
    return jnp.clip(jnp.stack(channels, axis=-1), 0.0, 255.0)


def _missing(sixths: jax.Array) -> jax.Array:
    """A trapezoid with a period of 6: how much of a channel is missing at this distance from its colour."""
    turned = sixths - 6 * jnp.floor(sixths / 6)
    return jnp.clip(jnp.minimum(turned, 4 - turned), 0.0, 1.0)


def brightness(images: jax.Array, keys: jax.Array, most: float) -> jax.Array:
    """Multiplies by a factor drawn evenly from [max(0, 1 - most), 1 + most]."""
    return adjust_brightness(images, _factors(keys, most))


def contrast(images: jax.Array, keys: jax.Array, most: float) -> jax.Array:
    """Stretches about the mean gray by a factor drawn evenly from [max(0, 1 - most), 1 + most]."""
    return adjust_contrast(images, _factors(keys, most))


def saturation(images: jax.Array, keys: jax.Array, most: float) -> jax.Array:
    """Stretches about the gray image by a factor drawn evenly from [max(0, 1 - most), 1 + most]."""
    return images if images.shape[-1] == 1 else adjust_saturation(images, _factors(keys, most))


def hue(images: jax.Array, keys: jax.Array, most: float) -> jax.Array:
    """Turns the hue by a share of the circle drawn evenly from -most..most."""
    return adjust_hue(images, uniform(keys, -most, most))


def grayscale(images: jax.Array, keys: jax.Array, probability: float) -> jax.Array:
    """Takes the colour away with the given probability."""
    return jnp.where(per_image(uniform(keys) < probability), luma(images), images)


def _factors(keys: jax.Array, most: float) -> jax.Array:
    return uniform(keys, max(0.0, 1.0 - most), 1.0 + most)
