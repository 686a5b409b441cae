"""Occlusion: by how much a logit falls where a window of the image is covered."""

import functools
from typing import Any

import numpy as np

from cnn_jax.analysis.attribution.inputs import check, score
from cnn_jax.analysis.attribution.memory import in_chunks
from cnn_jax.analysis.attribution.versions import cover_of, scores_of_covered
from cnn_jax.analysis.layers import Apply


def occlusion(
    apply: Apply,
    variables: Any,
    images: Any,
    targets: Any = None,
    *,
    window: int | None = None,
    stride: int | None = None,
    fill: float | None = None,
    chunk: int | None = None,
) -> np.ndarray:
    """The fall of the target logit [B, H, W], the mean over the windows that cover a pixel (Zeiler & Fergus 2014).

    Args:
      window: its side in pixels; None: a seventh of the image's shorter side, at least 2.
      stride: from one window to the next; None: half the window. The last one in a row may reach beyond the image.
      fill: gray level of the window; None: the image's own mean colour.
      apply, variables, images, targets, chunk: see `saliency`.
    """
    pixels, classes, chunk = check(apply, variables, images, targets, chunk)
    window = window or max(2, round(min(pixels.shape[1:3]) / 7))
    windows = list_windows(pixels.shape[1:3], window, stride or max(1, window // 2))

    def shown(rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return ~windows[numbers]

    cover = cover_of(pixels, fill)
    logits, _ = scores_of_covered(apply, variables, pixels, cover, shown, len(windows), classes, chunk)
    whole = in_chunks(functools.partial(score, apply, variables), chunk, pixels, classes)
    falls = np.tensordot(whole[:, None] - logits, windows.astype(np.float32), axes=1)
    maps: np.ndarray = falls / windows.sum(axis=0).astype(np.float32)
    return maps


def list_windows(size: tuple[int, ...], window: int, stride: int) -> np.ndarray:
    """Which pixels each window covers: bool [V, H, W], row by row, so that each pixel is in at least one."""
    covered = []
    for side in size:
        starts = np.arange(-(-max(side - window, 0) // stride) + 1) * stride
        pixels = np.arange(side)
        covered.append((pixels >= starts[:, None]) & (pixels < starts[:, None] + window))
    both: np.ndarray = covered[0][:, None, :, None] & covered[1][None, :, None, :]
    return both.reshape(-1, *size)
