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


def test_probabilities_are_scikit_learns(probe: LinearProbe) -> None:
    """Standardising is folded into the layer."""
    scaler = StandardScaler().fit(PIXELS[:1200])
    theirs = LogisticRegression(C=probe.strength, max_iter=1000, tol=1e-6).fit(
        scaler.transform(PIXELS[:1200]), LABELS[:1200]
    )
    ours = softmax(logits(probe, PIXELS[1200:1500]), axis=1)
    expected = theirs.predict_proba(scaler.transform(PIXELS[1200:1500]))
    assert log_loss(LABELS[1200:1500], ours) == pytest.approx(log_loss(LABELS[1200:1500], expected), rel=0.03)
    assert np.abs(ours - expected).mean() < 3e-3
    assert accuracy(probe, PIXELS[1500:], LABELS[1500:]) > 0.87


def test_the_penalty_is_the_best_held_out(probe: LinearProbe) -> None:
    """Labels by chance want the strongest penalty; clean ones do not."""
    noise = np.random.RandomState(0).randint(0, 10, 1500).astype(np.int32)
    hopeless = fit_linear_probe(PIXELS[:1200], noise[:1200], 10, (PIXELS[1200:1500], noise[1200:]))
    assert hopeless.strength < probe.strength


def test_without_held_out_examples_all_are_used() -> None:
    few = fit_linear_probe(PIXELS[:60], LABELS[:60], 10)
    assert accuracy(few, PIXELS[:60], LABELS[:60]) > 0.95
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
