"""Folds for cross-validation: every training image is in the validation split once."""

import numpy as np

from cnn_jax.errors import InputError


def fold_numbers(labels: np.ndarray, folds: int, seed: int, groups: np.ndarray | None = None) -> np.ndarray:
    """The fold of each example, int [N] in 0..folds-1; -1: in none, so that it is always trained on.

    Folds are stratified: without groups their sizes, and their counts of each class, differ by one at most. A class
    with one example, or with all of them in one group, keeps them for training.

    Args:
      labels: [N] integers.
      folds: how many, at least 2.
      seed: of the order in which examples are dealt out.
      groups: [N] integers; examples of one group (pictures of one person) are in one fold. Groups are dealt out from
        those with most examples on, each to the fold that it leaves the most even (as scikit-learn's
        StratifiedGroupKFold).

    Raises:
      InputError: a fold would be empty.
    """
    # RandomState's stream is frozen by NumPy's policy; Generator's may change from version to version.
    order = np.random.RandomState(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    found = _by_group(labels, folds, order, groups) if groups is not None else _dealt(labels, folds, order)
    filled = len(np.unique(found[found >= 0]))
    if filled < folds:
        what = "groups" if groups is not None else "examples"
        raise InputError(f"config.data.folds={folds}: the training {what} suffice for {filled} folds; choose fewer")
    return found


def _dealt(labels: np.ndarray, folds: int, order: np.ndarray) -> np.ndarray:
    """Class by class, one example after the other; where one class ends the next one goes on."""
    classes, counts = np.unique(labels, return_counts=True)
    kept = order[np.isin(labels[order], classes[counts > 1])]
    found = np.full(len(labels), -1)
    found[kept] = np.arange(len(kept)) % folds
    return found


def _by_group(labels: np.ndarray, folds: int, order: np.ndarray, groups: np.ndarray) -> np.ndarray:
    classes, of_class = np.unique(labels, return_inverse=True)
    names, of_group = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), len(classes)), np.int64)
    np.add.at(counts, (of_group, of_class), 1)
    totals = counts.sum(axis=0)
    first = np.full(len(names), len(labels))
    np.minimum.at(first, of_group[order], np.arange(len(order)))
    taken = np.zeros((folds, len(classes)))
    place = np.full(len(names), -1)
    spared = np.flatnonzero((counts < totals).all(axis=1))
    for group in sorted(spared, key=lambda group: (-counts[group].sum(), first[group])):
        after = taken[None] + np.eye(folds)[:, :, None] * counts[group] / totals  # [fold chosen, fold, class]
        unevenness = after.std(axis=1).mean(axis=1)
        place[group] = np.lexsort((taken.sum(axis=1), np.round(unevenness, 12)))[0]
        taken[place[group]] += counts[group] / totals
    return place[of_group]
