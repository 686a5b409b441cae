"""What the page of runs shows, as plain data."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cnn_jax.errors import InputError, shown
from cnn_jax.pages.runs.importance import are_numbers, importances, spans_decades
from cnn_jax.runs.comparison import differing_keys, metric_of
from cnn_jax.runs.datasets import DataSet, against_best
from cnn_jax.runs.filtering import sort_key
from cnn_jax.runs.noise import Difference
from cnn_jax.runs.search import metric_rows

MOST_KEYS, MOST_CURVES = 24, 150
_MOST_POINTS = 200
_FEW, _MOST_MARKS = 6, 30  # numbers that all get a mark on their axis; marks for texts
_MIN_GAP = 0.12  # between marks, of the axis
_OTHERS = ("validation_accuracy", "validation_loss", "train_accuracy", "train_loss", "train_learning_rate")


@dataclasses.dataclass(frozen=True)
class Study:
    """The runs of one data set, the best first, and one figure of them.

    `keys` are the config keys that differ, the most important first; `importance` is their shares or, in words, why
    there are none; `differences` is how the other finished runs differ from the best one, by their names.
    """

    data: DataSet
    metric: str
    goal: str
    records: Sequence[dict[str, Any]]
    keys: Sequence[str]
    best: Mapping[str, Any] | None
    importance: Mapping[str, float] | str
    differences: Mapping[str, Difference | None]


def make_study(data: DataSet, metric: str, goal: str, folder: Path | None = None) -> Study:
    """What the page says of these runs; `folder` is that below which they lie (see `noise.difference`)."""
    sign = -1 if goal == "maximize" else 1

    def rank(record: Mapping[str, Any]) -> tuple[bool, float]:
        value = metric_of(record, metric)
        return value is None, sign * (value or 0)

    ordered = sorted(data.records, key=rank)
    keys = differing_keys(ordered)
    shares = _importance(ordered, keys, metric, goal)
    if isinstance(shares, Mapping):
        keys = sorted(keys, key=lambda key: -shares.get(key, -1))
    best, differences = against_best(data, metric, goal, folder)
    return Study(data, metric, goal, ordered, keys, best, shares, differences)


def _importance(
    records: Sequence[Mapping[str, Any]], keys: Sequence[str], metric: str, goal: str
) -> dict[str, float] | str:
    finished = [record for record in records if record["status"] == "finished"]
    pairs = [(record, metric_of(record, metric)) for record in finished]
    able = [(record, value) for record, value in pairs if value is not None and math.isfinite(value)]
    common = [key for key in keys if all(key in record for record, _ in able)]
    try:
        values = [value for _, value in able]
        return importances([{key: record[key] for key in common} for record, _ in able], values, goal)
    except InputError as error:
        return str(error)


def curves(study: Study) -> dict[str, Any]:
    """{"metrics": names, "runs": [{"name", "status", "lines": {metric: [[epochs], [values]]}}]}

    Of more than MOST_CURVES runs the best ones; of long logs some points.
    """
    names = dict.fromkeys([study.metric, *_OTHERS])
    runs = []
    for record in study.records[:MOST_CURVES]:
        rows = metric_rows(record["path"])
        lines = {name: _line(rows, name) for name in names}
        lines = {name: line for name, line in lines.items() if line[0]}
        runs.append({"name": label(record["run"]), "status": record["status"], "lines": lines})
    there = [name for name in names if any(name in run["lines"] for run in runs)]
    return {"metrics": there, "runs": [run for run in runs if run["lines"]]}


def _line(rows: Sequence[Mapping[str, Any]], metric: str) -> tuple[list[float], list[float | None]]:
    split, _, name = metric.partition("_")
    points = [(row["epoch"], row[name]) for row in rows if row["split"] == split and name in row]
    every = math.ceil(len(points) / _MOST_POINTS)
    points = [point for i, point in enumerate(points) if i % max(every, 1) == 0 or i == len(points) - 1]
    return [epoch for epoch, _ in points], [finite(value) for _, value in points]


def axes(study: Study) -> list[dict[str, Any]]:
    """One axis for each key: {"name", "values", "ticks", "texts", "log"}; values are positions along it.

    Numbers over more than a decade lie at their logarithm, texts at 0, 1, 2, ...; what a run does not have is None.
    """
    records = [record for record in study.records if finite(metric_of(record, study.metric)) is not None]
    return [_axis(key, [record.get(key) for record in records]) for key in study.keys[:MOST_KEYS]]


def _axis(name: str, values: Sequence[Any]) -> dict[str, Any]:
    axis: dict[str, Any] = {"name": name, "shown": [label(value) for value in values]}
    if not are_numbers(values):
        there = {repr(value): value for value in values if value is not None}
        choices = dict(sorted(there.items(), key=lambda item: sort_key(item[1])))
        position = {choice: i for i, choice in enumerate(choices)}
        positions = [None if value is None else position[repr(value)] for value in values]
        texts = list(map(label, choices.values()))
        every = max(1, math.ceil(len(texts) / _MOST_MARKS))
        return axis | {
            "values": positions, "ticks": list(range(len(texts)))[::every], "texts": texts[::every],
        }  # fmt: skip
    distinct = sorted({value for value in values if value is not None})
    if not spans_decades(values):
        if len(distinct) > _FEW:
            return axis | {"values": list(values), "ticks": None, "texts": None}
        ticks = _apart(distinct)
        return axis | {"values": list(values), "ticks": ticks, "texts": [f"{tick:.4g}" for tick in ticks]}
    logs = [None if value is None else math.log10(value) for value in values]
    marks = [math.log10(value) for value in distinct]
    ticks = _apart(marks) if len(marks) <= _FEW else _decades(marks[0], marks[-1])
    return axis | {"values": logs, "ticks": ticks, "texts": [f"{10**tick:.3g}" for tick in ticks]}


def _apart(marks: Sequence[float]) -> list[float]:
    """Sorted marks without those whose texts would lie over each other; the first and the last stay."""
    gap = _MIN_GAP * (marks[-1] - marks[0])
    kept = [marks[0]]
    for mark in marks[1:-1]:
        if mark - kept[-1] >= gap and marks[-1] - mark >= gap:
            kept.append(mark)
    return [*kept, marks[-1]] if len(marks) > 1 else kept


def _decades(low: float, high: float) -> list[float]:
    """Logarithms of 1, 10, ...; and of 2 and 5 between them, where the decades are few."""
    steps = (1, 2, 5) if high - low < 2 else (1,)
    every = max(1, round((high - low) / 8))
    exponents = range(math.floor(low), math.ceil(high) + 1, every)
    marks = [exponent + math.log10(step) for exponent, step in itertools.product(exponents, steps)]
    return [mark for mark in marks if low - 1e-9 <= mark <= high + 1e-9]


def finite(value: Any) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def label(value: Any) -> str:
    """A short text for a chart; Plotly takes some HTML in texts for HTML, so none is left."""
    text = shown(f"{value:.4g}" if isinstance(value, float) else str(value))
    return escape(text if len(text) <= 60 else f"{text[:57]}...", quote=False)
