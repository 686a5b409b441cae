"""The first part of a report: what the run is worth on this split."""

from cnn_jax.inference.evaluation import describe
from cnn_jax.reports.section import Section, Table
from cnn_jax.reports.subject import Subject


def analyze(subject: Subject) -> Section:
    figures = {name: value for name, value in subject.evaluation.figures.items() if name != "mistakes"}
    low, high = figures["accuracy_interval_95"]
    rows = tuple(
        (row["class"], row["precision"], row["recall"], row["f1"], row["support"]) for row in figures["per_class"]
    )
    return Section(
        "Figures",
        (
            f"The {describe(figures | {'split': subject.split, 'data_dir': None})}.",
            f"With other images of the same kind it would lie between {low:.1%} and {high:.1%}, 95 times out of 100.",
            f"What it says of its own certainty is off by {figures['expected_calibration_error']:.1%} "
            "(expected calibration error).",
        ),
        figures,
        tables=(
            Table(
                "Classes",
                ("class", "precision", "recall", "F1", "images"),
                rows,
                "Precision is the share of its predictions that are right, recall the share of its images that are "
                "found.",
            ),
        ),
    )
