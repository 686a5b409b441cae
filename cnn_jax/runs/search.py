"""All runs below a folder as one table, read from what every run leaves behind: no server, no database."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_jax.cli.progress import paste
from cnn_jax.config.former_keys import current_keys
from cnn_jax.config.tree import flatten
from cnn_jax.errors import InputError, shown
from cnn_jax.runs.filtering import condition, in_order
from cnn_jax.runs.metrics_file import parse_json, read_rows

if TYPE_CHECKING:
    import pandas

# Of a run directory; wandb's and MLflow's hold copies of its files, which are no runs.
_INSIDE_A_RUN = {"checkpoints", "damaged", "plots", "profile", "tensorboard", "wandb"}
_NEVER = {"mlruns", "mlartifacts", "__pycache__"}
_FIRST = ("run", "status", "started", "epoch", "step")
_LAST = ("error", "git_commit", "devices", "command_line")


def search_runs(
    folder: str | Path, filter: str | None = None, order_by: str | Sequence[str] | None = None
) -> "pandas.DataFrame":
    """One row for each run directory at any depth below a folder, or for the folder itself.

        search_runs("runs", 'optimizer.learning_rate > 0.01 and model.name == "cnn"', "-validation_accuracy")

    Columns: `run` (relative to the folder), `status` ("finished", "unfinished" or "unreadable"), `started` (ISO 8601),
    `epoch` and `step` of the last row of its log; `dataset` and `fingerprint` of its data, and `train_examples`,
    `validation_examples` and `test_examples`, how many images they are; the figures of `summary.json`; `best_...` and
    `last_...` of every figure that was logged (`best_validation_accuracy` is the largest, `best_train_loss` the
    smallest); the config's keys with dots, lists as tuples; `git_commit`, `devices` and `command_line` as text. What a
    run does not have is NaN or None. Damaged runs have what can be read of them, and `error`.

    Args:
      folder: where to look; links are followed.
      filter: a condition, see `filtering.condition`.
      order_by: "x", "-x", "x desc", or a list of such; the default is by `run`.

    Raises:
      InputError: there is no such folder, the condition is none, or a column is not there.
    """
    import pandas

    records = run_records(folder)
    columns = column_names(records)  # also where no run fulfils the condition
    return pandas.DataFrame.from_records(chosen(records, filter, order_by), columns=columns)


def run_records(folder: str | Path) -> list[dict[str, Any]]:
    """The rows of `search_runs` as dictionaries, each with the columns that it has."""
    folder = Path(folder)
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: there is no such folder; give one that holds run directories")
    return [read_run(path, folder) for path in sorted(run_directories(folder))]


def chosen(
    records: list[dict[str, Any]], filter: str | None = None, order_by: str | Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """The records that fulfil a condition, in order; see `search_runs`."""
    order = [order_by] if isinstance(order_by, str) else list(order_by or ())
    ordered = in_order(records, order)  # of all of them, so that an unknown column is said whatever the condition
    if filter is not None:
        fulfils = condition(filter, column_names(records)) if records else bool
        ordered = [record for record in ordered if fulfils(record)]
    return ordered


def column_names(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """All columns of the records, each once, in the order of their first appearance."""
    found = dict.fromkeys((*_FIRST, *(name for record in records for name in record)))
    return [name for name in found if name not in _LAST] + [name for name in _LAST if name in found]


def run_directories(folder: Path) -> Iterator[Path]:
    """Every run directory from the folder downwards; each once, even where links make circles."""
    pending, seen = [folder], set()
    while pending:
        place = pending.pop()
        real = os.path.realpath(place)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = list(os.scandir(place))
        except OSError:
            continue
        below = [entry.name for entry in entries if _is_folder(entry)]
        is_run = _is_run(place, {entry.name for entry in entries})
        left_out = _NEVER | _INSIDE_A_RUN if is_run else _NEVER
        pending += [place / name for name in below if name not in left_out and not name.startswith(".")]
        if is_run:
            yield place


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_run(folder: Path, names: set[str]) -> bool:
    if "config.json" not in names:
        return {"metrics.jsonl", "environment.json"} <= names
    if names & {"metrics.jsonl", "environment.json"}:
        return True
    config, error = _read(folder / "config.json")
    return error is not None or {"model", "optimizer", "resolved"} <= config.keys()


def read_run(path: Path, folder: Path) -> dict[str, Any]:
    """One record; it never fails, whatever the files hold."""
    config, config_error = _read(path / "config.json")
    environment, _ = _read(path / "environment.json")
    summary, summary_error = _read(path / "summary.json") if (path / "summary.json").exists() else ({}, None)
    data = _data(config.pop("resolved", None))
    error = config_error or summary_error
    record: dict[str, Any] = {"run": shown(path.relative_to(folder).as_posix())}
    record["status"] = "unreadable" if error else "finished" if summary else "unfinished"
    record["started"] = _first_start(environment)
    summary.pop("devices", None)  # its figures are those of environment.json
    logged = _logged(_rows(path))
    record |= {"epoch": logged.pop("epoch", None), "step": logged.pop("step", None)}
    found = data | _flat(summary) | logged | current_keys(_flat(config))
    record |= {name: value for name, value in found.items() if name not in record}
    if error:
        record["error"] = error
    record |= {"git_commit": _text(environment.get("git_commit"), " "), "devices": _devices(environment)}
    record["command_line"] = _command_line(environment.get("command_line"))
    return record


def metric_rows(path: Path) -> list[dict[str, Any]]:
    """Whole rows of a run's log whose step and epoch are numbers; none where it cannot be read."""
    return _rows(path)


