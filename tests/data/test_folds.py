"""Cross-validation: each training image is validated on once, classes and groups as they should be."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from cnn_jax import data
from cnn_jax.config.tree import default_config, override
from cnn_jax.data.folds import fold_numbers
from cnn_jax.data.splits import make_indices
from cnn_jax.errors import InputError
from tests.support.helpers import data_settings, refusal


def pixels(split: data.Split | None) -> list[bytes]:
    assert isinstance(split, data.Examples)
    return [image.tobytes() for image in split.images]


def test_each_image_is_validated_on_once() -> None:
    """And the test split is the one of a run without folds, whichever the fold."""
    plain = data.load(data_settings())
    folds = [data.load(data_settings(folds=5, fold=fold)) for fold in range(5)]
    assert all(pixels(one.test) == pixels(plain.test) for one in folds)
    everything = sorted(pixels(plain.train) + pixels(plain.validation))
    assert sorted(image for one in folds for image in pixels(one.validation)) == everything
    assert all(sorted(pixels(one.train) + pixels(one.validation)) == everything for one in folds)
    assert [len(pixels(one.validation)) for one in folds] == [288, 288, 288, 287, 287]


@pytest.mark.parametrize("folds", [2, 5, 7])
def test_folds_are_as_even_as_sklearns(folds: int) -> None:
    labels = np.random.default_rng(0).choice(4, 203, p=[0.5, 0.3, 0.15, 0.05])
    ours = np.stack([np.bincount(labels[fold_numbers(labels, folds, 0) == k], minlength=4) for k in range(folds)])
    theirs = [np.bincount(labels[taken], minlength=4) for _, taken in StratifiedKFold(folds).split(labels, labels)]
    assert np.ptp(ours, axis=0).max() <= 1
    assert np.ptp(ours.sum(axis=1)) <= 1
    assert np.array_equal(np.sort(ours, axis=0), np.sort(np.stack(theirs), axis=0))


# The first folds of a division that must never move: a run that goes on would train on its validation data.
GOLDEN = [2, 0, 0, 0, 0, 0, 2, 1]


def test_folds_do_not_move() -> None:
    assert fold_numbers(np.arange(100) % 7, 3, 20_040_229)[:8].tolist() == GOLDEN


def test_groups_stay_together() -> None:
    """60 people, each with pictures of several classes, in numbers from 1 to 12."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), rng.integers(1, 13, 60))
    labels = rng.choice(3, len(groups), p=[0.6, 0.3, 0.1])
    found = fold_numbers(labels, 5, 0, groups)
    assert all(len(set(found[groups == group])) == 1 for group in range(60))
    counts = np.stack([np.bincount(labels[found == k], minlength=3) for k in range(5)])
    even = np.bincount(labels) / 5
    assert (np.abs(counts - even) < np.maximum(0.15 * even, 4)).all()
    assert not np.array_equal(found, fold_numbers(labels, 5, 1, groups))
    labels[groups == 7] = 3
    assert set(np.flatnonzero(fold_numbers(labels, 5, 0, groups) == -1)) == set(np.flatnonzero(groups == 7))


def test_a_single_example_is_trained_on() -> None:
    labels = np.array([0] * 10 + [1])
    assert fold_numbers(labels, 2, 0).tolist().count(-1) == 1
    for fold in (0, 1):
        parts = make_indices({"train": labels}, 0.1, 0, (fold, 2))
        assert set(labels[parts["train"][1]]) == {0, 1}
        assert set(labels[parts["validation"][1]]) == {0}


def test_own_validation_is_left_out() -> None:
    labels = {"train": np.arange(20) % 2, "validation": np.arange(6) % 2}
    parts = make_indices(labels, 0.1, 0, (1, 4))
    assert parts["validation"][0] == "train"
    assert len(parts["validation"][1]) == 5
    assert not set(parts["validation"][1]) & set(parts["train"][1])


def test_folds_of_splits_keep_groups_whole() -> None:
    labels, groups = np.arange(60) % 2, np.arange(60) // 6
    for fold in range(3):
        parts = make_indices({"train": labels}, 0.1, 0, (fold, 3), {"train": groups})
        train, validation = (set(groups[parts[name][1]]) for name in ("train", "validation"))
        assert train
        assert validation
        assert not train & validation


def test_folds_that_cannot_be() -> None:
    assert "the training examples suffice for 10 folds" in refusal(fold_numbers, np.arange(10) % 2, 11, 0)
    assert "the training groups suffice for 2 folds" in refusal(fold_numbers, np.zeros(9, int), 3, 0, np.arange(9) // 5)
    for changes, words in (
        ([("data.fold", 1)], "without data.folds"),
        ([("data.folds", 3), ("data.fold", 3)], "it must be one of 0 to 2"),
        ([("data.folds", 1)], "a whole number of at least 2"),
    ):
        with pytest.raises(InputError, match=words):
            override(default_config(), changes)


def test_a_share_beside_folds_is_not_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """The default may stay; who sets another share learns that a fold takes its place."""
    data.load(data_settings(folds=5, validation=0.3))
    assert "config.data.validation=0.3: with data.folds=5 a fold is the validation split" in capsys.readouterr().err
    data.load(data_settings(folds=5))
    assert "data.validation" not in capsys.readouterr().err
