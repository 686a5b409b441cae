"""Images read at places between their pixels."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp

from cnn_jax.ops import PAD_MODES


def sample(images: jax.Array, rows: jax.Array, columns: jax.Array, padding_mode: str) -> jax.Array:
    """Bilinear interpolation.

    Args:
      images: [B, H, W, C], of any type.
      rows, columns: the places in pixels (0 is the centre of the first one), [B, h, w], or [B, h, 1] and [B, 1, w].
      padding_mode: what stands beyond the border: "zero", "extend", "reflect" or "wrap".

    Returns:
      float32 [B, h, w, C].
    """
    batch, height, width, channels = images.shape
    # One gather from all pixels of the batch is twice as fast on CPU as one gather per image.
    pixels = images.astype(jnp.float32).reshape(-1, channels)
    start = (jnp.arange(batch) * (height * width)).reshape(-1, 1, 1)
    terms = [
        (row_weight * column_weight)[..., None]
        * pixels.at[start + row * width + column].get(mode="promise_in_bounds")
        for row, row_weight in _neighbours(rows, height, padding_mode)
        for column, column_weight in _neighbours(columns, width, padding_mode)
    ]  # fmt: skip
    return terms[0] + terms[1] + terms[2] + terms[3]


def affine(images: jax.Array, matrices: jax.Array, padding_mode: str, moved: jax.Array | None = None) -> jax.Array:
    """What stands at p in the result stood at M (p + d) in the image; p = (row, column, 1), counted from the centre.

    Args:
      images: [B, H, W, C].
      matrices: M [B, 3, 3], whose last row is (0, 0, 1).
      padding_mode: see `sample`.
      moved: d in pixels, [B, 2, H, W], along rows and columns; 0 without it.

    Returns:
      float32 [B, H, W, C].
    """
    height, width = images.shape[1:3]
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
    row = (jnp.arange(height) - middle_row).reshape(1, -1, 1)
    column = (jnp.arange(width) - middle_column).reshape(1, 1, -1)
    if moved is not None:
        row, column = row + moved[:, 0], column + moved[:, 1]

    def place(axis: int, middle: float) -> jax.Array:
        by_row, by_column, shift = (matrices[:, axis, i].reshape(-1, 1, 1) for i in range(3))
        return by_row * row + by_column * column + shift + middle

    return sample(images, place(0, middle_row), place(1, middle_column), padding_mode)


def pad(images: jax.Array, pixels: int, padding_mode: str) -> jax.Array:
    """Adds a border of `pixels` on all four sides; an image smaller than it is mirrored or repeated again and again."""
    return jnp.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode=PAD_MODES[padding_mode])


def _neighbours(position: jax.Array, size: int, padding_mode: str) -> Iterator[tuple[jax.Array, jax.Array]]:
    """The two pixels beside each place along one axis, as (index within the image, weight)."""
    below = jnp.floor(position)
    share = position - below
    index = below.astype(jnp.int32)
    for i, weight in ((index, 1 - share), (index + 1, share)):
        if padding_mode == "zero":
            yield jnp.clip(i, 0, size - 1), jnp.where((i >= 0) & (i < size), weight, 0.0)
        elif padding_mode == "extend":
            yield jnp.clip(i, 0, size - 1), weight
        elif padding_mode == "wrap":
            yield i % size, weight
        else:  # reflect: the border pixel is not repeated, so 0 1 2 goes on as 1 0 1 2
            period = max(2 * (size - 1), 1)
            yield jnp.minimum(i % period, period - i % period), weight
