"""Confident learning against cleanlab 2.9.0, how far its suspects are trusted, and models that see no copy."""

import numpy as np
import pytest

from cnn_jax.analysis.confident_learning import confident_joint, joint, prune_by_noise_rate, self_confidence, thresholds
from cnn_jax.analysis.label_trial import Mark, find_mark, plant, try_labels
from cnn_jax.audit.out_of_fold import number_groups, out_of_fold


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


def test_estimates_from_planted_labels() -> None:
    """Of 1,000 pictures 100 are doubted: where half of the planted stand, 20; where all stand, 100."""
    ranks = np.full(1000, np.inf)
    ranks[:20], ranks[20:100] = np.linspace(0.01, 0.1, 20), np.linspace(0.2, 0.3, 80)
    planted = np.concatenate([np.linspace(0.01, 0.1, 25), np.full(25, 0.3)])
    mark = find_mark(ranks, planted)
    # 20 pictures against half of the planted: no more than 40 of 1,000 are wrong, of whom half are those 20.
    assert mark.wrong == pytest.approx(0.04, abs=0.004)
    assert mark.found == 0.5
    assert 20 / 0.8 <= mark.likely <= 20 / 0.7  # as many as keep the share of wrong ones at 0.7
    assert mark.precision == pytest.approx(0.7, abs=0.1)
    # None stands where half of the planted do.
    assert find_mark(ranks[20:], planted) == Mark(pytest.approx(1 / 980 / 0.5), 0, 0, 0)
    many = find_mark(np.concatenate([np.linspace(0.01, 0.3, 300), np.full(700, np.inf)]), planted)
    assert many.wrong > 0.15
    assert not many.likely


def blobs(count: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Normal clouds of four classes; labels without a mistake."""
    random = np.random.RandomState(1)
    labels = np.arange(count) % 4
    return (random.normal(size=(count, 8)) + distance * np.eye(8)[labels]).astype(np.float32), labels


@pytest.mark.parametrize(("distance", "wrong", "is_likely"), [(4, 0.05, True), (4, 0, False), (0.5, 0.05, False)])
def test_only_what_a_trial_bears_out(distance: float, wrong: float, is_likely: bool) -> None:
    """Wrong labels of clear classes are named; of clean data and of weak models nothing is called mislabelled."""
    features, labels = blobs(600, distance)
    random = np.random.RandomState(2)
    chosen = random.choice(len(labels), round(wrong * len(labels)), replace=False)
    given = labels.copy()
    given[chosen] = (labels[chosen] + random.randint(1, 4, len(chosen))) % 4
    trial, _ = try_labels(lambda some: out_of_fold(features, some, np.arange(len(some)), 3, 1.0), given)
    likely = trial.order[: trial.mark.likely]
    assert bool(len(likely)) == is_likely
    if is_likely:
        truly = np.isin(likely, chosen)
        assert truly.mean() > 0.7
        assert truly.sum() > 0.7 * len(chosen)
        assert trial.mark.wrong == pytest.approx(wrong, rel=0.5)


def test_plants_in_every_class() -> None:
    labels = np.repeat([0, 1, 2], [200, 60, 3])
    changed, planted = plant(labels, 3, np.random.RandomState(0))
    assert np.bincount(labels[planted]).tolist() == [10, 3, 1]
    assert (changed != labels).tolist() == planted.tolist()


def test_copies_do_not_vouch_for_labels() -> None:
    """Noise that is learnt by heart: with each picture there twice, only groups keep the copy away from its judge."""
    random = np.random.RandomState(0)
    features = np.tile(random.normal(size=(60, 200)).astype(np.float32), (2, 1))
    labels = np.tile(random.randint(0, 2, 60), 2)
    groups = number_groups(120, [(i, i + 60) for i in range(60)])
    own = {
        name: self_confidence(out_of_fold(features, labels, numbers, 4, 10.0), labels).mean()
        for name, numbers in (("apart", groups), ("alone", np.arange(120)))
    }
    assert own["apart"] < 0.6
    assert own["alone"] > 0.75
    assert number_groups(5, [(0, 3), (1, 2), (3, 4)]).tolist() == [0, 1, 1, 0, 0]


def test_a_class_in_one_fold_is_not_judged() -> None:
    features, labels = blobs(60, 4)
    labels = np.where(np.arange(60) == 7, 4, labels)
    probabilities = out_of_fold(features, labels, np.arange(60), 3, 1.0)
    assert np.flatnonzero(np.isnan(probabilities).any(axis=1)).tolist() == [7]
