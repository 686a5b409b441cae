"""Test-time augmentation: one answer from several views of an image."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.errors import InputError

Apply = Callable[[Any, jax.Array], jax.Array]

VIEWS = ("flip", "translate")
# (rows, columns, weight): the image as it is counts as much as its two shifted copies together.
_SHIFTS = ((0, 0, 0.5), (-1, -1, 0.25), (1, 1, 0.25))


# config.keys.EVAL_TTA, by their views
EVAL_TTA: dict[str, tuple[str, ...]] = {"none": (), "flip": ("flip",), "flip_translate": ("flip", "translate")}


def check_views(names: Iterable[str]) -> tuple[str, ...]:
    """The names without repetitions; raises InputError for one that is no view."""
    for name in (names := tuple(dict.fromkeys(names))):
        if name not in VIEWS:
            raise InputError(f"--tta={','.join(names)}: there is no view '{name}'; there are {', '.join(VIEWS)}")
    return names


def with_tta(apply: Apply, names: Sequence[str]) -> Apply:
    """The weighted mean of the logits of several views, as in airbench (Jordan 2024, arXiv 2404.00498, section 3.5).

    Args:
      apply: (variables, images [B, H, W, C]) -> logits [B, K].
      names: "flip": the image and its mirror image; "translate": as it is (1/2), shifted by one pixel to the upper left
        and to the lower right (1/4 each), with mirrored borders. Both make six views.

    Returns:
      a function of the same kind; without views the same.
    """
    if not names:
        return apply
    shifts = _SHIFTS if "translate" in check_views(names) else ((0, 0, 1.0),)
    mirrors = (1, -1) if "flip" in names else (1,)

    def apply_to_views(variables: Any, images: jax.Array) -> jax.Array:
        height, width = images.shape[1:3]
        padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        logits = jnp.float32(0)
        for rows, columns, weight in shifts:
            shifted = padded[:, 1 - rows : 1 - rows + height, 1 - columns : 1 - columns + width]
            for step in mirrors:
                logits += weight / len(mirrors) * apply(variables, shifted[:, :, ::step])
        return logits

    return apply_to_views
