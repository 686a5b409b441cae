"""Confident learning against cleanlab 2.9.0: on a small example, and on MNIST with a tenth of its labels flipped."""

import numpy as np
import pytest

from cnn_jax.analysis.confident_learning import confident_joint, joint, prune_by_noise_rate, self_confidence, thresholds
from cnn_jax.analysis.label_trial import try_labels
from tests.support.helpers import ROOT


def example() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [60, 3] and labels, of which five are wrong."""
    random = np.random.RandomState(0)
    true = np.repeat([0, 1, 2], [30, 20, 10])
    labels = true.copy()
    labels[[2, 11, 31, 36, 52]] = [1, 2, 0, 2, 1]
    logits = random.normal(size=(60, 3)) + 3 * np.eye(3)[true] * (random.rand(60, 1) > 0.2)
    probabilities = np.exp(logits)
    probabilities = (probabilities / probabilities.sum(axis=1, keepdims=True)).round(4)
    return probabilities / probabilities.sum(axis=1, keepdims=True), labels


@pytest.fixture(scope="module")
def flipped() -> dict[str, np.ndarray]:
    """2,000 images of MNIST, judged by models that did not see them; see tests/tools/make_label_fixture.py."""
    with np.load(ROOT / "tests/fixtures/flipped_labels.npz", allow_pickle=False) as stored:
        found = dict(stored)
    probabilities = found.pop("probabilities").astype(np.float64)
    found["probabilities"] = probabilities / probabilities.sum(axis=1, keepdims=True)
    found["wrong"] = found.pop("true") != found["given"]
    return found


def precision_and_recall(found: np.ndarray, wrong: np.ndarray) -> tuple[float, float]:
    hits = int((found & wrong).sum())
    return hits / int(found.sum()), hits / int(wrong.sum())


def test_figures_are_those_of_cleanlab() -> None:
    """count.get_confident_thresholds, count.compute_confident_joint(calibrate=False) and (calibrate=True)."""
    probabilities, labels = example()
    assert thresholds(probabilities, labels) == pytest.approx([0.7245756952, 0.7164305466, 0.5194319159])
    assert confident_joint(probabilities, labels).tolist() == [[20, 2, 0], [2, 13, 1], [0, 1, 6]]
    expected = np.array([[26, 3, 0], [3, 16, 1], [0, 2, 9]])  # which cleanlab rounds to whole pictures
    assert np.abs(joint(probabilities, labels) * 60 - expected).max() < 0.501
    assert joint(probabilities, labels).sum() == pytest.approx(1)


def test_suspects_are_those_of_cleanlab() -> None:
    """filter.find_label_issues(filter_by="prune_by_noise_rate", return_indices_ranked_by="self_confidence")."""
    probabilities, labels = example()
    suspects = np.flatnonzero(prune_by_noise_rate(probabilities, labels))
    ranked = suspects[np.argsort(self_confidence(probabilities, labels)[suspects])]
    assert ranked.tolist() == [2, 14, 52, 36, 49, 31, 21, 57]


def test_flipped_labels_are_found(flipped: dict[str, np.ndarray]) -> None:
    """Precision and recall at least those of cleanlab's default method, by the same method and by `likely`."""
    probabilities, given, wrong = flipped["probabilities"], flipped["given"].astype(int), flipped["wrong"]
    precision, recall = precision_and_recall(flipped["prune_by_noise_rate"], wrong)
    assert precision > 0.85
    assert recall > 0.85
    trial, _ = try_labels(lambda some: probabilities, given)
    likely = np.zeros(len(given), bool)
    likely[trial.order[: trial.mark.likely]] = True
    for found in (prune_by_noise_rate(probabilities, given), likely):
        ours = precision_and_recall(found, wrong)
        assert ours[0] >= precision
        assert ours[1] >= recall
    assert precision_and_recall(likely, wrong)[1] > recall + 0.05


@pytest.mark.parametrize(
    "method",
    ["prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given",
     "low_normalized_margin", "low_self_confidence"],
)  # fmt: skip
def test_ranking_beats_each_filter(flipped: dict[str, np.ndarray], method: str) -> None:
    """Of as many labels as a filter of cleanlab's lists, the first of our ranking hold as many wrong ones, or more."""
    probabilities, given, wrong = flipped["probabilities"], flipped["given"].astype(int), flipped["wrong"]
    doubted = np.flatnonzero(probabilities.argmax(axis=1) != given)
    order = doubted[np.argsort(self_confidence(probabilities, given)[doubted], kind="stable")]
    theirs = flipped[method]
    assert wrong[order[: theirs.sum()]].sum() >= (theirs & wrong).sum() > 130
