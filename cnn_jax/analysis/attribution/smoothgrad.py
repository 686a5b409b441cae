"""SmoothGrad: the mean gradient of noisy copies of an image."""

from typing import Any

import numpy as np

from cnn_jax.analysis.attribution.inputs import check
from cnn_jax.analysis.attribution.versions import sum_of_gradients
from cnn_jax.analysis.layers import Apply


def smoothgrad(
    apply: Apply,
    variables: Any,
    images: Any,
    targets: Any = None,
    *,
    samples: int = 32,
    level: float = 0.15,
    seed: int = 0,
    noise: Any = None,
    chunk: int | None = None,
) -> np.ndarray:
    """The mean of the gradients [B, H, W, C] of `samples` noisy copies (Smilkov et al. 2017, section 3).

    Signed, as the gradient is; the noise is normal, the same for all images of a batch, so that an image has the same
    map in any batch.

    Args:
      level: the noise's standard deviation, as a share of the image's range (its largest pixel less its smallest).
      noise: standard normal numbers [samples, H, W, C] in place of those that the seed gives.
      apply, variables, images, targets, chunk: see `saliency`.
    """
    pixels, classes, chunk = check(apply, variables, images, targets, chunk)
    if noise is None:
        noise = np.random.default_rng(seed).standard_normal((samples, *pixels.shape[1:]), np.float32)
    draws = np.asarray(noise, np.float32)
    deviation = (level * np.ptp(pixels, axis=(1, 2, 3), keepdims=True)).astype(np.float32)

    def copies(rows: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return pixels[rows] + deviation[rows] * draws[numbers]

    return sum_of_gradients(apply, variables, copies, np.full(len(draws), 1 / len(draws)), classes, chunk)
