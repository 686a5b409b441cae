"""Many versions of each image: the weighted sum of their gradients, and what the network says of them when covered."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.attribution.inputs import of_target
from cnn_jax.analysis.attribution.memory import chunks
from cnn_jax.analysis.attribution.saliency import gradient
from cnn_jax.analysis.layers import Apply

# (images [R], versions [R]) -> an array of R rows: of image images[r] the version versions[r]
Make = Callable[[np.ndarray, np.ndarray], np.ndarray]


def sum_of_gradients(
    apply: Apply, variables: Any, make: Make, weights: np.ndarray, targets: np.ndarray, chunk: int
) -> np.ndarray:
    """sum_v weights[v] * gradient at version v, of each image: [B, H, W, C].

    Args:
      make: the versions [R, H, W, C].
      weights: [V].
      targets: [B].
      chunk: versions at once, of one image or of several.
    """
    total = None
    for pairs, kept in chunks(len(targets) * len(weights), chunk):
        images, versions = np.divmod(pairs, len(weights))
        gradients = np.asarray(gradient(apply, variables, make(images, versions), targets[images]))[:kept]
        weighted = gradients * weights[versions[:kept]].astype(np.float32).reshape(-1, 1, 1, 1)
        starts = np.flatnonzero(np.diff(images[:kept], prepend=-1))  # where the versions of another image begin
        if total is None:
            total = np.zeros((len(targets), *gradients.shape[1:]), np.float32)
        total[images[starts]] += np.add.reduceat(weighted, starts, axis=0)
    assert total is not None
    return total


def scores_of_covered(
    apply: Apply, variables: Any, images: np.ndarray, cover: np.ndarray, make: Make, count: int, targets: np.ndarray,
    chunk: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Each image's target logit and probability, [B, V] both, of V versions of which a part is covered.

    Args:
      images: [B, H, W, C].
      cover: what covers them: as `images`.
      make: how much each pixel shows of itself: [R, H, W], 0 to 1.
      count: V.
    """
    logits, probabilities = np.zeros((2, len(images) * count), np.float32)
    for pairs, kept in chunks(len(logits), chunk):
        rows, versions = np.divmod(pairs, count)
        shown = make(rows, versions).astype(np.float32)
        scores = _scores(apply, variables, images[rows], cover[rows], shown, targets[rows])
        logits[pairs[:kept]], probabilities[pairs[:kept]] = (np.asarray(score)[:kept] for score in scores)
    return logits.reshape(-1, count), probabilities.reshape(-1, count)


@functools.partial(jax.jit, static_argnums=0)
def _scores(
    apply: Apply, variables: Any, images: jax.Array, cover: jax.Array, shown: jax.Array, targets: jax.Array
) -> tuple[jax.Array, jax.Array]:
    logits = apply(variables, cover + shown[..., None] * (images - cover))
    return of_target(logits, targets), of_target(jax.nn.softmax(logits.astype(jnp.float32)), targets)


def cover_of(images: np.ndarray, fill: float | None) -> np.ndarray:
    """As large as the images: a gray level, or, of None, each image's own mean colour."""
    level = images.mean(axis=(1, 2), keepdims=True) if fill is None else np.float32(fill)
    return np.array(np.broadcast_to(level, images.shape))
