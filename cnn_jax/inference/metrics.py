"""Figures of an evaluation, from the labels and predictions of a whole split."""

import math

import numpy as np

from cnn_jax.runs.noise import wilson_interval as wilson_interval


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts [K, K]: rows are labels, columns are predictions."""
    from sklearn import metrics

    return metrics.confusion_matrix(labels, predictions, labels=np.arange(num_classes))


def per_class(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> list[dict[str, float | int | None]]:
    """Precision, recall, F1 and support of each class; None where a ratio has no denominator."""
    from sklearn.metrics import precision_recall_fscore_support

    *ratios, support = precision_recall_fscore_support(
        labels, predictions, labels=np.arange(num_classes), zero_division=np.nan
    )
    precision, recall, f1 = ([None if math.isnan(value) else float(value) for value in of_class] for of_class in ratios)
    return [
        {"precision": precision[k], "recall": recall[k], "f1": f1[k], "support": int(support[k])}
        for k in range(num_classes)
    ]


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence (Guo et al. 2017, eq. 3).

    Args:
      probabilities: [N, K].
      labels: [N].
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    # Bin i holds ]i / bins, (i + 1) / bins].
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(index, weights=correct, minlength=bins) - np.bincount(index, weights=confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))
