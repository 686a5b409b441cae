"""Deletion and insertion: how fast a class's probability falls, or comes, as pixels go in the order of a map."""

from typing import Any, NamedTuple

import numpy as np

from cnn_jax.analysis.attribution.inputs import check
from cnn_jax.analysis.attribution.versions import cover_of, scores_of_covered
from cnn_jax.analysis.layers import Apply


class Curves(NamedTuple):
    """Probabilities of the target [B, steps + 1] as more and more pixels are deleted, or inserted; all at the end."""

    deletion: np.ndarray
    insertion: np.ndarray


def deletion_and_insertion(
    apply: Apply,
    variables: Any,
    images: Any,
    maps: np.ndarray,
    targets: Any = None,
    *,
    steps: int = 16,
    seed: int = 0,
    chunk: int | None = None,
) -> Curves:
    """The curves of Petsiuk, Das & Saenko 2018, section 4.2: the highest values of a map go first.

    What is deleted becomes the image's mean colour; what is inserted replaces a blurred copy of the image, of a
    deviation of 5 pixels in 224, and 2 at least. Among equal values chance decides.

    Args:
      maps: [B, H, W], positive where it speaks for the target.
      steps: in how many steps all pixels go; RISE takes as many as there are rows of pixels.
      apply, variables, images, targets, chunk: see `saliency`.
    """
    pixels, classes, chunk = check(apply, variables, images, targets, chunk)
    ranks = ranks_of(maps, seed)
    counts = np.linspace(0, ranks[0].size, steps + 1).round()[:, None, None]

    def kept(rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return ranks[rows] >= counts[numbers]

    def inserted(rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return ranks[rows] < counts[numbers]

    pairs = ((cover_of(pixels, None), kept), (blurred(pixels), inserted))
    return Curves(
        *(
            scores_of_covered(apply, variables, pixels, cover, shown, steps + 1, classes, chunk)[1]
            for cover, shown in pairs
        )
    )


def ranks_of(maps: np.ndarray, seed: int = 0) -> np.ndarray:
    """The place of each pixel of [B, H, W] in the order of falling values, from 0."""
    flat = maps.reshape(len(maps), -1)
    chance = np.random.default_rng(seed).permutation(flat.shape[1])
    order = np.lexsort((np.broadcast_to(chance, flat.shape), -flat), axis=1)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(flat.shape[1])[None], axis=1)
    return ranks.reshape(maps.shape)


def blurred(images: np.ndarray) -> np.ndarray:
    """Images [B, H, W, C] of which only what is large can be seen."""
    from scipy.ndimage import gaussian_filter

    deviation = max(2.0, 5 / 224 * min(images.shape[1:3]))
    return gaussian_filter(images, (0, deviation, deviation, 0))


def area_under(curves: np.ndarray) -> np.ndarray:
    """Of curves [B, S] by the trapezoidal rule, over a range of length 1: [B]."""
    areas: np.ndarray = (curves.sum(axis=1) - curves[:, 0] / 2 - curves[:, -1] / 2) / (curves.shape[1] - 1)
    return areas


def random_maps(count: int, size: tuple[int, int], grid: tuple[int, int], seed: int) -> np.ndarray:
    """Maps [count, H, W] that know nothing: a grid of random numbers, enlarged as the maps of a layer are.

    A method's maps are compared with such of their own grid: pixels that go one by one, here and there, disturb a
    network more than as many in one place.
    """
    import jax

    cells = np.random.default_rng(seed).random((count, *grid), np.float32)
    return np.asarray(jax.image.resize(cells, (count, *size), "linear"))
