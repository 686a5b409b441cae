"""Where a model fails: the worst images, classes that are mixed up, weak classes, and labels that are likely wrong."""

import dataclasses
from typing import Any

import numpy as np

from cnn_jax.analysis.confusions import losses_of, most_confused, top_losses, weakest_classes
from cnn_jax.inference.metrics import softmax
from cnn_jax.inference.mistakes import common_folder, panel
from cnn_jax.pictures.confused import Pair, plot_confused
from cnn_jax.pictures.embedding import shorten
from cnn_jax.pictures.evaluation import WHOLE, Panel, plot_mistakes
from cnn_jax.reports.label_errors import label_errors
from cnn_jax.reports.section import Picture, Section, Table
from cnn_jax.reports.subject import Subject

_WORST, _DRAWN, _PAIRS, _DRAWN_PAIRS, _CLASSES, _IMAGES = 24, 18, 20, 8, 10, 6
_LIMITS = 3  # pairs that a model card names


def analyze(subject: Subject) -> Section:
    labels, matrix = subject.examples.labels, np.array(subject.evaluation.figures["confusion_matrix"])
    losses = losses_of(subject.logits, labels)
    subject.advance(0.2)
    count, wrong = len(labels), len(subject.evaluation.mistakes)
    root = common_folder([row["path"] for row in subject.evaluation.predictions])
    figures: dict[str, Any] = {
        "images": count, "mistakes": wrong, "top_losses": _top_losses(subject, losses),
        "most_confused": _pairs(subject, matrix), "weakest_classes": _weakest(subject, matrix),
    }  # fmt: skip
    pictures = [_draw_worst(subject, figures, losses, root)]
    subject.advance(0.3)
    if figures["most_confused"]:
        pictures.append(_draw_pairs(subject, figures))
    subject.advance(0.2)
    suspects = label_errors(subject, softmax(subject.logits), root)
    figures["label_errors"] = suspects.figures
    lead = (*_sentences(figures), *suspects.lead)
    tables = (_confused_table(figures), _weakest_table(figures), _worst_table(figures, root), *suspects.tables)
    subject.advance(0.3)
    return Section(
        "Mistakes",
        lead,
        figures,
        tuple(table for table in tables if table.rows),
        (*pictures, *suspects.pictures),
        _limits(figures),
    )


def _top_losses(subject: Subject, losses: np.ndarray) -> list[dict[str, Any]]:
    predictions = subject.evaluation.predictions
    return [
        {**predictions[row], "probability_of_label": float(np.exp(-losses[row])), "loss": float(losses[row])}
        for row in top_losses(losses, _WORST)
    ]


def _pairs(subject: Subject, matrix: np.ndarray) -> list[dict[str, Any]]:
    names = subject.run.class_names
    return [
        {"label": names[pair.label], "prediction": names[pair.prediction], "count": pair.images,
         "support": pair.support, "share": pair.share, "interval_95": list(pair.interval)}
        for pair in most_confused(matrix, _PAIRS)
    ]  # fmt: skip


def _weakest(subject: Subject, matrix: np.ndarray) -> list[dict[str, Any]]:
    per_class = subject.evaluation.figures["per_class"]
    return [
        {**per_class[weak.label], "correct": weak.correct, "recall_interval_95": list(weak.interval)}
        for weak in weakest_classes(matrix, _CLASSES)
    ]


def _draw_worst(subject: Subject, figures: dict[str, Any], losses: np.ndarray, root: str) -> Picture:
    panels = []
    for row, each in zip(top_losses(losses, _DRAWN), figures["top_losses"], strict=False):
        drawn = panel(subject.examples, int(row), subject.evaluation.predictions[row], root)
        panels.append(dataclasses.replace(drawn, heading=heading(each) + f"\nloss {each['loss']:.3g}"))
    title = f"The {len(panels)} largest losses of {figures['images']:,} images" + framed(panels)
    return Picture(
        plot_mistakes(panels, title, subject.picture("top_losses")),
        "Top losses",
        "What the model is least prepared for: the label, with the probability that the model gives it, what it "
        "predicts, and the loss, minus the logarithm of the label's probability. Look for wrong labels, cut-off "
        "objects and classes that look alike.",
    )


