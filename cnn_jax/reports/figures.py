"""The first part of a report: what the run is worth on this split."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnn_jax.inference.evaluation import describe
from cnn_jax.pictures.evaluation import plot_confusion
from cnn_jax.pictures.reliability import plot_reliability
from cnn_jax.reports.section import Picture, Section, Table
from cnn_jax.reports.subject import Subject
from cnn_jax.runs.noise import wilson_interval

_WEAKEST, _BINS = 3, 10


def analyze(subject: Subject) -> Section:
    figures = {name: value for name, value in subject.evaluation.figures.items() if name != "mistakes"}
    confidence = np.array([row["probability"] for row in subject.evaluation.predictions])
    is_right = np.array([row["label"] == row["prediction"] for row in subject.evaluation.predictions])
    figures |= {"mean_confidence": float(confidence.mean()), "reliability": reliability(confidence, is_right)}
    accuracy = describe(figures | {"split": subject.split, "data_dir": None})
    return Section(
        "Figures",
        (f"{accuracy[0].upper()}{accuracy[1:]}.", _in_words(figures), _calibration(figures)),
        figures,
        tables=(_classes(figures["per_class"]),),
        pictures=_pictures(subject, figures, accuracy),
        limits=(*_weakest(figures["per_class"]), _calibration(figures)),
    )


def reliability(confidence: np.ndarray, is_right: np.ndarray) -> list[dict[str, Any]]:
    """Of ten bins of confidence of equal width, those that hold images: confidence, accuracy, its interval, images.

    Args:
      confidence, is_right: [N], of the predicted class.
    """
    index = np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
    rows = []
    for chosen in (index == i for i in np.unique(index)):
        right, count = int(is_right[chosen].sum()), int(chosen.sum())
        interval = list(wilson_interval(right, count))
        mean = float(confidence[chosen].mean())
        rows.append({"confidence": mean, "accuracy": right / count, "interval_95": interval, "images": count})
    return rows


def _in_words(figures: Mapping[str, Any]) -> str:
    low, high = figures["accuracy_interval_95"]
    return (
        f"These are {figures['examples']:,} images; on all images of their kind the accuracy may lie anywhere from "
        f"{low:.1%} to {high:.1%} (95 % interval)."
    )


def _calibration(figures: Mapping[str, Any]) -> str:
    error, gap = figures["expected_calibration_error"], figures["mean_confidence"] - figures["accuracy"]
    way = "too sure of itself" if gap > 0 else "less sure than it could be"
    return (
        f"Its probabilities are {100 * error:.1f} percentage points off on average (expected calibration error): it is "
        f"right in {figures['accuracy']:.1%} and says {figures['mean_confidence']:.1%}, so on the whole it is {way}."
    )


def _weakest(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The classes that it finds least often, where some image of them is missed."""
    known = [row for row in rows if row["recall"] is not None and row["recall"] < 1]
    sentences = []
    for row in sorted(known, key=lambda row: row["recall"])[:_WEAKEST]:
        low, high = wilson_interval(round(row["recall"] * row["support"]), row["support"])
        images = f"{row['support']:,} image{'' if row['support'] == 1 else 's'}"
        sentences.append(
            f"Of '{row['class']}' it finds {row['recall']:.0%} (95 % interval {low:.0%} to {high:.0%}, {images})."
        )
    return sentences


def _classes(rows: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        "Classes",
        ("class", "precision", "recall", "F1", "images"),
        tuple((row["class"], row["precision"], row["recall"], row["f1"], row["support"]) for row in rows),
        "Precision is the share of its predictions that are right, recall the share of its images that are found.",
    )


def _pictures(subject: Subject, figures: Mapping[str, Any], accuracy: str) -> tuple[Picture, ...]:
    matrix, names = np.array(figures["confusion_matrix"]), subject.run.class_names
    confusion = plot_confusion(matrix, names, f"confusion matrix, {accuracy}", subject.picture("report_confusion"))
    title = f"reliability, {subject.split}"
    return (
        Picture(
            confusion,
            "Confusion matrix",
            "A row is a class, a column what was predicted: what lies off the diagonal is wrong. Colours are shares of "
            "the row, and not linear, so that a few mistakes show.",
        ),
        Picture(
            plot_reliability(figures["reliability"], title, subject.picture("report_reliability")),
            "Reliability diagram",
            "How often it is right, by how sure it says it is. Below the diagonal it is too sure; bars are 95 % "
            "intervals, and small ones hold many images.",
        ),
    )
