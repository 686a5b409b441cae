"""Losses and metrics against scikit-learn, SciPy and closed forms."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import balanced_accuracy_score, log_loss, top_k_accuracy_score
from sklearn.utils.class_weight import compute_class_weight

from cnn_jax.inference.evaluation import measure
from cnn_jax.inference.metrics import softmax
from cnn_jax.optimization.losses import balanced_weights, cross_entropy
from cnn_jax.training.metrics import add, batch_sums, evaluation_sums, finalize

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.standard_normal((40, 8)).astype(np.float32) * 2
LABELS = RANDOM.integers(0, 8, 40).astype(np.int32)


def sums(logits: np.ndarray, labels: np.ndarray, mask: np.ndarray | None = None) -> dict[str, float]:
    mask = np.ones(len(logits), bool) if mask is None else mask
    losses = cross_entropy(jnp.asarray(logits), jnp.asarray(labels))
    return add({}, batch_sums(jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(mask), losses))


def test_sums_are_sklearns() -> None:
    figures = finalize(sums(LOGITS, LABELS))
    assert figures["accuracy"] == pytest.approx((LOGITS.argmax(1) == LABELS).mean())
    assert figures["loss"] == pytest.approx(log_loss(LABELS, softmax(LOGITS), labels=range(8)), rel=1e-5)
    assert figures["top5_accuracy"] == pytest.approx(top_k_accuracy_score(LABELS, LOGITS, k=5, labels=range(8)))


def test_balanced_accuracy_is_sklearns() -> None:
    labels = np.where(LABELS > 2, 2, LABELS)  # unbalanced, and five classes that never occur
    mask = np.arange(40) < 33
    first, second = (
        evaluation_sums(jnp.asarray(LOGITS[part]), jnp.asarray(labels[part]), jnp.asarray(mask[part]))
        for part in (slice(0, 16), slice(16, 40))
    )
    expected = [(LOGITS.argmax(1) == labels)[mask & (labels == k)].mean() for k in range(3)]
    figures = finalize(add(add({}, first), second))
    assert figures["balanced_accuracy"] == pytest.approx(np.mean(expected))
    predictions = np.minimum(LOGITS.argmax(1), 2)
    assert measure(np.eye(8)[predictions], labels, "abcdefgh")["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(labels, predictions)
    )


def test_class_weights_are_sklearns() -> None:
    labels = np.repeat([0, 1, 3], [30, 8, 2])
    weights = balanced_weights(labels, 4)
    theirs = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    np.testing.assert_allclose(weights[[0, 1, 3]], theirs, rtol=1e-6)
    assert weights[2] == 0
    all_weights = np.linspace(0.5, 2, 8).astype(np.float32)
    ours = cross_entropy(jnp.asarray(LOGITS), jnp.asarray(LABELS), class_weights=jnp.asarray(all_weights))
    expected = log_loss(LABELS, softmax(LOGITS), labels=range(8), sample_weight=all_weights[LABELS])
    assert float(ours.sum()) / all_weights[LABELS].sum() == pytest.approx(expected, rel=1e-5)
    one_hot = jnp.asarray(np.eye(8, dtype=np.float32)[LABELS])
    for smoothing in (0.0, 0.2):
        pair = [
            cross_entropy(jnp.asarray(LOGITS), jnp.asarray(labels), smoothing, jnp.asarray(all_weights))
            for labels in (LABELS, one_hot)
        ]
        np.testing.assert_allclose(*pair, rtol=1e-5)


def test_padding_counts_for_nothing() -> None:
    mask = np.arange(40) < 31
    poisoned = LOGITS.copy()
    poisoned[31:] = np.nan
    assert sums(poisoned, LABELS, mask) == pytest.approx(sums(LOGITS[:31], LABELS[:31]))


def test_nan_is_never_a_hit() -> None:
    figures = sums(np.full((4, 8), np.nan, np.float32), LABELS[:4])
    assert figures["top5"] == 0


def test_top5_is_reported_where_it_means_something() -> None:
    assert "top5" not in sums(LOGITS[:, :5], LABELS % 5)
    assert "top5" in sums(LOGITS[:, :6], LABELS % 6)


def test_soft_labels_count_by_their_largest() -> None:
    soft = np.eye(8, dtype=np.float32)[LABELS] * 0.9 + 0.1 / 8
    assert sums(LOGITS, soft)["correct"] == sums(LOGITS, LABELS)["correct"]


def test_evaluation_reports_the_plain_loss() -> None:
    figures = evaluation_sums(jnp.asarray(LOGITS), jnp.asarray(LABELS), jnp.ones(40, bool))
    expected = -log_softmax(LOGITS.astype(np.float64), axis=1)[np.arange(40), LABELS].sum()
    assert float(figures["loss"]) == pytest.approx(expected, rel=1e-5)


def test_large_logits_stay_finite() -> None:
    assert float(cross_entropy(jnp.array([[1e4, -1e4]]), jnp.array([1]))[0]) == pytest.approx(2e4)
