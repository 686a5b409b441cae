"""Which mistakes a classifier makes: the worst images, the pairs of classes that it mixes up, its weakest classes."""

from typing import NamedTuple

import numpy as np

from cnn_jax.runs.noise import wilson_interval


class Confusion(NamedTuple):
    """So many `images` of the `support` of a class were taken for another; the 95 % interval of that share."""

    label: int
    prediction: int
    images: int
    support: int
    interval: tuple[float, float]

    @property
    def share(self) -> float:
        return self.images / self.support


class Recall(NamedTuple):
    """So many of the `support` images of a class were found; the 95 % interval of that share."""

    label: int
    correct: int
    support: int
    interval: tuple[float, float]

    @property
    def share(self) -> float:
        return self.correct / self.support


def losses_of(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The cross-entropy of each image, float64 [N], from logits [N, K]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]


def top_losses(losses: np.ndarray, most: int) -> np.ndarray:
    """Numbers of the images with the largest losses, the largest first; of equal ones the first comes first."""
    return np.argsort(-losses, kind="stable")[:most]


def most_confused(matrix: np.ndarray, most: int) -> list[Confusion]:
    """The pairs (label, prediction) with most images, then with the larger share, of a confusion matrix [K, K]."""
    support = matrix.sum(axis=1)
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    labels, predictions = np.nonzero(wrong)
    counts, shares = wrong[labels, predictions], wrong[labels, predictions] / support[labels]
    order = np.lexsort((predictions, labels, -shares, -counts))[:most]
    return [
        Confusion(int(labels[i]), int(predictions[i]), int(counts[i]), int(support[labels[i]]),
                  wilson_interval(int(counts[i]), int(support[labels[i]])))
        for i in order
    ]  # fmt: skip


def weakest_classes(matrix: np.ndarray, most: int) -> list[Recall]:
    """The classes with the least recall that have images; of equal ones that with more images, then the first."""
    support = matrix.sum(axis=1)
    there = np.flatnonzero(support)
    recall = matrix.diagonal()[there] / support[there]
    chosen = there[np.lexsort((there, -support[there], recall))[:most]]
    return [
        Recall(int(k), int(matrix[k, k]), int(support[k]), wilson_interval(int(matrix[k, k]), int(support[k])))
        for k in chosen
    ]