def heading(each: dict[str, Any]) -> str:
    label = f"label: {shorten(each['label'], 20)} ({each['probability_of_label']:.1%})"
    if each["label"] == each["prediction"]:
        return f"{label}\nand predicted so"
    return f"{label}\npredicted: {shorten(each['prediction'], 20)} ({each['probability']:.1%})"


def framed(panels: list[Panel]) -> str:
    return "; framed: what the model saw" if any(drawn.part != WHOLE for drawn in panels) else ""


def _draw_pairs(subject: Subject, figures: dict[str, Any]) -> Picture:
    rows = subject.evaluation.predictions
    by_pair: dict[tuple[str, str], list[int]] = {}
    for number in subject.evaluation.mistakes:  # the surest first
        by_pair.setdefault((rows[number]["label"], rows[number]["prediction"]), []).append(int(number))
    pairs = []
    for each in figures["most_confused"][:_DRAWN_PAIRS]:
        numbers = by_pair[each["label"], each["prediction"]][:_IMAGES]
        images = subject.examples.read(np.array(numbers))
        interval = (each["interval_95"][0], each["interval_95"][1])
        pairs.append(Pair(each["label"], each["prediction"], each["count"], each["support"], interval, list(images)))
    title = f"The classes that are mixed up most: {figures['mistakes']:,} mistakes among {figures['images']:,} images"
    return Picture(
        plot_confused(pairs, _IMAGES, title, subject.picture("most_confused")),
        "Most confused classes",
        "A bar is the share of a class's images that was taken for the other class; the line is its 95 % interval "
        "(Wilson): where lines overlap, the order of the pairs may be chance. Beside it the surest of these mistakes.",
    )


def _sentences(figures: dict[str, Any]) -> tuple[str, ...]:
    if not figures["mistakes"]:
        return (f"All of {figures['images']:,} images are right.",)
    pair, weak = figures["most_confused"][0], figures["weakest_classes"][0]
    (low, high), (lowest, highest) = pair["interval_95"], weak["recall_interval_95"]
    return (
        f"Most confused: {pair['count']:,} of {pair['support']:,} images of {pair['label']} were taken for "
        f"{pair['prediction']}, {pair['share']:.1%} (95 % interval {low:.1%} to {high:.1%}).",
        f"The weakest class is {weak['class']}: {weak['correct']:,} of {weak['support']:,} were found, "
        f"{weak['recall']:.1%} ({lowest:.1%} to {highest:.1%}).",
    )


def _limits(figures: dict[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"It takes {_percent(pair['share'])} of '{pair['label']}' for '{pair['prediction']}' (95 % interval "
        f"{_span(pair['interval_95'])}; {pair['count']:,} of {pair['support']:,} images)."
        for pair in figures["most_confused"][:_LIMITS]
    )


def _confused_table(figures: dict[str, Any]) -> Table:
    rows = tuple(
        (each["label"], each["prediction"], each["count"], each["support"], _percent(each["share"]),
         _span(each["interval_95"])) for each in figures["most_confused"]
    )  # fmt: skip
    columns = ("label", "taken for", "images", "of", "share", "95 % interval")
    return Table("Most confused classes", columns, rows, "As a share of the label's images; Wilson's intervals.")


def _weakest_table(figures: dict[str, Any]) -> Table:
    rows = tuple(
        (each["class"], each["correct"], each["support"], _percent(each["recall"]), _span(each["recall_interval_95"]),
         None if each["precision"] is None else _percent(each["precision"])) for each in figures["weakest_classes"]
    )  # fmt: skip
    return Table(
        "Weakest classes",
        ("class", "found", "of", "recall", "95 % interval", "precision"),
        rows,
        "The least recall first. Of few images the interval is wide: the weakest may be so by chance.",
    )


def _worst_table(figures: dict[str, Any], root: str) -> Table:
    rows = tuple(
        (each["path"].removeprefix(root), each["label"], _percent(each["probability_of_label"]), each["prediction"],
         _percent(each["probability"]), each["loss"]) for each in figures["top_losses"]
    )  # fmt: skip
    columns = ("image", "label", "its probability", "predicted", "probability", "loss")
    return Table("Top losses", columns, rows, f"Files are below {root}." if root else "The largest first.")


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _span(interval: list[float]) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}"
