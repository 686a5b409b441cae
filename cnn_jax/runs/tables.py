"""Runs as plain text: a table that fits a terminal, chosen runs side by side, CSV and JSON."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.cli.text_table import GAP, column_widths, format_table
from cnn_jax.errors import InputError, shown
from cnn_jax.runs.comparison import differing_keys, main_figures
from cnn_jax.runs.filtering import column
from cnn_jax.runs.search import column_names
from cnn_jax.runtime.folders import whole_file

_LONGEST = 32  # characters of a cell
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Record = Mapping[str, Any]


def columns_of(text: str | None, records: Sequence[Record]) -> list[str]:
    """The columns in "a,b,c"; of None the run, the main figures, and the keys in which the runs differ.

    Those with most values come first: they were tuned, and not all may fit.

    Raises:
      InputError: no run has such a column.
    """
    if text is None:
        keys = sorted(differing_keys(records), key=lambda key: -len({repr(record.get(key)) for record in records}))
        return ["run", "status", *main_figures(records), *keys]
    names = [name.strip() for name in text.split(",") if name.strip()]
    return [column(name, column_names(records), f"--columns={text}") for name in names]


def table(records: Sequence[Record], columns: Sequence[str], width: int) -> str:
    """The records as aligned lines of at most `width` characters; columns that do not fit are named below."""
    rows = [list(columns), *([_cell(record.get(name)) for name in columns] for record in records)]
    widths = column_widths(rows)
    fit = len(columns)
    while fit > 1 and sum(widths[:fit]) + GAP * (fit - 1) > width:
        fit -= 1
    numbers = [all(_is_number(record.get(name)) for record in records) for name in columns[:fit]]
    lines = format_table([row[:fit] for row in rows], numbers)
    if fit < len(columns):
        lines.append(f"not shown (--columns=..., --csv=FILE): {', '.join(columns[fit:])}")
    return "\n".join(lines)


def comparison(records: Sequence[Record], width: int) -> str:
    """Runs side by side: their figures, and the keys in which they differ; one line each."""
    figures = [name for name in column_names(records) if name.startswith(("validation_", "test_", "best_validation_"))]
    figures = [name for name in figures if not name.endswith("_examples")]
    rows = ["status", "epoch", "dataset", *figures, "wall_seconds", *differing_keys(records), "git_commit", "devices"]
    turned = [{"": name} | {record["run"]: record.get(name) for record in records} for name in rows]
    there = [row for row in turned if any(row[record["run"]] is not None for record in records)]
    return table(there, ["", *(record["run"] for record in records)], width)


def write_csv(records: Sequence[Record], path: str | Path) -> None:
    """Writes all columns as CSV; cells starting with = + - @ are quoted (CSV injection). Raises InputError."""
    columns = column_names(records)
    try:
        with whole_file(path) as file:
            writer = csv.writer(file)
            writer.writerow(map(_safe, columns))
            writer.writerows([_safe(record.get(name)) for name in columns] for record in records)
    except OSError as error:
        raise InputError(f"--csv={path}: it cannot be written ({error.strerror})") from error


def as_json(records: Sequence[Record]) -> str:
    """All columns of all records; figures that are not finite, which JSON does not know, are null."""
    return json.dumps([{name: _finite(value) for name, value in record.items()} for record in records], indent=2)


def _finite(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _safe(value: Any) -> Any:
    text = shown("" if value is None else str(value))
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else "" if value is None else shown(str(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
