"""The same pictures seen otherwise: shifted, turned, larger or smaller. uint8 [N, H, W, C] in, the same out."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.augment.geometry import matrix
from cnn_jax.data.augment.resample import affine

# What comes in where a picture is moved; names of the literature.
PROTOCOLS = {
    "crop": "pictures are enlarged by some pixels, and a window is cut out of them (Zhang 2019)",
    "zero": "black comes in (Azulay & Weiss 2019)",
    "circular": "what leaves on one side comes in on the other (Chaman & Dokmanic 2021)",
}
_BYTES = 64 * 2**20  # of the pixels that are turned at once, as float32


def shift(images: np.ndarray, offsets: np.ndarray, protocol: str) -> np.ndarray:
    """Moves each picture by whole pixels.

    Args:
      offsets: int [N, 2]: down and to the right.
      protocol: "zero" or "circular".
    """
    # Where each pixel comes from: [N, H] and [N, W].
    rows, columns = (np.arange(size) - offsets[:, axis, None] for axis, size in enumerate(images.shape[1:3]))
    if protocol == "circular":
        return _taken(images, rows % images.shape[1], columns % images.shape[2])
    height, width = images.shape[1:3]
    down, across = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    moved = _taken(images, rows.clip(0, height - 1), columns.clip(0, width - 1))
    moved[~(down[:, :, None] & across[:, None, :])] = 0
    return moved


def enlarge(images: np.ndarray, pixels: int) -> np.ndarray:
    """Bilinear, by so many rows and columns: out of it `cut` takes windows."""
    height, width, channels = images.shape[1:]
    larger = (height + pixels, width + pixels, channels)
    return _in_chunks(functools.partial(_resized, shape=larger), images)


def cut(images: np.ndarray, starts: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Windows of `size` that begin at starts, int [N, 2]: rows and columns."""
    rows, columns = (starts[:, axis, None] + np.arange(length) for axis, length in enumerate(size))
    return _taken(images, rows, columns)


def rotate(images: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """About the centre, counter-clockwise, by an angle for each picture [N]; bilinear, and black comes in."""
    angles = jnp.deg2rad(degrees.astype(np.float32))
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    return _mapped(images, matrix([[cos, sin, 0.0], [-sin, cos, 0.0]]))


def scale(images: np.ndarray, factor: float) -> np.ndarray:
    """Makes what is seen larger by a factor, about the centre; bilinear; around smaller pictures it is black."""
    size = jnp.full(len(images), 1 / factor)
    return _mapped(images, matrix([[size, 0.0, 0.0], [0.0, size, 0.0]]))


def _taken(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    taken: np.ndarray = images[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]
    return taken


def _mapped(images: np.ndarray, matrices: jax.Array) -> np.ndarray:
    return _in_chunks(_read_at, images, np.asarray(matrices))


@jax.jit
def _read_at(images: jax.Array, matrices: jax.Array) -> jax.Array:
    return _to_pixels(affine(images, matrices, "zero"))


@functools.partial(jax.jit, static_argnames="shape")
def _resized(images: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
    return _to_pixels(jax.image.resize(images.astype(jnp.float32), (len(images), *shape), "linear"))


def _to_pixels(values: jax.Array) -> jax.Array:
    return jnp.clip(jnp.round(values), 0, 255).astype(jnp.uint8)


def _in_chunks(function: Callable[..., jax.Array], images: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """function(images, *others) of parts that fit into memory; the last part is filled up, for one compilation."""
    size = max(1, min(len(images), _BYTES // (4 * images[0].size)))
    parts = []
    for start in range(0, len(images), size):
        arguments = [array[start : start + size] for array in (images, *others)]
        count = len(arguments[0])
        filled = [np.concatenate([array, np.repeat(array[-1:], size - count, axis=0)]) for array in arguments]
        parts.append(np.asarray(function(*filled))[:count])
    return np.concatenate(parts)
