"""Where pixels go: affine maps, flips and crops."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnn_jax.data.augment.boxes import ATTEMPTS, resized_crop_boxes
from cnn_jax.data.augment.draws import Draws, integers, per_image, uniform
from cnn_jax.data.augment.resample import pad, sample

_SIGMAS = 2  # so far beyond the borders there is noise; what more would change in a correlation is below 0.0003

# Affine maps (keys [B], strength) -> matrices [B, 3, 3] from a place in the result to the place in the image that it
# shows; (row, column, 1) from the centre. Of operations one after the other, the product of their matrices in the same
# order is one map, and one interpolation.


def rotation(keys: jax.Array, degrees: float) -> jax.Array:
    """About the centre by an angle drawn evenly from -degrees..degrees."""
    angle = jnp.deg2rad(uniform(keys, -degrees, degrees))
    return matrix([[jnp.cos(angle), -jnp.sin(angle), 0.0], [jnp.sin(angle), jnp.cos(angle), 0.0]])


def translation(keys: jax.Array, pixels: int) -> jax.Array:
    """By whole pixels; the same draws as `translate`."""
    offsets = (_offsets(keys, pixels) - pixels).astype(jnp.float32)
    return matrix([[1.0, 0.0, offsets[:, 0]], [0.0, 1.0, offsets[:, 1]]])


def scaling(keys: jax.Array, most: float) -> jax.Array:
    """Magnifies by a factor whose logarithm is drawn evenly from that of [1 / (1 + most), 1 + most]."""
    limit = float(np.log1p(most))
    factor = jnp.exp(uniform(keys, -limit, limit))
    return matrix([[1 / factor, 0.0, 0.0], [0.0, 1 / factor, 0.0]])


def shearing(keys: jax.Array, degrees: float) -> jax.Array:
    """Along the columns and then along the rows, by two angles drawn evenly from -degrees..degrees; areas are kept."""
    slope = jnp.tan(jnp.deg2rad(uniform(keys, -degrees, degrees, (2,))))
    return matrix([[1 + slope[:, 0] * slope[:, 1], slope[:, 0], 0.0], [slope[:, 1], 1.0, 0.0]])


def elastic(keys: jax.Array, size: tuple[int, int], waves: tuple[float, float]) -> jax.Array:
    """Displacements along rows and columns, normally distributed: keys [B], waves (pixels, sigma) -> [B, 2, H, W].

    White noise under a Gaussian of `sigma` pixels (Simard, Steinkraus & Platt 2003, section 2), with a standard
    deviation of `pixels` everywhere, at borders too; what is d pixels apart correlates with exp(-d^2 / (4 sigma^2)).
    The noise is drawn every sigma pixels, which is as good to 0.0003 and takes fewer draws the smoother it is.
    """
    pixels, sigma = waves
    down, across = (_waves(length, sigma) for length in size)
    shape = (2, down.shape[1], across.shape[1])
    # Drawn flat, as in `texture.noise`.
    noise = jax.vmap(lambda key: jax.random.normal(key, (math.prod(shape),)))(keys).reshape(-1, *shape)
    return pixels * jnp.einsum("hi,bkij,wj->bkhw", down, noise, across, precision=lax.Precision.HIGHEST)


def _waves(length: int, sigma: float) -> np.ndarray:
    """Weights [length, points], their squares summing to 1: Gaussians about points every sigma from end to end."""
    points = np.arange(-_SIGMAS, (length - 1) / sigma + _SIGMAS + 1) * sigma
    weights = np.exp(-0.5 * np.square((np.arange(length)[:, None] - points) / sigma))
    return (weights / np.sqrt(np.square(weights).sum(axis=1, keepdims=True))).astype(np.float32)


def matrix(rows: Sequence[Sequence[jax.Array | float]]) -> jax.Array:
    """[[a, b, c], [d, e, f]], each a number or [B] -> [B, 3, 3] with (0, 0, 1) below."""
    size = max(jnp.size(entry) for row in rows for entry in row)
    entries = [jnp.broadcast_to(jnp.asarray(entry, jnp.float32).reshape(-1), (size,))
               for row in (*rows, [0.0, 0.0, 1.0]) for entry in row]  # fmt: skip
    return jnp.stack(entries, axis=-1).reshape(size, 3, 3)


# Operations (images [B, H, W, C], keys [B], strength) -> images of the same shape; flips and shifts by whole pixels
# keep the type, what interpolates gives float32.


def translate(images: jax.Array, keys: jax.Array, pixels: int, padding_mode: str = "zero") -> jax.Array:
    """Shifts by whole pixels, up to `pixels` each way along both axes, evenly drawn; what comes in is padding."""
    padded = pad(images, pixels, padding_mode)

    def crop(image: jax.Array, offset: jax.Array) -> jax.Array:
        return lax.dynamic_slice(image, (offset[0], offset[1], 0), images.shape[1:])

    return jax.vmap(crop)(padded, _offsets(keys, pixels))


def flip(images: jax.Array, keys: jax.Array, probability: float) -> jax.Array:
    """Mirrors left and right with the given probability."""
    return jnp.where(per_image(uniform(keys) < probability), images[:, :, ::-1], images)


def vertical_flip(images: jax.Array, keys: jax.Array, probability: float) -> jax.Array:
    """Mirrors top and bottom with the given probability."""
    return jnp.where(per_image(uniform(keys) < probability), images[:, ::-1], images)


def alternating_flip(images: jax.Array, draws: Draws, position: int) -> jax.Array:
    """Mirrors a fixed random half of the examples in even epochs and the other half in odd ones.

    So two epochs show each example both ways (Jordan 2024, arXiv 2404.00498, section 3.6).
    """
    first_half = jax.vmap(jax.random.bernoulli)(draws.fixed_keys(position))
    return jnp.where(per_image(first_half ^ (draws.epoch % 2 == 1)), images[:, :, ::-1], images)


def random_resized_crop(images: jax.Array, keys: jax.Array, area: tuple[float, float]) -> jax.Array:
    """A box with a share of the area within `area` and an aspect ratio of 3/4 to 4/3, stretched to the whole image.

    Bilinear; without antialiasing, which only shrinking needs. See `boxes.resized_crop_boxes`.
    """
    batch, height, width = images.shape[:3]
    uniforms = uniform(keys, shape=(ATTEMPTS, 4))
    box = resized_crop_boxes(uniforms, np.full(batch, height), np.full(batch, width), area, xp=jnp)
    return crop_and_resize(images, *box)


def crop_and_resize(
    images: jax.Array, top: jax.Array, left: jax.Array, height: jax.Array, width: jax.Array
) -> jax.Array:
    """Stretches a box [B] of each image to the image's size; what stands outside of the box does not show through."""

    def places(start: jax.Array, length: jax.Array, size: int) -> jax.Array:
        start, length = start[:, None], length[:, None]
        inside = (jnp.arange(size)[None] + 0.5) * (length / size) - 0.5
        return start + jnp.clip(inside, 0.0, length - 1)

    rows, columns = places(top, height, images.shape[1]), places(left, width, images.shape[2])
    return sample(images, rows[:, :, None], columns[:, None, :], "extend")


def _offsets(keys: jax.Array, pixels: int) -> jax.Array:
    return integers(keys, 0, 2 * pixels + 1, (2,))
