"""The HTML of the page of runs. Everything from files is escaped: in text, in attributes, and inside <script>."""

import json
import math
from collections.abc import Mapping
from html import escape
from typing import Any

from cnn_jax.errors import shown
from cnn_jax.pages.runs.assets import SCRIPT, STYLE
from cnn_jax.pages.runs.study import MOST_CURVES, MOST_KEYS, Study, axes, curves, finite, label
from cnn_jax.runs.comparison import main_figures, metric_of, repeat_command

_MOST_COLUMNS = 14
# Charts are drawn in the page, by what is in the page; Plotly compiles functions of its own for parallel coordinates.
_POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"


def render(study: Study, plotly: str) -> str:
    """The whole page; `plotly` is the library's own script."""
    title = f"Runs of {_text(study.folder)}"
    parts = [f"<h1>{title}</h1>", _head(study)]
    scripts = ""
    if study.records:
        data = _data(study)
        parts += [
            _best(study), _table(study), _curves(study, data), _importance(study), _parallel(data), _slices(data),
        ]  # fmt: skip
        embedded = embed(data)
        scripts = f'<script type="application/json" id="data">{embedded}</script><script>{plotly}</script>'
        scripts += f"<script>{SCRIPT}</script>"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(filter(None, parts)) + f"\n{scripts}\n</body></html>\n"
    )  # fmt: skip


def embed(data: Any) -> str:
    """JSON that may stand inside <script>: nothing in it can end the element or begin a comment."""
    text = json.dumps(data, allow_nan=False)  # ASCII only
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(study: Study) -> dict[str, Any]:
    there = [record for record in study.records if finite(metric_of(record, study.metric)) is not None]
    shares = study.importance if isinstance(study.importance, Mapping) else None
    return {
        "metric": label(study.metric),
        "goal": study.goal,
        "curves": curves(study),
        "axes": axes(study),
        "values": [metric_of(record, study.metric) for record in there],
        "names": [label(record["run"]) for record in there],
        "states": [record["status"] for record in there],
        "importance": shares and {label(key): share for key, share in list(shares.items())[:MOST_KEYS]},
    }


def _text(value: object) -> str:
    return escape(shown(str(value)))


def _head(study: Study) -> str:
    if not study.records:
        return "<p>There are no runs below this folder.</p>"
    counts = study.counts
    boxes = [f"<div><b>{len(study.records):,}</b> run{'' if len(study.records) == 1 else 's'}</div>"]
    boxes += [f"<div><b>{count:,}</b> {state}</div>" for state, count in counts.items()]
    if study.best is not None:
        figure = _figure(metric_of(study.best, study.metric))
        boxes.append(f"<div><b>{figure}</b> best {_text(study.metric)}</div>")
    seconds = sum(finite(record.get("wall_seconds")) or 0 for record in study.records)
    boxes.append(f"<div><b>{_duration(seconds)}</b> of training</div>")
    return f'<div class="levels">{"".join(boxes)}</div>'


def _best(study: Study) -> str:
    if study.best is None:
        return "<section><h2>Best run</h2><p>No run has come to its end yet.</p></section>"
    best = study.best
    figures = ", ".join(
        f"{_text(name)} {_figure(best[name])}"
        for name in main_figures([best], study.metric)
        if finite(best.get(name)) is not None
    )
    set_to = "; ".join(f"{_text(key)} = {_value(best[key])}" for key in study.keys if key in best)
    command = repeat_command(best)
    again = f"<p>Its config again, in a new folder:</p><pre>{_text(command)}</pre>" if command else ""
    return (
        f"<section><h2>Best run</h2><p><b>{_text(best['run'])}</b>: {figures}.</p>"
        f'<p class="dim">{set_to}</p>{again}</section>'
    )


def _table(study: Study) -> str:
    keys = study.keys[:_MOST_COLUMNS]
    figures = [name for name in main_figures(study.records, study.metric) if any(name in r for r in study.records)]
    columns = ["run", "status", *figures, *keys, "epoch", "wall_seconds", "started"]
    if any("error" in record for record in study.records):
        columns.append("error")
    numbers = {name for name in columns if all(_is_number(record.get(name)) for record in study.records)}
    head = "".join(f'<th{_class("n", name in numbers)}><button type="button">{_text(name)}</button></th>'
                   for name in columns)  # fmt: skip
    rows = []
    for record in study.records:
        cells = "".join(_cell(record, name, name in numbers) for name in columns)
        rows.append(f"<tr{_class('best', record is study.best)}>{cells}</tr>")
    left_out = f" Of {len(study.keys)} keys that differ, {len(keys)} are shown." if len(study.keys) > len(keys) else ""
    return (
        f"<section><h2>All runs</h2><p>The best first, with the keys in which the runs differ; a click on a heading "
        f'sorts by it.{left_out}</p><div class="scroll"><table id="runs"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _cell(record: Mapping[str, Any], name: str, number: bool) -> str:
    value = record.get(name)
    shown_value = _value(value)
    if name == "status":
        shown_value = f'<span class="state {_text(value)}">{shown_value}</span>'
    elif name == "started" and value is not None:
        shown_value = _text(str(value)[:16].replace("T", " "))
    key = repr(value) if _is_number(value) and value is not None else "" if value is None else str(value)
    kind = ' class="n"' if number else ' class="long"' if len(str(value)) > 40 and name != "started" else ""
    return f'<td{kind} data-v="{_text(key)}">{shown_value}</td>'


def _curves(study: Study, data: Mapping[str, Any]) -> str:
    names = data["curves"]["metrics"]
    if not names:
        return "<section><h2>Curves</h2><p>No run has logged an epoch yet.</p></section>"
    choices = "".join(f"<option>{name}</option>" for name in names)
    some = f" Only the best {MOST_CURVES} are drawn." if len(study.records) > MOST_CURVES else ""
    return (
        "<section><h2>Curves</h2><p>How each run learned; the best one is bold, runs that did not come to their end "
        f'are dotted.{some}</p><label>Figure: <select id="metric">{choices}</select></label>'
        '<div class="chart" id="curves"></div></section>'
    )


def _importance(study: Study) -> str:
    head = "<section><h2>Importance</h2>"
    if isinstance(study.importance, str):
        return f"{head}<p>It cannot be said yet which key matters: {_text(study.importance)}.</p></section>"
    return (
        f"{head}<p>The share of the differences in {_text(study.metric)} that each key explains (fANOVA); of few runs "
        'a rough guide.</p><div class="chart bars" id="importance"></div></section>'
    )


def _parallel(data: Mapping[str, Any]) -> str:
    if not data["axes"] or len(data["values"]) < 2:
        return ""
    return (
        "<section><h2>Parallel coordinates</h2><p>One line for each run, red for the best; drag along an axis to "
        'pick runs, and a heading to move it.</p><div class="wide"><div class="chart" id="parallel"></div></div>'
        "</section>"
    )


def _slices(data: Mapping[str, Any]) -> str:
    if not data["axes"] or not data["values"]:
        return ""
    places = "".join(f'<div class="chart" id="slice{i}"></div>' for i in range(len(data["axes"])))
    return (
        f"<section><h2>Each key by itself</h2><p>Every run's {data['metric']} against each key; open circles are runs "
        f'that did not come to their end, with the best they had.</p><div class="slices">{places}</div></section>'
    )


def _class(name: str, there: bool) -> str:
    return f' class="{name}"' if there else ""


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _value(value: Any) -> str:
    return _figure(value) if isinstance(value, float) else "" if value is None else _text(value)


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else _text(value)


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds) or seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
