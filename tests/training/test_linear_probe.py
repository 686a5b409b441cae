"""The last layer by logistic regression: against scikit-learn, with classes and features as they come."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from cnn_jax.training.linear_probe import LinearProbe, fit_linear_probe

DIGITS = load_digits()
# Of all images: pixels that are nearly always black are no features.
PIXELS = DIGITS.data[:, DIGITS.data.std(axis=0) > 1].astype(np.float32)
LABELS = DIGITS.target.astype(np.int32)


def logits(probe: LinearProbe, features: np.ndarray) -> np.ndarray:
    made: np.ndarray = features @ probe.kernel + probe.bias
    return made


def accuracy(probe: LinearProbe, features: np.ndarray, labels: np.ndarray) -> float:
    return float((logits(probe, features).argmax(1) == labels).mean())


@pytest.fixture(scope="module")
def probe() -> LinearProbe:
    return fit_linear_probe(PIXELS[:1200], LABELS[:1200], 10, (PIXELS[1200:1500], LABELS[1200:1500]))


def scikit_learns(features: np.ndarray, labels: np.ndarray, strength: float, others: np.ndarray) -> np.ndarray:
    """Probabilities of the others by its own logistic regression on standardised features."""
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=strength, max_iter=1000, tol=1e-6).fit(scaler.transform(features), labels)
    made: np.ndarray = model.predict_proba(scaler.transform(others))
    return made


def test_probabilities_are_scikit_learns(probe: LinearProbe) -> None:
    """Standardising is folded into the layer."""
    ours = softmax(logits(probe, PIXELS[1200:1500]), axis=1)
    theirs = scikit_learns(PIXELS[:1200], LABELS[:1200], probe.strength, PIXELS[1200:1500])
    assert log_loss(LABELS[1200:1500], ours) == pytest.approx(log_loss(LABELS[1200:1500], theirs), rel=0.03)
    assert np.abs(ours - theirs).mean() < 3e-3
    assert accuracy(probe, PIXELS[1500:], LABELS[1500:]) > 0.87


def test_probabilities_of_two_classes() -> None:
    """Of which scikit-learn has one row, here halved between the two."""
    is_one = np.isin(LABELS[:600], (7, 9))
    features, labels = PIXELS[:600][is_one], (LABELS[:600][is_one] == 9).astype(np.int32)
    two = fit_linear_probe(features, labels, 2)
    theirs = scikit_learns(features, labels, two.strength, PIXELS[600:])
    assert np.abs(softmax(logits(two, PIXELS[600:]), axis=1) - theirs).mean() < 0.025


NOISE = np.random.RandomState(0).randint(0, 10, 1500).astype(np.int32)


def test_the_penalty_is_the_best_held_out(probe: LinearProbe) -> None:
    """Labels by chance want the strongest penalty; clean ones do not. What is fitted is no judge of it."""
    held_out = PIXELS[1200:1500], NOISE[1200:]
    assert fit_linear_probe(PIXELS[:1200], NOISE[:1200], 10, held_out).strength < probe.strength
    assert fit_linear_probe(PIXELS[:300], NOISE[:300], 10).strength < probe.strength


def test_the_penalty_is_the_best_for_what_weighs() -> None:
    """Classes 5 to 9 are told by chance, and weigh next to nothing: the penalty suits the others."""
    labels, chance = LABELS[:900].copy(), np.random.RandomState(0)
    labels[labels > 4] = chance.randint(5, 10, (labels > 4).sum())
    weights = np.where(np.arange(10) > 4, 1e-3, 1.0)
    plain, weighted = (
        fit_linear_probe(PIXELS[:600], labels[:600], 10, (PIXELS[600:900], labels[600:]), w) for w in (None, weights)
    )
    assert weighted.strength > plain.strength


def test_without_held_out_examples_all_are_used() -> None:
    """To choose the penalty a part of them; then all."""
    few = fit_linear_probe(PIXELS[:100], LABELS[:100], 10)
    theirs = scikit_learns(PIXELS[:100], LABELS[:100], few.strength, PIXELS[100:400])
    assert np.abs(softmax(logits(few, PIXELS[100:400]), axis=1) - theirs).mean() < 5e-3
    two = np.array([0, 1])  # a single example of each class
    single = fit_linear_probe(PIXELS[two], LABELS[two], 10)
    assert accuracy(single, PIXELS[two], LABELS[two]) == 1


def test_a_class_without_examples_is_never_predicted() -> None:
    there = LABELS > 7  # two classes: scikit-learn then has a single column
    probe = fit_linear_probe(PIXELS[there], LABELS[there], 10)
    assert accuracy(probe, PIXELS[there], LABELS[there]) > 0.97
    assert set(logits(probe, PIXELS).argmax(1)) == {8, 9}


def test_what_is_nearly_constant_gets_no_large_weight() -> None:
    """Else a feature that stirs for the first time in training, as augmentation makes it, decides everything."""
    still = np.where(np.arange(300) % 100 == 0, 1e-3, 0).astype(np.float32)  # told by it alone, three examples
    features = np.column_stack([PIXELS[:300], still])
    probe = fit_linear_probe(features, LABELS[:300], 10)
    assert np.abs(probe.kernel[-1]).max() < np.abs(probe.kernel[:-1]).max()


def test_weights_of_classes() -> None:
    """Where one class weighs a thousand times more, it is predicted more often."""
    weights = np.ones(10)
    weights[3] = 1000
    half = slice(0, 600)
    plain, heavy = (fit_linear_probe(PIXELS[half], LABELS[half], 10, None, w) for w in (None, weights))
    blurred = PIXELS[600:] * 0.3  # hard to tell
    counts = [(logits(probe, blurred).argmax(1) == 3).sum() for probe in (plain, heavy)]
    assert counts[1] > counts[0]


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="two classes"):
        fit_linear_probe(PIXELS[:5], np.zeros(5, np.int32), 2)
