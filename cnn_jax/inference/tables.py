"""Predictions as CSV files that no spreadsheet takes for formulas (CSV injection)."""

import csv
import errno
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.errors import InputError, SaveError
from cnn_jax.runtime.folders import whole_file

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


class Table(io.StringIO):
    """Text that becomes a file, whole, at the end of a `with` block in which nothing went wrong.

    Raises:
      SaveError: the disk does not take it.
    """

    def __init__(self, path: str):
        super().__init__(newline="")
        self._path = path

    def __exit__(self, kind: type[BaseException] | None, error: Any, traceback: Any) -> None:
        try:
            if kind is None:
                with whole_file(self._path) as file:
                    file.write(self.getvalue())
        except OSError as failed:
            raise SaveError(f"--csv={self._path}: it cannot be written ({failed.strerror}); make room") from failed
        finally:
            super().__exit__(kind, error, traceback)


def open_table(path: str) -> Table:
    """A table to write; raises InputError where there can be no such file. What is there stays until it is whole."""
    try:
        if os.path.isfile(path) or not os.path.exists(path):  # a pipe would wait for its reader
            is_new = not os.path.lexists(path)
            with open(path, "a"):
                pass
            if is_new:
                os.unlink(path)
        elif os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise InputError(f"--csv={path}: it cannot be written ({error.strerror})") from error
    return Table(path)