def _read(path: Path) -> tuple[dict[str, Any], str | None]:
    """(content, None), or ({}, what is wrong with it)."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ValueError("it is no file")
        content = parse_json(path.read_text())
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object")
    except FileNotFoundError:
        return {}, f"there is no {path.name}"
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        return {}, shown(f"{path.name}: it cannot be read ({reason})")
    return content, None


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = read_rows(path / "metrics.jsonl")
    except (OSError, ValueError, RecursionError):
        return []
    return [row for row in rows if _is_row(row)]


def _is_row(row: Mapping[str, Any]) -> bool:
    places = (row["epoch"], row["step"])
    return all(_number(place) and math.isfinite(place) for place in places) and isinstance(row["split"], str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _logged(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The last and the best of every figure, and where the log ends."""
    last: dict[str, Any] = {}
    best: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            if name in ("step", "epoch", "split") or not _number(value):
                continue
            figure = f"{row['split']}_{name}"
            last[f"last_{figure}"] = value
            better: Callable[..., Any] | None = min if "loss" in name else max if "accuracy" in name else None
            if better is not None and row["split"] != "test" and math.isfinite(value):
                best[f"best_{figure}"] = better(best.get(f"best_{figure}", value), value)
    return {**best, **last, **({"epoch": rows[-1]["epoch"], "step": rows[-1]["step"]} if rows else {})}


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {shown(key): _hashable(value) for key, value in flatten(tree).items()}
    except (InputError, RecursionError):
        return {}


def _hashable(value: Any) -> Any:
    """Lists as tuples, so that runs can be grouped by them; text that no file could hold (lone surrogates) escaped."""
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    return json.dumps(value) if isinstance(value, dict) else value


def _data(resolved: Any) -> dict[str, Any]:
    """What a run was trained on, as far as its `config.json` says it."""
    if not isinstance(resolved, dict):
        return {}
    texts = {"dataset": resolved.get("data"), "fingerprint": resolved.get("fingerprint")}
    counts = {name: resolved.get(name) for name in ("train_examples", "validation_examples", "test_examples")}
    return {name: shown(value) for name, value in texts.items() if isinstance(value, str)} | {
        name: value for name, value in counts.items() if _number(value)
    }


def _first_start(environment: Mapping[str, Any]) -> str | None:
    earlier = environment.get("earlier")
    first = earlier[0] if isinstance(earlier, list) and earlier and isinstance(earlier[0], dict) else environment
    return _text(first.get("started"), " ")


def _devices(environment: Mapping[str, Any]) -> str | None:
    """'8 x cpu: cpu'"""
    devices = environment.get("devices")
    if not isinstance(devices, list):
        return None
    names = list(map(str, devices))
    return shown(", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)))


def _command_line(words: Any) -> str | None:
    """As a shell reads it, so that flags with spaces can be told apart again."""
    return shown(paste(list(map(str, words)))) if isinstance(words, list) else _text(words, " ")


def _text(value: Any, between: str) -> str | None:
    if isinstance(value, list):
        return shown(between.join(map(str, value)))
    return None if value is None else shown(str(value))
