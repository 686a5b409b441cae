"""The page of runs: what its template shows, as text and figures."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cnn_jax.pages.render import duration, figure, render_page
from cnn_jax.pages.runs.study import MOST_CURVES, MOST_KEYS, Study, axes, curves, finite, label
from cnn_jax.runs.comparison import differing_keys, is_test_figure, main_figures, metric_of, repeat_command
from cnn_jax.runs.datasets import REPEATED, best_config, repeats
from cnn_jax.runs.noise import images_of, interval_of
from cnn_jax.runs.overview import DERIVED, best_sentences, derived, noise_sentence, percent

_MOST_COLUMNS = 14
_STATES = ("finished", "unfinished", "pruned", "failed", "unreadable")
_LONG = 40  # characters; longer texts may wrap


def render(folder: str, studies: Sequence[Study], show_test: bool, plotly: str) -> str:
    """The whole page, a part for each data set; `plotly` is the library's own script."""
    from markupsafe import Markup

    return render_page(
        "runs.html.j2",
        title=f"Runs of {folder}",
        boxes=_boxes(studies),
        studies=[_part(study, show_test) for study in studies],
        most_curves=MOST_CURVES,
        data=[_data(study) for study in studies],
        plotly=Markup(plotly),
    )


def _part(study: Study, show_test: bool) -> dict[str, Any]:
    """What the template says of one data set."""
    known = [one for one in study.differences.values() if one is not None]
    table = _table(study)
    hides = study.data.is_search and not show_test and any(column["is_test"] for column in table["columns"])
    return {
        "title": study.data.title,
        "metric": study.metric,
        "best": _best(study),
        "noise": noise_sentence(known) if known else "",
        "hides_test": hides,
        "table": table,
        "repeats": _repeats(study),
        "curves_are_cut": len(study.records) > MOST_CURVES,
        "no_importance": study.importance,
    }


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


def _boxes(studies: Sequence[Study]) -> list[tuple[str, str]]:
    records = [record for study in studies for record in study.records]
    if not records:
        return []
    boxes = [(f"{len(records):,}", "run" if len(records) == 1 else "runs")]
    found = {state: sum(record["status"] == state for record in records) for state in _STATES}
    boxes += [(f"{count:,}", state) for state, count in found.items() if count or state == "finished"]
    if len(studies) > 1:
        boxes.append((f"{len(studies):,}", "data sets"))
    elif studies[0].best is not None:
        metric = studies[0].metric
        several = best_config(studies[0].records, metric, studies[0].goal)
        if several is None:
            boxes.append((figure(metric_of(studies[0].best, metric)), f"best {metric}"))
        else:
            boxes.append((figure(several.spread.mean), f"best mean {metric}"))
    seconds = sum(finite(record.get("wall_seconds")) or 0 for record in records)
    return [*boxes, (duration(seconds), "of training")]


def _best(study: Study) -> dict[str, Any] | None:
    """The best run; where configs were tried several times, the best one by its mean, in sentences."""
    best = study.best
    if best is None:
        return None
    names = [name for name in main_figures([best], study.metric) if finite(best.get(name)) is not None]
    interval = interval_of(best, study.metric)
    several = best_config(study.records, study.metric, study.goal)
    record = best if several is None else several.records[0]
    single = f"{best['run']}, {figure(metric_of(best, study.metric))}"
    sentences = best_sentences(study.records, study.metric, study.goal, single)
    return {
        "run": best["run"],
        "sentences": [] if several is None else [f"{line[0].upper()}{line[1:]}." for line in sentences],
        "figures": [(name, best[name], is_test_figure(name)) for name in names],
        "interval": "" if interval is None else f"{percent(interval)}, {images_of(best, study.metric):,} images",
        "config": [(key, record[key]) for key in study.keys if key in record and not (several and key in REPEATED)],
        "command": repeat_command(record),
    }


def _repeats(study: Study) -> dict[str, Any] | None:
    """The configs that were tried with several seeds or folds, the best mean first."""
    sign = -1 if study.goal == "maximize" else 1
    found = sorted(repeats(study.records, study.metric), key=lambda one: sign * one.spread.mean)
    if not found:
        return None
    differ = set(differing_keys([one.records[0] for one in found]))
    keys = [key for key in study.keys if key in differ and key not in REPEATED][:_MOST_COLUMNS]
    rows = []
    for one in found:
        low, high = one.spread.interval or (one.spread.mean, one.spread.mean)
        shown = [f"{one.spread.runs} {one.over}", figure(one.spread.mean), figure(one.spread.std)]
        others = [_cell(one.records[0], key, False)["text"] for key in keys]
        first = f"{one.records[0]['run']}, +{len(one.records) - 1}"
        rows.append([first, *shown, f"{figure(low)} to {figure(high)}", *others])
    return {"head": ["runs", "over", "mean", "std", "95 % interval of the mean", *keys], "rows": rows}


def _table(study: Study) -> dict[str, Any]:
    keys = study.keys[:_MOST_COLUMNS]
    figures = [name for name in main_figures(study.records, study.metric) if any(name in r for r in study.records)]
    best = None if study.best is None else study.best["run"]
    several = best_config(study.records, study.metric, study.goal) is not None
    records = [record | derived(record, study.metric, best, study.differences, several) for record in study.records]
    if study.metric in figures:
        at = figures.index(study.metric) + 1
        figures[at:at] = [name for name in DERIVED if any(record[name] for record in records)]
    names = ["run", "status", *figures, *keys, "epoch", "wall_seconds", "started"]
    if any("error" in record for record in records):
        names.append("error")
    numbers = {name for name in names if all(_is_number(record.get(name)) for record in records)}
    return {
        "num_keys": len(study.keys),
        "keys_shown": len(keys),
        "columns": [{"name": name, "is_number": name in numbers, "is_test": is_test_figure(name)} for name in names],
        "rows": [
            {"is_best": record["run"] == best, "cells": [_cell(record, name, name in numbers) for name in names]}
            for record in records
        ],
    }


def _cell(record: Mapping[str, Any], name: str, in_numbers: bool) -> dict[str, str]:
    """`key` is what the column is sorted by: a number in full, or a text."""
    value = record.get(name)
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    if name == "started":
        text = text[:16].replace("T", " ")
    is_long = len(text) > _LONG
    shape = "number" if in_numbers else "long" if is_long else ""
    return {
        "text": text,
        "key": _key(value),
        "class": " ".join(filter(None, [shape, "test" if is_test_figure(name) else ""])),
        "state": text if name == "status" else "",
    }


def _key(value: Any) -> str:
    """What JavaScript reads as the same number; empty for what is not there."""
    if isinstance(value, float) and not math.isfinite(value):
        return "" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return "" if value is None else str(value)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
