"""RandAugment and TrivialAugment: operations drawn from a list, with the list and the ranges of torchvision.

Deviations: affine operations interpolate (torchvision's default is the nearest pixel), and between two operations
values are not rounded, except where one looks them up in a table.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.data.augment.colour import adjust_brightness, adjust_contrast, adjust_saturation
from cnn_jax.data.augment.draws import fold, integers
from cnn_jax.data.augment.geometry import matrix
from cnn_jax.data.augment.resample import affine
from cnn_jax.data.augment.tones import adjust_sharpness, autocontrast, equalize, posterize, solarize

HIGHEST = 30  # the magnitudes are 0..30

OPERATIONS = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "color", "contrast",
    "sharpness", "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
_GEOMETRIC = slice(OPERATIONS.index("shear_x"), OPERATIONS.index("rotate") + 1)
_SIGNED = slice(OPERATIONS.index("shear_x"), OPERATIONS.index("sharpness") + 1)


class Ranges(NamedTuple):
    """What the highest magnitude means: slope, pixels along columns and rows, degrees, factor - 1, bits removed."""

    shear: float
    translate_x: float
    translate_y: float
    rotate: float
    enhance: float
    bits: int


def randaugment(
    images: jax.Array, keys: jax.Array, strength: tuple[int, float], padding_mode: str = "zero"
) -> jax.Array:
    """Cubuk et al. 2020: (number of operations, magnitude 0..30); the operations are drawn evenly, with replacement.

    Images are [B, H, W, C] in 0..255, the result float32.
    """
    count, magnitude = strength
    height, width = images.shape[1:3]
    ranges = Ranges(0.3, 150 / 331 * width, 150 / 331 * height, 30.0, 0.9, 4)
    for i in range(count):
        own = fold(keys, i)
        levels = jnp.full(images.shape[0], magnitude / HIGHEST)
        images = _apply(images, integers(fold(own, 0), 0, len(OPERATIONS)), levels, _signs(own), ranges, padding_mode)
    return images.astype(jnp.float32)


def trivial_augment(images: jax.Array, keys: jax.Array, share: float, padding_mode: str = "zero") -> jax.Array:
    """TrivialAugmentWide (Müller & Hutter 2021): one operation, with a magnitude drawn evenly from 0..30.

    Translations go up to 32 pixels, in smaller images up to their size. `share` shrinks the wide ranges: 1.0 is the
    published policy; with 0.5 the strongest rotation is 67.5 degrees, not 135. Images are [B, H, W, C] in 0..255, the
    result float32.
    """
    height, width = images.shape[1:3]
    ranges = Ranges(0.99, min(32.0, width), min(32.0, height), 135.0, 0.99, 6)
    levels = share * integers(fold(keys, 2), 0, HIGHEST + 1) / HIGHEST
    return _apply(images, integers(fold(keys, 0), 0, len(OPERATIONS)), levels, _signs(keys), ranges, padding_mode)


def apply_operations(
    images: jax.Array, operation: jax.Array, level: jax.Array, ranges: Ranges, padding_mode: str = "zero"
) -> jax.Array:
    """One operation per image.

    Args:
      images: float32 [B, H, W, C].
      operation: its place in OPERATIONS, int32 [B].
      level: float32 [B], the share of the range; below 0 it goes the other way, where there is another way.
      ranges: see `Ranges`.
      padding_mode: what comes in at the border.
    """
    matrices = _matrices(operation, level, ranges, images.shape[1], images.shape[2])
    values = _values(operation, level, ranges)
    # Five of the operations are one affine map; the other nine follow it in their order.
    branches = jnp.where(operation == 0, 0, jnp.maximum(operation - _GEOMETRIC.stop + 2, 1))
    operations = _branches(padding_mode)

    def one(arguments: tuple[jax.Array, jax.Array, jax.Array, jax.Array]) -> jax.Array:
        image, branch, own, value = arguments
        return lax.switch(branch, operations, image[None], own[None], value[None])[0]

    # On CPU a loop that computes what each image needs, 4 to 20 times faster there than what is done elsewhere:
    # everything for every image, and a selection.
    return lax.platform_dependent(
        (images, branches, matrices, values), cpu=lambda arguments: lax.map(one, arguments), default=jax.vmap(one)
    )


def _apply(
    images: jax.Array, operation: jax.Array, level: jax.Array, sign: jax.Array, ranges: Ranges, padding_mode: str
) -> jax.Array:
    signed = (operation >= _SIGNED.start) & (operation < _SIGNED.stop)
    return apply_operations(
        images.astype(jnp.float32), operation, jnp.where(signed, sign * level, level), ranges, padding_mode
    )


def _signs(keys: jax.Array) -> jax.Array:
    return 1.0 - 2.0 * integers(fold(keys, 1), 0, 2)


def _branches(padding_mode: str) -> list[Callable[..., jax.Array]]:
    return [
        lambda images, matrices, value: images,
        lambda images, matrices, value: affine(images, matrices, padding_mode),
        lambda images, matrices, value: adjust_brightness(images, value),
        lambda images, matrices, value: adjust_saturation(images, value),
        lambda images, matrices, value: adjust_contrast(images, value),
        lambda images, matrices, value: adjust_sharpness(images, value),
        lambda images, matrices, value: posterize(images, value),
        lambda images, matrices, value: solarize(images, value),
        lambda images, matrices, value: autocontrast(images),
        lambda images, matrices, value: equalize(images),
    ]


def _matrices(operation: jax.Array, level: jax.Array, ranges: Ranges, height: int, width: int) -> jax.Array:
    """[B, 3, 3]; see `geometry`. As in AutoAugment, a shear leaves the upper left corner where it is."""
    shear_x, shear_y, translate_x, translate_y, rotate = (
        jnp.where(operation == i, level, 0.0) for i in range(_GEOMETRIC.start, _GEOMETRIC.stop)
    )
    angle = jnp.deg2rad(ranges.rotate * rotate)
    along_columns, along_rows = ranges.shear * shear_x, ranges.shear * shear_y
    row = along_rows * (width - 1) / 2 - jnp.trunc(ranges.translate_y * translate_y)
    column = along_columns * (height - 1) / 2 - jnp.trunc(ranges.translate_x * translate_x)
    return matrix([
        [jnp.cos(angle), along_rows - jnp.sin(angle), row], [along_columns + jnp.sin(angle), jnp.cos(angle), column]
    ])  # fmt: skip


def _values(operation: jax.Array, level: jax.Array, ranges: Ranges) -> jax.Array:
    """The number [B] that the drawn operation takes: a factor, bits to keep, or a threshold."""
    bits = 8.0 - jnp.round(ranges.bits * level)
    is_posterize, is_solarize = (operation == OPERATIONS.index(name) for name in ("posterize", "solarize"))
    return jnp.where(is_posterize, bits, jnp.where(is_solarize, 255 * (1 - level), 1 + ranges.enhance * level))
