"""How far the maps of a method can be trusted: figures that a map of any method can be held to."""

from typing import Any, NamedTuple

import numpy as np

from cnn_jax.analysis.attribution.deletion import area_under, deletion_and_insertion, random_maps
from cnn_jax.analysis.layers import Apply
from cnn_jax.runs.noise import spread

COMPLETE = 1e-3  # the largest gap of a map that is complete


class Comparison(NamedTuple):
    """The area under a curve beside that of random maps.

    Attributes:
      mean: over the images.
      random: of random maps.
      difference: mean less random.
      interval: the 95 % interval of the difference.
      passes: whether it lies on the better side of 0 as a whole.
    """

    mean: float
    random: float
    difference: float
    interval: tuple[float, float]
    passes: bool


class Faithfulness(NamedTuple):
    """Deletion is better where its area is smaller than that of random maps, insertion where it is larger."""

    deletion: Comparison
    insertion: Comparison


def areas(
    apply: Apply, variables: Any, images: np.ndarray, maps: np.ndarray, targets: np.ndarray, steps: int, seed: int,
    chunk: int,
) -> np.ndarray:  # fmt: skip
    """Under the deletion and the insertion curve of each image: [2, B]."""
    curves = deletion_and_insertion(apply, variables, images, maps, targets, steps=steps, seed=seed, chunk=chunk)
    return np.stack([area_under(curve) for curve in curves])


def areas_of_random_maps(
    apply: Apply, variables: Any, images: np.ndarray, targets: np.ndarray, grid: tuple[int, int], repeats: int,
    steps: int, seed: int, chunk: int,
) -> np.ndarray:  # fmt: skip
    """Likewise of random maps of this grid, the mean over so many for each image: [2, B]."""
    size = (images.shape[1], images.shape[2])
    made = [
        areas(apply, variables, images, random_maps(len(images), size, grid, seed + 1 + repeat), targets, steps, seed,
              chunk)
        for repeat in range(repeats)
    ]  # fmt: skip
    means: np.ndarray = np.mean(made, axis=0)
    return means


def compare(own: np.ndarray, random: np.ndarray) -> Faithfulness:
    """Of areas [2, B] of a method's maps and of random ones of the same images."""
    compared = []
    for method, chance, better in zip(own, random, (-1, 1), strict=True):
        found = spread(list(method - chance))
        low, high = found.interval or (-1.0, 1.0)
        passes = high < 0 if better < 0 else low > 0
        compared.append(Comparison(float(method.mean()), float(chance.mean()), found.mean, (low, high), passes))
    return Faithfulness(*compared)


def has_no_evidence(maps: np.ndarray) -> np.ndarray:
    """Of which maps [B, H, W] no pixel speaks for the class: bool [B]."""
    return maps.max(axis=(1, 2)) <= 0


def share_in_border(maps: np.ndarray, width: float = 0.125) -> tuple[np.ndarray, float]:
    """(the share of each map's positive part that lies in the border, the border's share of the area).

    Args:
      maps: [B, H, W]; each has something positive.
      width: of the border on each side, as a share of the image's height and width.
    """
    height, rest = np.maximum(maps, 0), np.zeros(maps.shape[1:], bool)
    rows, columns = (round(width * side) for side in maps.shape[1:])
    rest[rows : maps.shape[1] - rows, columns : maps.shape[2] - columns] = True
    return height[:, ~rest].sum(axis=1) / height.sum(axis=(1, 2)), float((~rest).mean())
