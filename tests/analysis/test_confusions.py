"""The worst images, mixed-up pairs and weak classes, against figures by hand."""

import math

import numpy as np
import pytest

from cnn_jax.analysis.confusions import losses_of, most_confused, top_losses, weakest_classes

MATRIX = np.array([[8, 2, 0, 0], [3, 90, 7, 0], [2, 0, 2, 0], [0, 0, 0, 0]])


def wilson(share: float, count: int, z: float = 1.959963984540054) -> list[float]:
    """Wilson (1927), as it stands in the books."""
    middle, spread = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + (z / 2 / count) ** 2)
    return [(middle + sign * spread) / (1 + z * z / count) for sign in (-1, 1)]


def test_losses_are_minus_log_probabilities() -> None:
    logits = np.array([[0.0, math.log(3)], [200.0, -200.0]], np.float32)
    np.testing.assert_allclose(losses_of(logits, np.array([0, 1])), [math.log(4), 400], rtol=1e-6)
    assert top_losses(np.array([1.0, 3.0, 3.0, 2.0]), 3).tolist() == [1, 2, 3]


def test_most_confused_pairs() -> None:
    """By count, and of equal counts by share of the class: 2 of 4 before 2 of 10."""
    pairs = most_confused(MATRIX, 4)
    assert [(pair.label, pair.prediction, pair.images, pair.support) for pair in pairs] == [
        (1, 2, 7, 100), (1, 0, 3, 100), (2, 0, 2, 4), (0, 1, 2, 10)
    ]  # fmt: skip
    assert pairs[0].share == 0.07
    assert pairs[2].interval == pytest.approx(wilson(0.5, 4))
    assert len(most_confused(MATRIX, 2)) == 2
    assert most_confused(np.diag([3, 4]), 5) == []


def test_weakest_classes_have_images() -> None:
    found = weakest_classes(MATRIX, 10)
    assert [(weak.label, weak.correct, weak.support) for weak in found] == [(2, 2, 4), (0, 8, 10), (1, 90, 100)]
    assert found[1].interval == pytest.approx(wilson(0.8, 10))
