"""Figures of an evaluation, from the labels and predictions of a whole split."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.runs.noise import wilson_interval


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities [N, K] in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def measure(logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """All figures of an evaluation, as JSON values, from logits [N, K] and labels [N].

    K may exceed the classes that occur: what is not defined for a class, as the recall of one without images, is None.
    """
    probabilities = softmax(logits)
    predictions = logits.argmax(axis=1)
    correct = int((predictions == labels).sum())
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
    rows = per_class(labels, predictions, len(class_names))
    classes = [{"class": name, **row} for name, row in zip(class_names, rows, strict=True)]
    return {
        "examples": len(labels),
        "correct": correct,
        "accuracy": correct / len(labels),
        "balanced_accuracy": float(np.mean([row["recall"] for row in classes if row["recall"] is not None])),
        "accuracy_interval_95": list(wilson_interval(correct, len(labels))),
        "loss": float(losses.mean()),
        "expected_calibration_error": expected_calibration_error(probabilities, labels),
        "per_class": classes,
        "confusion_matrix": confusion_matrix(labels, predictions, len(class_names)).tolist(),
    }


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
