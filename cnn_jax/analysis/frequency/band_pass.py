"""Images without their low or high frequencies, and what a network still gets right of them (Wang et al. 2020)."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.frequency.spectrum import frequency_radius
from cnn_jax.analysis.layers import Apply

Band = tuple[float, float]  # radii: from the first, up to but without the second

EVERYTHING = float("inf")


def low_pass(images: jax.Array | np.ndarray, radius: float) -> jax.Array:
    """What lies below a radius: distance < radius, as in the authors' code (the paper has <=).

    At 0 nothing is left, below the first wave the mean of each channel, and at infinity all.

    Args:
      images: [B, H, W, C].
      radius: in waves over the shorter side; of square images, in steps of the transform.

    Returns:
      float32, the same shape and unit, not clipped.
    """
    return band_pass(images, 0, radius)


def high_pass(images: jax.Array | np.ndarray, radius: float) -> jax.Array:
    """The rest of `low_pass`: the two add up to the image."""
    return band_pass(images, radius, EVERYTHING)


def band_pass(images: jax.Array | np.ndarray, low: float, high: float) -> jax.Array:
    """What lies at low <= distance < high; see `low_pass`."""
    images = jnp.asarray(images)
    return _masked(images, jnp.asarray(band_mask(images.shape[1], images.shape[2], (low, high))))


def band_mask(height: int, width: int, band: Band) -> np.ndarray:
    """bool [H, W], frequency 0 in the middle."""
    distance = frequency_radius(height, width)
    return (distance >= band[0]) & (distance < band[1])


def count_correct(
    apply: Apply,
    variables: object,
    images: np.ndarray,
    labels: np.ndarray,
    bands: Sequence[Band],
    batch_size: int,
    advance: Callable[[float], object] = lambda share: None,
) -> np.ndarray:
    """How many images a network gets right from each band alone: [bands] integers.

    Args:
      apply: (variables, pixels [B, H, W, C]) -> logits; what is filtered is given to it as it is, below 0 and above
        255, too.
      images: [N, H, W, C], pixels.
      labels: [N].
      bands: radii; (0, infinity) is the image itself.
      batch_size: images at once.
      advance: is told which share is done since the last call.
    """
    masks = [jnp.asarray(band_mask(images.shape[1], images.shape[2], band)) for band in bands]
    batch_size = min(batch_size, len(images))

    @jax.jit
    def correct(weights: object, pixels: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
        return (apply(weights, _masked(pixels, mask)).argmax(-1) == targets).sum()

    counts = np.zeros(len(bands), np.int64)
    for start in range(0, len(images), batch_size):
        stop = min(start + batch_size, len(images))
        # The last batch is filled up with images that no label fits.
        index = np.arange(start, start + batch_size) % len(images)
        targets = np.where(np.arange(start, start + batch_size) < stop, labels[index], -1)
        pixels, wanted = jnp.asarray(images[index]), jnp.asarray(targets)
        counts += np.array([int(correct(variables, pixels, wanted, mask)) for mask in masks])
        advance((stop - start) / len(images))
    return counts


@jax.jit
def _masked(images: jax.Array, mask: jax.Array) -> jax.Array:
    """Images [B, H, W, C] of which only the frequencies of a mask [H, W], symmetric around its middle, are left."""
    height, width = images.shape[1:3]
    half = jnp.fft.ifftshift(mask)[None, :, : width // 2 + 1, None]
    transformed = jnp.fft.rfft2(images.astype(jnp.float32), axes=(1, 2))
    return jnp.fft.irfft2(jnp.where(half, transformed, 0), (height, width), axes=(1, 2))
