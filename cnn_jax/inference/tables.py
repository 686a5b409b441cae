"""Predictions as CSV files that no spreadsheet takes for formulas (CSV injection)."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from cnn_jax.errors import InputError

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
EVALUATED = ("path", "label", "prediction", "probability")


def path_cell(path: str) -> str:
    """A path as a cell: `./` before it leaves it the same path."""
    return f"./{path}" if path.startswith(_FORMULA) else path


def text_cell(text: str) -> str:
    """A name or a message as a cell: an apostrophe marks it as text."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def predicted_header(top: int) -> list[str]:
    """image, class, probability, class_2, probability_2, ..., error."""
    ranks = ["", *(f"_{rank}" for rank in range(2, top + 1))]
    return ["image", *(f"{what}{rank}" for rank in ranks for what in ("class", "probability")), "error"]


def predicted_row(image: str, classes: Sequence[tuple[str, float]], error: str | None, top: int) -> list[str]:
    """A row below `predicted_header(top)`; of an image with an error only that is filled."""
    cells = [cell for name, probability in classes for cell in (text_cell(name), f"{probability:.6f}")]
    return [path_cell(image), *cells, *[""] * (2 * top - len(cells)), text_cell(error or "")]


def write_evaluated(rows: Iterable[Mapping[str, Any]], path: Path) -> Path:
    """A row for each evaluated image: its path (or the row of its source), label, prediction, probability."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(EVALUATED)
        for row in rows:
            names = (text_cell(row["label"]), text_cell(row["prediction"]))
            writer.writerow([path_cell(row["path"]), *names, f"{row['probability']:.6f}"])
    return path


def open_table(path: str) -> TextIO:
    """Opens a CSV file for writing; raises InputError where that cannot be."""
    try:
        return open(path, "w", newline="", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise InputError(f"--csv={path}: it cannot be written ({error.strerror})") from error
