"""Figures of an evaluation against closed forms and hand-made cases."""

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss

from cnn_jax.inference.evaluation import measure
from cnn_jax.inference.metrics import confusion_matrix, expected_calibration_error, per_class
from cnn_jax.inference.run import softmax
from cnn_jax.runs.noise import wilson_interval

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.standard_normal((40, 8)).astype(np.float32) * 2
LABELS = RANDOM.integers(0, 8, 40).astype(np.int32)


@pytest.mark.parametrize(("correct", "count"), [(0, 10), (10, 10), (353, 359), (1, 2), (9_930, 10_000)])
def test_wilson_interval_is_its_formula(correct: int, count: int) -> None:
    """(p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n), z = 1.96 (Wilson 1927)."""
    z, share = 1.959963984540054, correct / count
    center = share + z**2 / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    expected = [(center + sign * half) / (1 + z**2 / count) for sign in (-1, 1)]
    low, high = wilson_interval(correct, count)
    assert (low, high) == pytest.approx(expected, abs=1e-12)
    assert 0 <= low < high <= 1


def test_confusion_and_per_class_by_counting() -> None:
    predictions = LOGITS.argmax(1)
    confusion = confusion_matrix(LABELS, predictions, 9)
    pairs = list(zip(LABELS, predictions, strict=True))
    assert confusion.tolist() == [[pairs.count((i, j)) for j in range(9)] for i in range(9)]
    rows = per_class(LABELS, predictions, 9)
    for k, row in enumerate(rows[:8]):
        hits, predicted, actual = pairs.count((k, k)), (predictions == k).sum(), (k == LABELS).sum()
        expected = {"precision": hits / predicted, "recall": hits / actual, "f1": 2 * hits / (predicted + actual)}
        assert row == pytest.approx({**expected, "support": actual}, abs=1e-12)
        assert {type(value) for value in row.values()} == {float, int}  # JSON values
    assert rows[8] == {"precision": None, "recall": None, "f1": None, "support": 0}


def test_per_class_without_a_denominator() -> None:
    rows = per_class(np.array([0, 0]), np.array([0, 1]), 2)
    assert rows[0] == pytest.approx({"precision": 1, "recall": 0.5, "f1": 2 / 3, "support": 2})
    assert rows[1] == {"precision": 0.0, "recall": None, "f1": 0.0, "support": 0}  # predicted, but never there


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.35, 0.65]])
    labels = np.array([0, 1, 0, 0])
    # Two bins in use: confidence 0.95 with accuracy 1/2, confidence 0.65 with accuracy 1/2.
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.5 * 0.45 + 0.5 * 0.15)
    certain = np.eye(3)[[0, 1, 2]]
    assert expected_calibration_error(certain, np.array([0, 1, 2])) == 0
    assert expected_calibration_error(certain, np.array([1, 2, 0])) == 1


def test_calibration_of_a_calibrated_model_is_small() -> None:
    truth = softmax(RANDOM.standard_normal((20_000, 4)) * 2)
    labels = (truth.cumsum(1) > RANDOM.random((20_000, 1))).argmax(1)
    assert expected_calibration_error(truth, labels) < 0.02


def test_measure_collects_them_all() -> None:
    figures = measure(LOGITS, LABELS, tuple("abcdefgh"))
    assert figures["examples"] == 40
    assert figures["correct"] == (LOGITS.argmax(1) == LABELS).sum()
    assert figures["loss"] == pytest.approx(log_loss(LABELS, softmax(LOGITS), labels=range(8)), rel=1e-9)
    assert np.array(figures["confusion_matrix"]).sum() == 40
    low, high = figures["accuracy_interval_95"]
    assert low < figures["accuracy"] < high
    assert math.isfinite(figures["expected_calibration_error"])
    assert [row["class"] for row in figures["per_class"]] == list("abcdefgh")
