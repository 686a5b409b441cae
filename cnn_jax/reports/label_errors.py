"""Labels that are likely wrong, by confident learning, and how far that can be believed; in the audit's words."""

import dataclasses
from typing import Any

import numpy as np

from cnn_jax.analysis.confident_learning import joint, prune_by_noise_rate, self_confidence
from cnn_jax.analysis.label_trial import PLANTED_SHARE, Trial, try_labels
from cnn_jax.inference.mistakes import panel
from cnn_jax.pictures.embedding import shorten
from cnn_jax.pictures.evaluation import plot_mistakes
from cnn_jax.reports.section import Picture, Section, Table
from cnn_jax.reports.subject import Subject

ENOUGH_LABELS = 50  # of fewer nothing can be said about how well a ranking finds wrong ones
_LISTED, _DRAWN = 24, 18


def label_errors(subject: Subject, probabilities: np.ndarray, root: str) -> Section:
    """Suspects of the split, with a trial on planted errors where the model was not trained on it.

    Args:
      probabilities: [N, K].
      root: what all names of the split begin with.
    """
    labels = subject.examples.labels
    trial = None
    if subject.split != "train" and len(labels) >= ENOUGH_LABELS and probabilities.shape[1] > 1:
        trial, _ = try_labels(lambda some: probabilities, labels)
        order, likely = trial.order, trial.mark.likely
    else:
        order, likely = _by_self_confidence(probabilities, labels), 0
    figures: dict[str, Any] = {
        "trained_on": subject.split == "train", "suspects": len(order), "likely": likely,
        "share_of_the_joint_off_its_diagonal": float(1 - np.trace(joint(probabilities, labels))),
        "trial": None if trial is None else trial.figures(),
        "images": [_suspect(subject, probabilities, int(row), i < likely) for i, row in enumerate(order[:_LISTED])],
    }  # fmt: skip
    lead = _sentences(subject, trial, figures)
    if not len(order):
        return Section("", lead, figures)
    return Section("", lead, figures, (_table(figures, root),), (_draw(subject, order[:_DRAWN], figures, root),))


def _by_self_confidence(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    suspects = np.flatnonzero(prune_by_noise_rate(probabilities, labels))
    return suspects[np.argsort(self_confidence(probabilities, labels)[suspects], kind="stable")]


def _suspect(subject: Subject, probabilities: np.ndarray, row: int, likely: bool) -> dict[str, Any]:
    own = float(probabilities[row, subject.examples.labels[row]])
    return {**subject.evaluation.predictions[row], "probability_of_label": own, "likely": likely}


def _sentences(subject: Subject, trial: Trial | None, figures: dict[str, Any]) -> tuple[str, ...]:
    count, share = figures["suspects"], figures["share_of_the_joint_off_its_diagonal"]
    said = (
        f"Suspect labels, by confident learning: {count:,} of {len(subject.examples):,} (the joint of labels and "
        f"classes has {share:.2%} off its diagonal)."
    )
    if figures["trained_on"]:
        return (
            said,
            "The model was trained on these images, so that its opinion of their labels is no evidence: look at "
            "another split, or run the audit with --folds=5.",
        )
    if trial is None:
        few = f"{len(subject.examples):,} images are too few to try how well the model finds wrong labels."
        return (said, few)
    planted = (
        f"Trial: {trial.planted:,} labels ({PLANTED_SHARE:.0%} of each class) were changed at random; "
        f"{trial.found:.0%} of them came out as suspects."
    )
    if not count:
        worth = ""
    elif trial.mark.likely:
        mark = trial.mark
        worth = (
            f"The first {mark.likely:,} are likely mislabelled: by that trial no more than about {mark.precision:.0%} "
            f"of them have a label as wrong as those, and {mark.found:.0%} of what was planted stands among them."
        )
    elif trial.separates:
        worth = (
            f"By that trial no more than about {trial.precision:.0%} of the suspects have a label as wrong as those: "
            "most are only hard for this model."
        )
    else:
        worth = "Where those stand, so many others stand, too, that wrong labels cannot be told from hard images."
    caution = (
        "Validation images have chosen the best epoch, so that the model knows them a little."
        if subject.split == "validation"
        else "What the model was trained on among them would count for nothing."
        if subject.split == "all"
        else ""
    )
    return tuple(filter(None, (said, planted, worth, caution)))


def _draw(subject: Subject, order: np.ndarray, figures: dict[str, Any], root: str) -> Picture:
    panels, count = [], figures["suspects"]
    for row, each in zip(order, figures["images"], strict=False):
        drawn = panel(subject.examples, int(row), subject.evaluation.predictions[row], root)
        what = "likely mislabelled" if each["likely"] else "hard for this model"
        heading = f"label: {shorten(each['label'], 20)} ({each['probability_of_label']:.1%})"
        heading += f"\nmodel: {shorten(each['prediction'], 20)} ({each['probability']:.1%})\n{what}"
        panels.append(dataclasses.replace(drawn, heading=heading))
    of_all = f"{count:,}" if count == len(panels) else f"{len(panels)} of {count:,}"
    title = f"{of_all} suspect label{'s' * (count > 1)}"
    return Picture(
        plot_mistakes(panels, title, subject.picture("label_errors")),
        "Suspect labels",
        "Images that confident learning would label otherwise, those first that give their label the least "
        "probability. Likely mislabelled are those that the trial with planted errors bears out; the others may be "
        "right, and hard.",
    )


def _table(figures: dict[str, Any], root: str) -> Table:
    rows = tuple(
        (each["path"].removeprefix(root), each["label"], f"{each['probability_of_label']:.1%}", each["prediction"],
         f"{each['probability']:.1%}", "likely mislabelled" if each["likely"] else "hard for this model")
        for each in figures["images"]
    )  # fmt: skip
    columns = ("image", "label", "its probability", "the model says", "probability", "is")
    return Table("Suspect labels", columns, rows, f"Files are below {root}." if root else "The surest first.")
