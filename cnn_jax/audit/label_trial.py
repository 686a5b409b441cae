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

from cnn_jax.audit.confident_learning import prune_by_noise_rate, self_confidence

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
class Trial:
    """Suspects, and what planting says about them.

    Attributes:
      order: int64 [S], the suspects among the pictures, the most suspicious (least self-confidence) first.
      likely: how many of them, from the first, are called likely mislabelled.
      planted: labels that were changed.
      found: share of those that came out among what is as suspicious as any suspect.
      likely_found: among what is as suspicious as the likely ones; 0 without any.
      precision: share of wrong labels, at most, among the suspects; 0 without any.
      likely_precision: among the likely ones.
      wrong: share of wrong labels, at most, in the set.
      accuracy: of the judging models, against the labels as they are.
    """

    order: np.ndarray
    likely: int
    planted: int
    found: float
    likely_found: float
    precision: float
    likely_precision: float
    wrong: float
    accuracy: float

    @property
    def separates(self) -> bool:
        """Whether these models can tell wrong labels from hard pictures at all."""
        return self.wrong <= _MOST_WRONG and self.found >= _LEAST_FOUND

    def figures(self) -> dict[str, Any]:
        """JSON values for `audit.json`."""
        fields = dataclasses.asdict(self) | {"suspects": len(self.order)}
        del fields["order"]
        return fields


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
    """Finds suspects by pruning by noise rate, and tries how well that finds labels that are wrong for certain.

    Args:
      judge: see `Judge`.
      labels: [N], of two classes at least.

    Returns:
      the trial, and the probabilities [N, K] of the labels as they are.
    """
    probabilities = judge(labels)
    ranks = _ranks(probabilities, labels)
    classes, of_one_trial = probabilities.shape[1], max(1, round(PLANTED_SHARE * len(labels)))
    trials = min(_MOST_TRIALS, -(-_ENOUGH_PLANTED // of_one_trial))
    planted = []
    for seed in range(trials):
        changed, where = plant(labels, classes, np.random.RandomState(seed))
        planted.append(_ranks(judge(changed), changed)[where])
    known = ~np.isnan(probabilities[np.arange(len(labels)), labels])
    accuracy = float((probabilities[known].argmax(axis=1) == labels[known]).mean()) if known.any() else 0.0
    return compare(ranks, np.concatenate(planted), accuracy), probabilities


def compare(ranks: np.ndarray, planted: np.ndarray, accuracy: float = 1.0) -> Trial:
    """What the ranks of planted labels say about the suspects.

    Args:
      ranks: [N], self-confidence of all pictures; infinite of what is no suspect.
      planted: [P], the same of the labels that were changed, in a set that is as it was but for them.
      accuracy: is passed on.
    """
    order = np.argsort(ranks, kind="stable")[: int(np.isfinite(ranks).sum())]
    found = np.searchsorted(np.sort(planted), ranks[order], side="right") / len(planted)
    suspects = np.arange(1, len(order) + 1)
    marks = np.sort(planted[np.isfinite(planted)])
    tails = np.arange(1, len(marks) + 1) / len(planted)
    heavy = tails >= max(_LEAST_TAIL, min(_LEAST_COUNT / len(planted), 1.0))
    ratios = np.searchsorted(ranks[order], marks, side="right") / len(ranks) / tails
    wrong = min(float(ratios[heavy].min()), 1.0) if heavy.any() else 1.0
    precision = np.minimum(wrong * found * len(ranks) / suspects, 1.0)
    good = (precision >= _LEAST_PRECISION) & (suspects >= _LEAST_COUNT)
    likely = int(np.flatnonzero(good)[-1]) + 1 if good.any() else 0
    if wrong > _MOST_WRONG or (likely and found[likely - 1] < _LEAST_FOUND):
        likely = 0

    def until(values: np.ndarray, count: int) -> float:
        return float(values[count - 1]) if count else 0.0

    return Trial(
        order, likely, len(planted), until(found, len(order)), until(found, likely), until(precision, len(order)),
        until(precision, likely), wrong, accuracy,
    )  # fmt: skip


def _ranks(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Self-confidence of the suspects, infinity for all others and for what the models cannot judge; [N]."""
    ranks = np.full(len(labels), np.inf)
    known = np.flatnonzero(~np.isnan(probabilities[np.arange(len(labels)), labels]))
    if len(known):
        suspect = known[prune_by_noise_rate(probabilities[known], labels[known])]
        ranks[suspect] = self_confidence(probabilities, labels)[suspect]
    return ranks
