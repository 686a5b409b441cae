"""What a sweep says at its end: a table, and the best config as a command."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.cli import programs, progress
from cnn_jax.cli.text_table import format_table
from cnn_jax.errors import shown
from cnn_jax.runs.best_config import Tried, describe_best, ranked
from cnn_jax.tuning.sweeps import file as sweep_file
from cnn_jax.tuning.sweeps.agent_command import is_own_program
from cnn_jax.tuning.sweeps.directory import best_of, sorted_rows
from cnn_jax.tuning.sweeps.types import Sweep

_WIDEST = 28  # characters of a cell
_MOST_ROWS = 40
_MOST_NUMBERS = 4  # of trials in a sentence
_SEED = "config.seed"


def make_table(sweep: Sweep, rows: Sequence[Mapping[str, Any]]) -> str:
    """Trials from the best to the worst, with the parameters that vary; the other parameters stand in the command."""
    names = [one.name for one in sweep.parameters if len({repr(row["params"].get(one.name)) for row in rows}) > 1]
    ordered = sorted_rows(rows, sweep.metric.goal)
    cells = [["trial", sweep.metric.name, *map(short, names), "state"]]
    for row in ordered[:_MOST_ROWS]:
        value = "" if row["value"] is None else f"{row['value']:.4f}"
        cells.append([
            f"{row['number']:04}", value, *(cell(row["params"].get(name, "")) for name in names), row["state"]
        ])  # fmt: skip
    lines = format_table(cells)
    if len(ordered) > _MOST_ROWS:
        lines.append(f"... and {len(ordered) - _MOST_ROWS} more in sweep.json")
    return "\n".join(lines)


def over_seeds(sweep: Sweep, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of a sweep with several seeds: the mean and spread of each setting, the best first; else nothing."""
    several = {one: group for one, group in _settings(sweep, rows).items() if len(group) > 1}
    if not several:
        return []
    names = [one.name for one in sweep.parameters if len({repr(group[0]["params"].get(one.name)) for group in
             several.values()}) > 1 and one.name != _SEED]  # fmt: skip
    cells = [["seeds", f"mean {sweep.metric.name}", "std", "95 % interval of the mean", *map(short, names)]]
    for one in ranked(list(several), sweep.metric.goal):
        found, params = one.spread, several[one][0]["params"]
        low, high = found.interval or (found.mean, found.mean)
        cells.append([
            str(found.runs), f"{found.mean:.4f}", f"{found.std:.4f}", f"{low:.4f} to {high:.4f}",
            *(cell(params.get(name, "")) for name in names),
        ])  # fmt: skip
    return ["", "the same setting over its seeds (Student's interval of the mean):", *format_table(cells)]


def settings_with_seeds(sweep: Sweep, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For `sweep.json`: the settings of a sweep with several seeds, the best mean first; else nothing."""
    found = _settings(sweep, rows)
    if all(len(group) == 1 for group in found.values()):
        return []
    return [
        {
            "params": {name: value for name, value in found[one][0]["params"].items() if name != _SEED},
            "trials": [row["number"] for row in found[one]],
            "mean": one.spread.mean, "std": one.spread.std, "interval_95": one.spread.interval,
            "seeds": one.spread.runs,
        }
        for one in ranked(list(found), sweep.metric.goal)
    ]  # fmt: skip


def _settings(sweep: Sweep, rows: Sequence[Mapping[str, Any]]) -> dict[Tried, list[Mapping[str, Any]]]:
    """Every setting of finished trials, with its trials, one for each seed."""
    settings: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        if row["state"] == "finished":
            kept = repr({name: value for name, value in row["params"].items() if name != _SEED})
            settings.setdefault(kept, {}).setdefault(repr(row["params"].get(_SEED)), row)
    found = {}
    for of_seeds in settings.values():
        group = list(of_seeds.values())
        numbers = [f"{row['number']:04}" for row in group]
        name = f"trial{'s' * (len(numbers) > 1)} {', '.join(numbers[:_MOST_NUMBERS])}"
        more = len(numbers) - _MOST_NUMBERS
        name += f" and {more} more" if more > 0 else ""
        found[Tried(name, tuple(row["value"] for row in group), metric=sweep.metric.name)] = group
    return found


def counts(rows: Sequence[Mapping[str, Any]]) -> str:
    """As "10 finished, 1 failed, 1 pruned"."""
    states = [row["state"] for row in rows]
    return ", ".join(
        f"{states.count(state)} {state}" for state in ("finished", "failed", "pruned", "running") if state in states
    )


def best_command(sweep: Sweep, values: Mapping[str, Any], arguments: Path) -> str:
    """The command of a trial to paste, with a run directory of its own; `arguments` is for ${args_json_file}."""
    marker = "INTERPRETER"
    words = [word for word in sweep_file.command(sweep, values, marker, arguments) if word != "/usr/bin/env"]
    words.append("--workdir=runs/best")
    if words[0] != marker:
        return progress.paste([progress.from_here(sys.executable) if word == marker else word for word in words])
    train = programs.module_words("train")
    own = 1 + len(train) if words[1 : 1 + len(train)] == train else 2 if is_own_program(words[1]) else None
    return progress.command(*words[1:]) if own is None else programs.start("train", *words[own:])


def best_lines(sweep: Sweep, rows: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """The best setting, by its mean where there are several seeds, and how to train it again; or that there is none."""
    best = best_of(rows, sweep.metric.goal)
    if best is None:
        return "no trial has finished"
    single = f"trial {best['number']:04}, {sweep.metric.name} {best['value']:.4f}"
    settings, lines = _settings(sweep, rows), [f"best: {single}"]
    if any(len(group) > 1 for group in settings.values()):
        lines = describe_best(list(settings), sweep.metric.name, sweep.metric.goal, single)
        best = settings[ranked(list(settings), sweep.metric.goal)[0]][0]
    again = best_command(sweep, best["params"], folder / "trials" / f"{best['number']:04}.json")
    return "\n".join([*lines, again])


def one_line(sweep: Sweep, row: Mapping[str, Any]) -> str:
    """A trial that has just ended."""
    constant = [one.name for one in sweep.parameters if len(one.distribution.grid() or ()) == 1]
    values = "  ".join(f"{short(name)}={cell(value)}" for name, value in row["params"].items() if name not in constant)
    if row["state"] == "failed":
        return f"trial {row['number']:04} failed: {shown(str(row['error']))}  ({values})"
    value = "no value" if row["value"] is None else f"{row['value']:.4f}"
    pruned = ", pruned" if row["state"] == "pruned" else ""
    return f"trial {row['number']:04}: {sweep.metric.name} {value}{pruned}  {values}"


def short(name: str) -> str:
    return name.removeprefix("config.")


def cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else shown(str(value))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."
