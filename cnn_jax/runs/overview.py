"""The runs below a folder as text: a table for each data set, with what chance leaves of their differences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.config.rules import did_you_mean
from cnn_jax.errors import InputError
from cnn_jax.runs.best_config import describe_best
from cnn_jax.runs.comparison import differing_keys, is_test_figure, repeat_command
from cnn_jax.runs.datasets import DataSet, against_best, best_config, by_data_set, configs_tried, repeats
from cnn_jax.runs.noise import Difference, difference, interval_of, points
from cnn_jax.runs.tables import Record, columns_of, comparison, table

_METRIC = "validation_accuracy"
DERIVED = _INTERVAL, _VERDICT = "95 % interval", "against best"


def overview(
    records: Sequence[dict[str, Any]], columns: str | None, width: int, show_test: bool = False,
    folder: Path | None = None,
) -> str:  # fmt: skip
    """The runs of each data set under a heading of their own.

    Args:
      records: of `search`, in order.
      columns: see `tables.columns_of`.
      width: of the terminal, in characters.
      show_test: whether test figures stand beside others where several configs were tried.
      folder: that was searched; stored predictions in it make comparisons sharper.
    """
    asked = columns_of(columns, records) if columns is not None else None
    return "\n\n".join(_part(data, asked, width, show_test, folder) for data in by_data_set(records))


def _part(data: DataSet, columns: list[str] | None, width: int, show_test: bool, folder: Path | None) -> str:
    hide = data.is_search and not show_test
    best, differences = against_best(data, _METRIC, folder=folder)
    best_name = None if best is None else best["run"]
    several = best_config(data.records, _METRIC, "maximize") is not None
    rows = [record | derived(record, _METRIC, best_name, differences, several) for record in data.records]
    lines = [data.title, table(rows, columns or _columns(rows, hide), width)]
    if hide and columns is None and any(is_test_figure(name) for record in rows for name in record):
        lines.append(f"several configs were tried on these data, so that test figures are hidden: choose by {_METRIC}; "
                     f"--test shows them")  # fmt: skip
    lines += repeats_lines(data.records, _METRIC, width)
    if best is not None:
        lines += ["", *_best_lines(data.records, best, differences)]
    return "\n".join(lines)


def _columns(rows: Sequence[Record], hide_test: bool) -> list[str]:
    names = [name for name in columns_of(None, rows) if not (hide_test and is_test_figure(name))]
    if _METRIC in names:
        at = names.index(_METRIC) + 1
        names[at:at] = [name for name in DERIVED if any(row.get(name) for row in rows)]
    return names


def derived(
    record: Record, metric: str, best: str | None, differences: Mapping[str, Difference | None], several: bool
) -> dict[str, str | None]:
    """The columns that say what a figure is worth: its interval, and whether it differs from the best one.

    `several` says that configs were tried with several seeds: then the best run is no more than the luckiest.
    """
    interval = interval_of(record, metric)
    said = differences.get(record["run"])
    verdict = None if said is None else "within noise" if said.is_noise else "worse"
    return {
        _INTERVAL: None if interval is None else percent(interval),
        _VERDICT: ("luckiest" if several else "best") if record["run"] == best and differences else verdict,
    }


def percent(interval: tuple[float, float]) -> str:
    """'95.1 to 99.6 %'"""
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"


def _best_lines(
    records: Sequence[dict[str, Any]], best: Record, differences: dict[str, Difference | None]
) -> list[str]:
    interval = interval_of(best, _METRIC)
    known = [one for one in differences.values() if one is not None]
    said = "" if interval is None else f", {best[_METRIC]:.2%} (95 % interval {percent(interval)})"
    config = best_config(records, _METRIC, "maximize")
    lines = best_sentences(records, _METRIC, "maximize", f"{best['run']}{said}")
    if known:
        lines.append(noise_sentence(known))
    again = repeat_command(best if config is None else config.records[0])
    whose = "its" if config is None else "the best" if len(configs_tried(records, _METRIC)) > 1 else "this"
    return [*lines, f"{whose} config again:\n{again}"] if again else lines


def best_sentences(records: Sequence[dict[str, Any]], metric: str, goal: str, best: str) -> list[str]:
    """Which config is the best, by its mean where configs were tried with several seeds; `best` is the best run."""
    found = [one.tried for one in configs_tried(records, metric)]
    if all(len(one.values) == 1 for one in found):
        return [f"best {metric}: {best}"]
    return describe_best(found, metric, goal, best)


def noise_sentence(known: Sequence[Difference]) -> str:
    """Of the differences between the best run and the others."""
    near = sum(one.is_noise for one in known)
    paired = sum(one.method.startswith("McNemar") for one in known)
    how = "McNemar's test of stored predictions" if paired == len(known) else "binomial intervals, unpaired"
    if 0 < paired < len(known):
        how = f"McNemar's test of stored predictions for {paired}, binomial intervals, unpaired, for the others"
    near_ones = f"{near} of the {len(known)} other runs" if near < len(known) else "every other run"
    said = f"less than noise away from it: {near_ones}" if near else "every other run is further from it than noise"
    return f"{said} ({how}); the best of several is also the luckiest"


def repeats_lines(records: Sequence[dict[str, Any]], metric: str, width: int) -> list[str]:
    """A table of the configs that were tried several times, with mean and spread; nothing where none was."""
    found = repeats(records, metric)
    if not found:
        return []
    keys = [key for key in differing_keys([one.records[0] for one in found]) if key not in ("seed", "data.fold")]
    rows = []
    for one in sorted(found, key=lambda one: -one.spread.mean):
        low, high = one.spread.interval or (one.spread.mean, one.spread.mean)
        rows.append({
            "the same config": f"{one.records[0]['run']}, +{len(one.records) - 1}", "runs": one.spread.runs,
            "over": one.over, f"mean {metric}": f"{one.spread.mean:.4f}", "std": f"{one.spread.std:.4f}",
            "95 % interval of the mean": f"{low:.4f} to {high:.4f}",
            **{key: one.records[0].get(key) for key in keys},
        })  # fmt: skip
    return ["", table(rows, list(rows[0]), width)]


def compared(records: Sequence[dict[str, Any]], names: Sequence[str], width: int, show_test: bool,
             folder: Path | None = None) -> str:  # fmt: skip
    """Chosen runs side by side, and of each whether it differs from the first by more than noise.

    Raises:
      InputError: there is no such run.
    """
    by_name = {record["run"]: record for record in records}
    for name in names:
        if name not in by_name:
            raise InputError(f"--compare {name}: there is no such run{did_you_mean(name, by_name)}; runs are "
                             f"named as in the first column of the table")  # fmt: skip
    chosen = [by_name[name] for name in dict.fromkeys(names)]
    hide = DataSet(None, None, chosen).is_search and not show_test
    shown = [{key: value for key, value in r.items() if not (hide and is_test_figure(key))} for r in chosen]
    lines = [comparison(shown, width)]
    if hide:
        lines.append("test figures are hidden, as these are several configs; --test shows them")
    return "\n".join([*lines, *(_verdict(chosen[0], other, folder) for other in chosen[1:])])


def _verdict(first: Record, second: Record, folder: Path | None) -> str:
    names = f"{first['run']} and {second['run']}"
    if first.get("fingerprint") != second.get("fingerprint"):
        return f"{names} are of different data: their figures cannot be compared"
    if first["status"] != "finished" or second["status"] != "finished":
        return f"{names}: not both are finished"
    found = difference(first, second, _METRIC, folder)
    if found is None:
        return f"{names}: how many images {_METRIC} was measured on is not known, so neither is the noise"
    than = "less" if found.is_noise else "more"
    return f"{names}: {_METRIC} differs by {points(found.value)}, {than} than noise ({found.method})"
