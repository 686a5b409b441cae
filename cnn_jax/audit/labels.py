"""Which labels are likely wrong: judged by models that did not see the pictures, and tried on planted errors."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cnn_jax.analysis.confident_learning import prune_by_noise_rate, self_confidence
from cnn_jax.analysis.label_trial import PLANTED_SHARE, Trial, try_labels
from cnn_jax.audit.features import FEATURE_SIDE, describe, main_directions
from cnn_jax.audit.findings import Finding, Suspect
from cnn_jax.audit.model import read_parts
from cnn_jax.audit.out_of_fold import choose_strength, out_of_fold
from cnn_jax.audit.quality import Entry
from cnn_jax.cli.progress import progress_bar
from cnn_jax.data import Source
from cnn_jax.errors import InputError

_AT_ONCE = 64
# Of fewer labels nothing can be said about how well a ranking finds wrong ones.
_ENOUGH_LABELS = 50


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Findings about labels, and figures for `audit.json`."""

    findings: tuple[Finding, ...]
    figures: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Judged:
    """Pictures whose labels are judged.

    Attributes:
      rows: int64 [N], of the entries.
      labels: int64 [N].
      class_names: of all classes.
    """

    rows: np.ndarray
    labels: np.ndarray
    class_names: Sequence[str]

    def subset(self, chosen: np.ndarray) -> "Judged":
        return dataclasses.replace(self, rows=self.rows[chosen], labels=self.labels[chosen])


def features_of(source: Source, entries: Sequence[Entry], rows: np.ndarray) -> np.ndarray:
    """Features that need no training, float32 [N, at most 256]; see `features.describe`."""
    shape = (FEATURE_SIDE, FEATURE_SIDE, 3)
    squares = {
        split: dataclasses.replace(pictures, image_shape=shape, resize="stretch", center_crop=1.0)
        for split, pictures in source.splits.items()
    }
    with progress_bar(len(rows), "describing pictures", "image") as bar:

        def parts(chosen: np.ndarray) -> Iterator[list[np.ndarray]]:
            for images in read_parts(squares, entries, rows[chosen], _AT_ONCE):
                yield describe(images)
                bar.update(len(images))

        return main_directions(parts, len(rows))


def judge_by_folds(judged: Judged, features: np.ndarray, groups: np.ndarray, folds: int) -> Verdict:
    """Suspects by out-of-fold probabilities.

    Args:
      judged: what is judged.
      features: float32 [N, D], made without the labels.
      groups: [N], the same number for what must stand in one fold.
      folds: of the cross-validation.

    Raises:
      InputError: there are too few pictures, classes or groups.
    """
    there, labels = np.unique(judged.labels, return_inverse=True)
    separate = len(np.unique(groups))
    if len(labels) < _ENOUGH_LABELS or len(there) < 2 or separate < folds:
        raise InputError(
            f"--folds={folds}: labels are judged where there are at least {_ENOUGH_LABELS} pictures of two classes, "
            f"and as many different ones as folds; here are {len(labels)}, {len(there)} and {separate}: leave it out"
        )
    strength = choose_strength(features, labels, groups, folds)
    trial, probabilities = try_labels(lambda some: out_of_fold(features, some, groups, folds, strength), labels)
    names = [judged.class_names[label] for label in there]
    how = (
        f"Judged by {folds} logistic regressions, each of them fitted without the pictures that it judges and without "
        f"their copies; they agree with {trial.accuracy:.1%} of the labels."
    )
    found = _proved(dataclasses.replace(judged, labels=labels, class_names=names), probabilities, trial, how)
    return Verdict(tuple(found), {"folds": folds, "strength": strength} | trial.figures())


def judge_by_model(judged: Judged, probabilities: np.ndarray, seen: np.ndarray) -> Verdict:
    """Suspects by a trained model; of pictures that it was trained on, its opinion is no evidence.

    Args:
      judged: what is judged.
      probabilities: [N, K].
      seen: bool [N], the model was trained on it.
    """
    new = np.flatnonzero(~seen)
    if len(new) < _ENOUGH_LABELS or probabilities.shape[1] < 2:
        new = new[:0]
    others = np.setdiff1d(np.arange(len(seen)), new)
    findings: list[Finding] = []
    figures: dict[str, Any] = {"trained_on": int(seen.sum())}
    if len(new):
        trial, _ = try_labels(lambda some: probabilities[new], judged.labels[new])
        how = (
            f"Judged by the model on {len(new):,} pictures that it was not trained on; it agrees with "
            f"{trial.accuracy:.1%} of their labels."
        )
        findings += _proved(judged.subset(new), probabilities[new], trial, how)
        figures |= trial.figures()
    if len(others):
        findings.append(_unproved(judged.subset(others), probabilities[others], bool(seen[others].any())))
    return Verdict(tuple(_joined(findings)), figures)


def _proved(judged: Judged, probabilities: np.ndarray, trial: Trial, how: str) -> list[Finding]:
    """Likely mislabelled as far as the trial bears it out; the other suspects are hard for this model."""
    planted = f"Trial: {trial.planted:,} labels ({PLANTED_SHARE:.0%} of each class) were changed at random"
    rarely = "so that wrong labels cannot be told from hard pictures"
    likely = (
        how,
        f"{planted}; {trial.mark.found:.0%} of them came out as suspect as the pictures below.",
        _estimate("pictures below", trial.mark.precision),
    )
    hard = (
        how,
        f"{planted}; {trial.found:.0%} of them came out as suspects.",
        _estimate("suspects", trial.precision)
        if trial.separates
        else f"Where those stand, so many others stand, too, {rarely}.",
    )
    suspects = _suspects(judged, probabilities, trial.order)
    return [
        Finding("likely mislabelled", suspects[: trial.mark.likely], likely if trial.mark.likely else ()),
        Finding(
            "hard for this model", suspects[trial.mark.likely :], hard if len(suspects) > trial.mark.likely else ()
        ),
    ]


def _estimate(what: str, precision: float) -> str:
    return (
        f"Estimate: of 100 {what} no more than about {100 * precision:.0f} have a label as wrong as those; mix-ups of "
        "like classes are harder to see, and are not counted so."
    )


def _unproved(judged: Judged, probabilities: np.ndarray, any_seen: bool) -> Finding:
    order = np.flatnonzero(prune_by_noise_rate(probabilities, judged.labels))
    order = order[np.argsort(self_confidence(probabilities, judged.labels)[order], kind="stable")]
    why = "The model was trained on these, so that its opinion of their labels is no evidence; --folds=5 asks others."
    few = f"{len(judged.labels):,} pictures are too few to try how well the model finds wrong labels."
    suspects = _suspects(judged, probabilities, order)
    return Finding("hard for this model", suspects, (why if any_seen else few,) if suspects else ())


def _suspects(judged: Judged, probabilities: np.ndarray, order: np.ndarray) -> tuple[Suspect, ...]:
    names, found = judged.class_names, []
    for i in order:
        other, label = int(probabilities[i].argmax()), int(judged.labels[i])
        opinion = f"model: {names[other]} {probabilities[i, other]:.1%}, {names[label]} {probabilities[i, label]:.1%}"
        found.append(Suspect(int(judged.rows[i]), opinion))
    return tuple(found)


def _joined(findings: Sequence[Finding]) -> list[Finding]:
    """One finding of each kind."""
    by_kind: dict[str, Finding] = {}
    for finding in findings:
        before = by_kind.get(finding.kind, Finding(finding.kind))
        suspects, about = before.suspects + finding.suspects, before.about + finding.about
        by_kind[finding.kind] = Finding(finding.kind, suspects, about)
    return list(by_kind.values())
