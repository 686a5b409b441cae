"""What a trained model makes suspicious: labels that it contradicts, pictures unlike their class. NumPy alone."""

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
# Real sets have some percent of wrong labels (Northcutt, Athalye & Mueller 2021).
_MOST_WRONG, _ENOUGH_LABELS = 0.15, 50


def likely_mislabelled(
    probabilities: np.ndarray, labels: np.ndarray, rows: np.ndarray, class_names: Sequence[str]
) -> Finding:
    """Pictures of which the model is confident that they belong to another class; the least likely label first.

    Confident learning (Northcutt, Jiang & Chuang 2021, eq. 1 and 2): the threshold of class j is the mean probability
    of j among pictures that are labelled j. A picture counts for the likeliest of the classes whose threshold it
    reaches, and is suspect where that is not its label.

    Args:
      probabilities: [N, K].
      labels: [N].
      rows: [N], of the entries.

    A model that contradicts more than 15 % of the labels is called too weak instead.
    """
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=classes)
    thresholds = np.where(counts > 0, np.bincount(labels, own, classes) / np.maximum(counts, 1), np.inf)
    reached = np.where(probabilities >= thresholds.reshape(1, -1), probabilities, -1.0)
    counted = reached.argmax(axis=1)
    wrong = np.flatnonzero((reached.max(axis=1) >= 0) & (counted != labels))
    if len(labels) >= _ENOUGH_LABELS and len(wrong) > _MOST_WRONG * len(labels):
        accuracy = (probabilities.argmax(axis=1) == labels).mean()
        weak = f"it contradicts {len(wrong):,} of {len(labels):,} labels; its accuracy here is {accuracy:.1%}"
        return Finding("model too weak to judge labels", about=(weak,))
    worst = wrong[np.argsort(own[wrong], kind="stable")]
    suspects = []
    for i in worst:
        name, own_name = class_names[counted[i]], class_names[labels[i]]
        opinion = f"model: {name} {probabilities[i, counted[i]]:.1%}, {own_name} {own[i]:.1%}"
        suspects.append(Suspect(int(rows[i]), opinion))
    return Finding("likely mislabelled", tuple(suspects))


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
