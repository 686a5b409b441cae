"""RISE: random masks, weighted by how probable the class is of what they show."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.analysis.attribution.inputs import check
from cnn_jax.analysis.attribution.versions import cover_of, scores_of_covered
from cnn_jax.analysis.layers import Apply

_SLAB = 64  # masks that are held at once


def rise(
    apply: Apply,
    variables: Any,
    images: Any,
    targets: Any = None,
    *,
    masks: int = 1024,
    grid: int | None = None,
    share: float = 0.5,
    fill: float | None = None,
    seed: int = 0,
    chunk: int | None = None,
) -> np.ndarray:
    """The mean probability of the target where a pixel is shown [B, H, W] (Petsiuk, Das & Saenko 2018, eq. 6).

    Every value is a probability: a map that is flat says that it does not matter what is shown. The masks are the
    same for all images of a batch. The sum is divided by how often a pixel is shown; the paper divides by how often
    that is expected, and a map of few masks then looks like these, whatever the network.

    Args:
      masks: how many; the paper takes 4,000 to 8,000 for a 224x224 image.
      grid: cells in each direction that are shown or not; None: 7, in small images half the shorter side.
      share: of cells that are shown.
      fill: gray level behind the mask; None: the image's own mean colour.
      apply, variables, images, targets, chunk: see `saliency`.
    """
    pixels, classes, chunk = check(apply, variables, images, targets, chunk)
    grid = grid or int(np.clip(min(pixels.shape[1:3]) // 2, 2, 7))
    random = np.random.default_rng(seed)
    cells, shifts = (random.random((masks, grid, grid)) < share).astype(np.float32), random.random((masks, 2))

    def shown(rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return make_masks(cells[numbers], shifts[numbers], pixels.shape[1:3])

    cover = cover_of(pixels, fill)
    _, probabilities = scores_of_covered(apply, variables, pixels, cover, shown, masks, classes, chunk)
    sums, often = np.zeros(pixels.shape[:3], np.float32), np.zeros(pixels.shape[1:3], np.float32)
    for numbers in np.array_split(np.arange(masks), -(-masks // _SLAB)):
        drawn = shown(numbers, numbers)
        sums, often = sums + np.tensordot(probabilities[:, numbers], drawn, axes=1), often + drawn.sum(axis=0)
    return np.divide(sums, often, out=np.zeros_like(sums), where=often > 0)


def make_masks(cells: np.ndarray, shifts: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Cells [V, s, s] of 0 and 1 as masks [V, H, W]: enlarged bilinearly to s + 1 cells, and cut out at random there.

    Args:
      shifts: [V, 2] of 0 to 1: how far within a cell the cut is.
    """
    rows, columns = (
        _enlargement(cells.shape[1], side)[(shift * -(-side // cells.shape[1])).astype(int)[:, None] + np.arange(side)]
        for side, shift in zip(size, shifts.T, strict=True)
    )
    masks: np.ndarray = rows @ cells @ columns.transpose(0, 2, 1)
    return masks


def _enlargement(cells: int, side: int) -> np.ndarray:
    """The matrix [(cells + 1) * pixels of a cell, cells] of linear interpolation between the middles of cells."""
    length = (cells + 1) * -(-side // cells)
    place = np.clip((np.arange(length) + 0.5) * cells / length - 0.5, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(cells))).astype(np.float32)
