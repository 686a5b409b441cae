"""Which pictures are unlike their class, and which classes are hard, by what a trained model says. NumPy alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.audit.findings import Finding, Suspect

_LEAST_PROBABILITY = 1e-12
_FAR = 6.0
# Few dimensions are enough for distances (Johnson & Lindenstrauss 1984), and bound the memory.
_DIMENSIONS = 256
_LEAST_OF_A_CLASS = 20
_SHRINKAGE = 0.1


def class_difficulty(probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """{"class", "images", "accuracy", "loss"} of each class that has images, the hardest (highest mean loss) first."""
    own = probabilities[np.arange(len(labels)), labels]
    losses = -np.log(np.maximum(own, _LEAST_PROBABILITY))
    correct = probabilities.argmax(axis=1) == labels
    found = [
        {
            "class": class_names[k], "images": int((labels == k).sum()), "accuracy": float(correct[labels == k].mean()),
            "loss": float(losses[labels == k].mean()),
        }
        for k in np.unique(labels)
    ]  # fmt: skip
    return sorted(found, key=lambda row: -row["loss"])


def project(embeddings: np.ndarray) -> np.ndarray:
    """[N, D] -> float32 [N, at most 256] that keeps distances nearly: features with random signs, summed in bins.

    A count sketch (Charikar, Chen & Farach-Colton 2002) with bins of equal size. The same D gives the same bins.
    """
    count, dimensions = embeddings.shape
    if dimensions <= _DIMENSIONS:
        return embeddings.astype(np.float32)
    random = np.random.RandomState(dimensions)  # its stream is frozen by NumPy's policy
    signs, order = random.choice([-1.0, 1.0], dimensions).astype(np.float32), random.permutation(dimensions)
    bins = -(-dimensions // _DIMENSIONS)
    mixed = np.zeros((count, bins * _DIMENSIONS), np.float32)
    mixed[:, :dimensions] = (embeddings * signs.reshape(1, -1))[:, order]
    return mixed.reshape(count, bins, _DIMENSIONS).sum(axis=1)


def embedding_outliers(features: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Finding:
    """Pictures far from the centre of their class; the farthest first.

    The distance is Mahalanobis's with one covariance for all classes (Lee et al. 2018, "A Simple Unified Framework for
    Detecting Out-of-Distribution Samples", eq. 1 and 2), shrunk by a tenth towards its mean variance. Far is more than
    six spreads (1.4826 times the median absolute deviation) above the median distance. Classes of fewer than 20
    pictures have no reliable centre and are left out.

    Args:
      features: [N, D] of `project`.
      labels: [N].
      rows: [N], of the entries.
    """
    counts = np.bincount(labels)
    kept = np.flatnonzero(counts[labels] >= _LEAST_OF_A_CLASS)
    if not len(kept):
        return Finding("embedding outlier")
    centred = features[kept].astype(np.float64)
    for label in np.unique(labels[kept]):
        of_class = labels[kept] == label
        centred[of_class] -= centred[of_class].mean(axis=0, keepdims=True)
    covariance = centred.T @ centred / len(kept)
    mean_variance = max(float(np.trace(covariance)) / len(covariance), 1e-12)
    covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * mean_variance * np.eye(len(covariance))
    distances = np.sqrt((centred * np.linalg.solve(covariance, centred.T).T).sum(axis=1))
    median = float(np.median(distances))
    spread = max(1.4826 * float(np.median(np.abs(distances - median))), 1e-12)
    scores = (distances - median) / spread
    far = np.flatnonzero(scores > _FAR)
    order = far[np.argsort(-scores[far], kind="stable")]
    return Finding(
        "embedding outlier", tuple(Suspect(int(rows[kept[i]]), f"{scores[i]:.1f} spreads away") for i in order)
    )
