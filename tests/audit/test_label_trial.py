"""How far suspects of confident learning are trusted, and models that see no copy."""

import numpy as np
import pytest

from cnn_jax.analysis.confident_learning import self_confidence
from cnn_jax.analysis.label_trial import Mark, find_mark, plant, try_labels
from cnn_jax.audit.out_of_fold import number_groups, out_of_fold


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
