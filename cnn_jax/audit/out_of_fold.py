"""Probabilities of classes from models that did not see the picture, nor a copy of it: k-fold cross-validation."""

import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

# C of scikit-learn's logistic regression, for features whose first direction has spread 1.
_STRENGTHS = (0.3, 1.0, 3.0, 10.0)
_ITERATIONS, _TOLERANCE = 300, 1e-3
_ENOUGH_TO_CHOOSE = 5000
_LEAST_PROBABILITY = 1e-12


def out_of_fold(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: int, strength: float
) -> np.ndarray:
    """Multinomial logistic regression with an L2 penalty, fitted k times, each time without the pictures it judges.

    Args:
      features: float32 [N, D], made without the labels.
      labels: [N], 0..K-1.
      groups: [N]; pictures of one number stand in the same fold, so that a copy does not vouch for its own label.
      folds: k, at least 2.
      strength: C, the inverse of the penalty.

    Returns:
      float64 [N, K]; NaN where a picture's class is in no other fold, so that nothing can be said about its label.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    probabilities = np.zeros((len(labels), int(labels.max()) + 1))
    with threadpool_limits(1):  # on matrices this small several threads wait for each other
        for fitted, judged in _splits(labels, groups, folds):
            there = np.unique(labels[fitted])
            if len(there) > 1:
                model = LogisticRegression(C=strength, max_iter=_ITERATIONS, tol=_TOLERANCE).fit(
                    features[fitted], labels[fitted]
                )
                probabilities[judged[:, None], there] = model.predict_proba(features[judged])
            else:
                probabilities[judged[:, None], there] = 1.0
            probabilities[judged[~np.isin(labels[judged], there)]] = np.nan
    return probabilities


def choose_strength(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: int) -> float:
    """The C with the lowest mean log loss out of fold, on at most 5,000 pictures."""
    chosen = np.random.RandomState(0).permutation(len(labels))[:_ENOUGH_TO_CHOOSE]
    features, groups = features[chosen], groups[chosen]
    _, labels = np.unique(labels[chosen], return_inverse=True)

    def loss(strength: float) -> float:
        own = out_of_fold(features, labels, groups, folds, strength)[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(own[~np.isnan(own)], _LEAST_PROBABILITY)).mean())

    return min(_STRENGTHS, key=loss)


def number_groups(count: int, groups: Iterable[Sequence[int]]) -> np.ndarray:
    """int64 [N]: the same number for all rows that some of the groups connect."""
    numbers = np.arange(count)
    for group in groups:
        numbers[np.isin(numbers, numbers[list(group)])] = numbers[group[0]]
    return numbers


def _splits(labels: np.ndarray, groups: np.ndarray, folds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows to fit, rows to judge) of each fold, with about the same share of each class in all of them."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        yield from ((fit, judge) for fit, judge in splitter.split(labels, labels, groups) if len(judge))
