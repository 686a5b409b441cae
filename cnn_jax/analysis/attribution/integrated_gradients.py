"""Integrated gradients, with as many steps as it takes for the map to be complete."""

import functools
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.analysis.attribution.inputs import check, score
from cnn_jax.analysis.attribution.memory import in_chunks
from cnn_jax.analysis.attribution.versions import cover_of, sum_of_gradients
from cnn_jax.analysis.layers import Apply


class IntegratedGradients(NamedTuple):
    """Of each image.

    Attributes:
      maps: [B, H, W, C]; their sum is what the image adds to the logit of the baseline.
      gap: [B]: how far the sum is from that, relative to it.
      steps: [B] that it took.
    """

    maps: np.ndarray
    gap: np.ndarray
    steps: np.ndarray


def integrated_gradients(
    apply: Apply,
    variables: Any,
    images: Any,
    targets: Any = None,
    *,
    baseline: Any = 0.0,
    steps: int = 32,
    max_steps: int = 4096,
    tolerance: float = 1e-3,
    chunk: int | None = None,
) -> IntegratedGradients:
    """The gradient along the line from a baseline to the image, integrated (Sundararajan, Taly & Yan 2017, eq. 1).

    The steps are Gauss-Legendre nodes. They are doubled for images whose gap is above the tolerance, up to
    `max_steps`; a gap that is still above it says that the map is not complete. The gap is |sum of the map -
    (logit - logit of the baseline)|, relative to that difference, or to a hundredth of the larger of the two logits
    where that is more, as float32 knows no better.

    Args:
      baseline: pixels in 0..255: a number, or an array that fits to [B, H, W, C]; black unless it says otherwise.
      steps: to begin with.
      apply, variables, images, targets, chunk: see `saliency`.
    """
    pixels, classes, chunk = check(apply, variables, images, targets, chunk)
    start = cover_of(pixels, 0.0) + np.asarray(baseline, np.float32)
    ends = [in_chunks(functools.partial(score, apply, variables), chunk, each, classes) for each in (pixels, start)]
    expected = (ends[0] - ends[1]).astype(np.float64)
    scale = np.maximum(np.maximum(np.abs(expected), 0.01 * np.maximum(*np.abs(ends))), 1e-30)
    maps, gap, taken = np.zeros_like(pixels), np.full(len(pixels), np.inf), np.zeros(len(pixels), int)
    rows, chunk = np.arange(len(pixels)), min(chunk, steps * len(pixels))
    while len(rows):
        maps[rows] = _integrate(apply, variables, start[rows], pixels[rows], classes[rows], steps, chunk)
        gap[rows] = np.abs(maps[rows].sum(axis=(1, 2, 3), dtype=np.float64) - expected[rows]) / scale[rows]
        taken[rows] = steps
        steps *= 2
        rows = rows[gap[rows] > tolerance] if steps <= max_steps else rows[:0]
    return IntegratedGradients(maps, gap, taken)


def _integrate(
    apply: Apply, variables: Any, start: np.ndarray, end: np.ndarray, targets: np.ndarray, steps: int, chunk: int
) -> np.ndarray:
    from scipy.special import roots_legendre  # NumPy's takes half a minute for 4,096

    nodes, weights = roots_legendre(steps)
    shares = ((nodes + 1) / 2).astype(np.float32).reshape(-1, 1, 1, 1)  # from [-1, 1] to [0, 1]

    def points(rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return start[rows] + shares[numbers] * (end[rows] - start[rows])

    return (end - start) * sum_of_gradients(apply, variables, points, weights / 2, targets, chunk)
