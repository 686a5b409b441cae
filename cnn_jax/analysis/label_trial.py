"""How far suspects can be trusted: some labels are changed on purpose, and it is seen how they come out.

Nobody can tell from a set alone how many of its suspects are wrong labels and how many are only hard. What was planted
gives two figures: where wrong labels stand in the ranking, and, as no more labels can be wrong than suspects stand
there, how many are wrong at most. That is the estimate of a share in a mixture (Blanchard, Lee & Scott 2010,
"Semi-Supervised Novelty Detection", theorem 7: the least ratio of two tails).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_jax.analysis.confident_learning import prune_by_noise_rate, self_confidence

PLANTED_SHARE = 0.05
# Several trials of a small set, until so many labels were planted.
_ENOUGH_PLANTED, _MOST_TRIALS = 200, 5
# Fewer suspects than this bear no figure, nor does a tail with less than a fifth of what was planted.
_LEAST_COUNT, _LEAST_TAIL = 10, 0.2
# "Likely" is said of the first suspects of which at least so many are wrong by the estimate ...
_LEAST_PRECISION = 0.7
# ... and among which half of what was planted came out, by models that do not find more suspects than a tenth of the
# labels could be wrong: real sets have some percent (Northcutt, Athalye & Mueller 2021), so models that find more take
# what is hard for what is wrong.
_LEAST_FOUND, _MOST_WRONG = 0.5, 0.1

# Labels [N] -> probabilities [N, K] of models that did not see the pictures they judge, fitted to these labels.
Judge = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Mark:
    """How far down a ranking labels are likely wrong.

    Attributes:
      wrong: share of wrong labels, at most, in the set.
      likely: how many pictures, from the first, are called likely mislabelled.
      precision: share of wrong labels, at most, among those; 0 without any.
      found: share of planted labels that stand among them; 0 without any.
    """

    wrong: float
    likely: int
    precision: float
    found: float


@dataclasses.dataclass(frozen=True)
class Trial:
    """Suspects, and what planting says about them.

    Attributes:
      order: int64 [S], the likely mislabelled pictures, then the other suspects; each the least self-confident first.
      mark: says how many are likely mislabelled.
      planted: labels that were changed.
      found: share of those that came out as suspects.
      precision: share of wrong labels, at most, among the suspects.
      accuracy: of the judging models, against the labels as they are.
    """

    order: np.ndarray
    mark: Mark
    planted: int
    found: float
    precision: float
    accuracy: float

    @property
    def separates(self) -> bool:
        """Whether these models can tell wrong labels from hard pictures at all."""
        return self.mark.wrong <= _MOST_WRONG and self.found >= _LEAST_FOUND

    def figures(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "accuracy": self.accuracy, "suspects": len(self.order), "planted": self.planted,
            "planted_among_suspects": self.found, "precision_of_suspects_at_most": self.precision,
            "wrong_labels_at_most": self.mark.wrong, "likely_mislabelled": self.mark.likely,
            "planted_among_likely": self.mark.found, "precision_of_likely_at_most": self.mark.precision,
        }  # fmt: skip


def plant(labels: np.ndarray, classes: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Changes 5 % of each class's labels (one at least) to other classes at random: labels, and bool [N] which."""
    changed, planted = labels.copy(), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        chosen = random.choice(of_class, max(1, round(PLANTED_SHARE * len(of_class))), replace=False)
        changed[chosen] = (label + random.randint(1, classes, len(chosen))) % classes
        planted[chosen] = True
    return changed, planted


def try_labels(judge: Judge, labels: np.ndarray) -> tuple[Trial, np.ndarray]:
    """Finds suspects by pruning by noise rate, and tries how well labels are found that are wrong for certain.

    Args:
      judge: see `Judge`.
      labels: [N], of two classes at least.

    Returns:
      the trial, and the probabilities [N, K] of the labels as they are.
    """
    probabilities = judge(labels)
    ranks, suspect = _rank(probabilities, labels)
    of_one_trial = max(1, round(PLANTED_SHARE * len(labels)))
    planted_ranks, planted_suspect = [], []
    for seed in range(min(_MOST_TRIALS, -(-_ENOUGH_PLANTED // of_one_trial))):
        changed, where = plant(labels, probabilities.shape[1], np.random.RandomState(seed))
        of_trial = _rank(judge(changed), changed)
        planted_ranks.append(of_trial[0][where])
        planted_suspect.append(of_trial[1][where])
    planted = np.concatenate(planted_ranks)
    mark, found = find_mark(ranks, planted), float(np.concatenate(planted_suspect).mean())
    likely = np.argsort(ranks, kind="stable")[: mark.likely]
    others = np.setdiff1d(np.flatnonzero(suspect), likely)
    order = np.concatenate([likely, others[np.argsort(ranks[others], kind="stable")]])
    precision = min(mark.wrong * found * len(labels) / max(int(suspect.sum()), 1), 1.0)
    known = ~np.isnan(probabilities[np.arange(len(labels)), labels])
    accuracy = float((probabilities[known].argmax(axis=1) == labels[known]).mean()) if known.any() else 0.0
    return Trial(order, mark, len(planted), found, precision, accuracy), probabilities


def find_mark(ranks: np.ndarray, planted: np.ndarray) -> Mark:
    """The lowest place down to which enough of a ranking is wrong, by where planted labels stand in it.

    Args:
      ranks: [N], self-confidence of what the models would label otherwise; infinite of all else.
      planted: [P], the same of the labels that were changed, in a set that is as it was but for them.
    """
    order = np.sort(ranks[np.isfinite(ranks)])
    found = np.searchsorted(np.sort(planted), order, side="right") / len(planted)
    places = np.arange(1, len(order) + 1)
    marks = np.sort(planted[np.isfinite(planted)])
    tails = np.arange(1, len(marks) + 1) / len(planted)
    heavy = tails >= max(_LEAST_TAIL, min(_LEAST_COUNT / len(planted), 1.0))
    # One more than counted, so that the least of many small counts is not too small by chance.
    ratios = (np.searchsorted(order, marks, side="right") + 1) / len(ranks) / tails
    wrong = min(float(ratios[heavy].min()), 1.0) if heavy.any() else 1.0
    precision = np.minimum(wrong * found * len(ranks) / places, 1.0)
    last = np.flatnonzero((precision >= _LEAST_PRECISION) & (places >= _LEAST_COUNT))[-1:]
    if wrong > _MOST_WRONG or not len(last) or found[last[0]] < _LEAST_FOUND:
        return Mark(wrong, 0, 0.0, 0.0)
    return Mark(wrong, int(last[0]) + 1, float(precision[last[0]]), float(found[last[0]]))


def _rank(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Self-confidence where the models would label otherwise, else (or where they cannot judge) infinity; suspects."""
    ranks, suspect = np.full(len(labels), np.inf), np.zeros(len(labels), bool)
    known = np.flatnonzero(~np.isnan(probabilities[np.arange(len(labels)), labels]))
    if len(known):
        suspect[known] = prune_by_noise_rate(probabilities[known], labels[known])
        doubted = known[probabilities[known].argmax(axis=1) != labels[known]]
        ranks[doubted] = self_confidence(probabilities, labels)[doubted]
    return ranks, suspect
