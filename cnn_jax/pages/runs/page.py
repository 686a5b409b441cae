"""The page of runs: what its template shows, as text and figures."""

import math
from collections.abc import Mapping
from typing import Any

from cnn_jax.pages.render import duration, figure, render_page
from cnn_jax.pages.runs.study import MOST_CURVES, MOST_KEYS, Study, axes, curves, finite, label
from cnn_jax.runs.comparison import main_figures, metric_of, repeat_command

_MOST_COLUMNS = 14
_LONG = 40  # characters; longer texts may wrap


def render(study: Study, plotly: str) -> str:
    """The whole page; `plotly` is the library's own script."""
    from markupsafe import Markup

    return render_page(
        "runs.html.j2",
        title=f"Runs of {study.folder}",
        metric=study.metric,
        boxes=_boxes(study),
        best=_best(study),
        table=_table(study),
        data=_data(study),
        curves_are_cut=len(study.records) > MOST_CURVES,
        most_curves=MOST_CURVES,
        no_importance=study.importance,
        plotly=Markup(plotly),
    )


def _data(study: Study) -> dict[str, Any]:
    """What `runs.js` draws."""
    with_metric = [record for record in study.records if finite(metric_of(record, study.metric)) is not None]
    shares = study.importance if isinstance(study.importance, Mapping) else None
    return {
        "metric": label(study.metric),
        "goal": study.goal,
        "curves": curves(study),
        "axes": axes(study),
        "values": [metric_of(record, study.metric) for record in with_metric],
        "names": [label(record["run"]) for record in with_metric],
        "states": [record["status"] for record in with_metric],
        "importance": shares and {label(key): share for key, share in list(shares.items())[:MOST_KEYS]},
    }


def _boxes(study: Study) -> list[tuple[str, str]]:
    if not study.records:
        return []
    boxes = [(f"{len(study.records):,}", "run" if len(study.records) == 1 else "runs")]
    boxes += [(f"{count:,}", state) for state, count in study.counts.items()]
    if study.best is not None:
        boxes.append((figure(metric_of(study.best, study.metric)), f"best {study.metric}"))
    seconds = sum(finite(record.get("wall_seconds")) or 0 for record in study.records)
    return [*boxes, (duration(seconds), "of training")]


def _best(study: Study) -> dict[str, Any] | None:
    best = study.best
    if best is None:
        return None
    names = main_figures([best], study.metric)
    return {
        "run": best["run"],
        "figures": [(name, best[name]) for name in names if finite(best.get(name)) is not None],
        "config": [(key, best[key]) for key in study.keys if key in best],
        "command": repeat_command(best),
    }


def _table(study: Study) -> dict[str, Any]:
    keys = study.keys[:_MOST_COLUMNS]
    figures = [name for name in main_figures(study.records, study.metric) if any(name in r for r in study.records)]
    names = ["run", "status", *figures, *keys, "epoch", "wall_seconds", "started"]
    if any("error" in record for record in study.records):
        names.append("error")
    numbers = {name for name in names if all(_is_number(record.get(name)) for record in study.records)}
    return {
        "num_keys": len(study.keys),
        "keys_shown": len(keys),
        "columns": [{"name": name, "is_number": name in numbers} for name in names],
        "rows": [
            {"is_best": record is study.best, "cells": [_cell(record, name, name in numbers) for name in names]}
            for record in study.records
        ],
    }


def _cell(record: Mapping[str, Any], name: str, in_numbers: bool) -> dict[str, str]:
    """`key` is what the column is sorted by: a number in full, or a text."""
    value = record.get(name)
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    if name == "started":
        text = text[:16].replace("T", " ")
    is_long = len(text) > _LONG
    return {
        "text": text,
        "key": _key(value),
        "class": "number" if in_numbers else "long" if is_long else "",
        "state": text if name == "status" else "",
    }


def _key(value: Any) -> str:
    """What JavaScript reads as the same number; empty for what is not there."""
    if isinstance(value, float) and not math.isfinite(value):
        return "" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return "" if value is None else str(value)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
