"""The directory of a sweep: `sweep.json`, and `trials/NNNN`, which are run directories.

`sweep.json` says what was asked for and what came out: it is written whole after each trial. There is no
`summary.json`: a sweep is no run.
"""

import contextlib
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.errors import InputError
from cnn_jax.runs.directory import write_json
from cnn_jax.tuning.sweeps.locks import held
from cnn_jax.tuning.sweeps.types import Sweep

_OWN = ("sweep.lock", "sweep.tmp")  # what a kill at the very start leaves
_DECIDING = ("program", "method", "metric", "parameters", "command")  # the rest of a file may change between calls


def describe(sweep: Sweep, seed: int) -> dict[str, Any]:
    """What makes two sweeps one."""
    content = {key: sweep.content[key] for key in _DECIDING if key in sweep.content}
    content["metric"] = {"name": sweep.metric.name, "goal": sweep.metric.goal}  # a target may be moved
    if sweep.method == "grid":  # it decides which point a number is, and two blocks with other orders are equal
        content["order"] = [one.name for one in sweep.parameters]
    return dict(json.loads(json.dumps({**content, "seed": seed}, default=str)))


def open_directory(sweep: Sweep, seed: int, folder: Path, storage: str | None) -> dict[str, Any]:
    """Makes the directory, or takes up the one that is there; its `sweep.json`.

    Args:
      storage: its URL without a password; None is the directory's own file.

    Raises:
      InputError: the directory holds something else, or another sweep, or cannot be written.
    """
    try:
        others = folder.exists() and any(path.name not in _OWN for path in folder.iterdir())
        if others and not (folder / "sweep.json").exists():
            raise InputError(f"--workdir={folder}: this folder holds something that is not a sweep; choose another one")
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder / "sweep.lock"):  # several workers may begin at once: they must agree on one id
            if (folder / "sweep.json").exists():
                book = _taken_up(sweep, seed, folder, storage)
            else:
                book = {
                    "id": uuid.uuid4().hex, "study": sweep.name or sweep.source.stem, "storage": storage,
                    "sweep": describe(sweep, seed), "trials": [], "best": None,
                }  # fmt: skip
                write_json(folder / "sweep.json", book)
            (folder / "trials").mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--workdir={folder}: it cannot be written ({error.strerror}); choose another folder"
        ) from error
    return book


def _taken_up(sweep: Sweep, seed: int, folder: Path, storage: str | None) -> dict[str, Any]:
    try:
        before = json.loads((folder / "sweep.json").read_text())
        same = {key: before[key] for key in ("id", "study", "storage", "sweep", "trials")}
        same["sweep"]["seed"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / 'sweep.json'}: it cannot be read ({error}); choose another folder") from error
    different = differences(same["sweep"], describe(sweep, seed))
    begun = before["trials"] or any((folder / "trials").glob("*"))
    if before["storage"] != storage and begun:  # else it may be one that could not be opened
        different = f"storage: {before['storage'] or 'its own'}, not {storage or 'its own'}"
    if different:
        raise InputError(f"--workdir={folder} holds another sweep ({different}); choose another folder")
    return {**before, "storage": storage}


def leave_nothing(folder: Path) -> None:
    """Takes away what `open_directory` has just made, where no trial was begun in it."""
    with contextlib.suppress(OSError):
        (folder / "trials").rmdir()
        for name in ("sweep.json", "sweep.lock"):
            (folder / name).unlink(missing_ok=True)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What of a sweep has changed, in words; empty where nothing has."""
    changed = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if key == "order" and before["parameters"] != now["parameters"]:
            continue  # that says it
        if old != new and isinstance(old, Mapping) and isinstance(new, Mapping):
            changed += [f"{key}: {one}" for one in sorted({*old, *new}) if old.get(one) != new.get(one)]
        elif old != new:
            changed.append(f"{key}: {old}, not {new}" if len(f"{old}{new}") < 100 else key)
    return ", ".join(changed)


def best_of(rows: Sequence[Mapping[str, Any]], goal: str) -> Mapping[str, Any] | None:
    """The finished trial with the best value; of equals the first. None where there is none."""
    finished = [row for row in rows if row["state"] == "finished"]
    sign = -1 if goal == "maximize" else 1
    return min(finished, key=lambda row: (sign * row["value"], row["number"]), default=None)


def sorted_rows(rows: Sequence[Mapping[str, Any]], goal: str) -> list[Mapping[str, Any]]:
    """Finished trials from the best to the worst, then pruned ones, then the rest."""
    order = {"finished": 0, "pruned": 1}
    sign = -1 if goal == "maximize" else 1

    def key(row: Mapping[str, Any]) -> tuple[int, float, int]:
        value = math.inf if row["value"] is None else sign * row["value"]
        return order.get(row["state"], 2), value, row["number"]

    return sorted(rows, key=key)
