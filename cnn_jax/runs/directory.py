"""The files of a run directory: what was asked for, what came out, and whether the two still belong together."""

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_collections

from cnn_jax.config.tree import differences, from_json, to_json
from cnn_jax.errors import InputError

# File systems over a network show other hosts' files with some delay.
_SECONDS_UNTIL_SEEN = 10.0
_STARTS_KEPT = 100
# What a run that goes on makes untrue.
_OF_THE_END = (
    "summary.json", "evaluation*.json", "predictions*.csv", "plots/confusion*.png", "plots/mistakes*.png",
    "plots/overview*.png",
)  # fmt: skip
# They say how and where a run is made, not what comes out.
MAY_CHANGE = (
    "data.workers", "eval_batch_size", "steps_per_call", "on_nonfinite", "parallel.devices", "parallel.strategy",
    "checkpoint.every", "checkpoint.unit", "checkpoint.keep", "remat",
    "tracking.wandb", "tracking.mlflow", "tracking.tensorboard",
)  # fmt: skip


def finished_summary(config: ml_collections.ConfigDict, workdir: Path) -> dict[str, Any] | None:
    """The summary of a run that this config would only repeat; None where there is something to do.

    Raises:
      InputError: the directory holds something else, or a run of another config.
    """
    if not workdir.exists():
        above = next(folder for folder in (*workdir.absolute().parents,) if folder.exists())
        if not os.access(above, os.W_OK):
            raise InputError(f"--workdir={workdir}: {above} cannot be written; choose another folder")
        return None
    if not workdir.is_dir():
        raise InputError(f"--workdir={workdir}: this is a file; choose another folder")
    if not (workdir / "config.json").exists():
        if any(path.name != "config.tmp" for path in workdir.iterdir()):  # what a kill at the very start leaves
            raise InputError(f"--workdir={workdir}: this folder holds something that is not a run; choose another one")
        return None
    saved = read_run_file(workdir, "config.json")
    resolved = saved.pop("resolved", None) or {}
    old = from_json(saved)
    changes = _refused_changes(old, config, resolved)
    if changes and has_checkpoints(workdir):
        listed = ", ".join(f"{key}: {change}" for key, change in changes.items())
        raise InputError(
            f"--workdir={workdir} holds a run of another config ({listed}); choose another folder with --workdir=DIR "
            f"(the same run may only be made longer: more num_epochs, more patience)"
        )
    if changes or config.num_epochs > old.num_epochs or not (workdir / "summary.json").exists():
        return None
    summary = read_run_file(workdir, "summary.json")
    by_patience = summary.get("stopped_early") and summary.get("stopped_by") != "callback"
    goes_on = by_patience and config.patience != old.patience
    return None if goes_on or config.data.dir != old.data.dir else summary


def _refused_changes(
    old: ml_collections.ConfigDict, new: ml_collections.ConfigDict, resolved: Mapping[str, Any]
) -> dict[str, str]:
    """{key: 'old -> new'} of what would make another run. What makes the same one longer is not refused.

    Nor is another place of the data, where their fingerprint is known: `open_run_directory` compares it.
    """
    changes = {key: change for key, change in differences(old, new).items() if key not in MAY_CHANGE}
    if new.num_epochs > old.num_epochs:
        changes.pop("num_epochs")
    if old.patience is not None and (new.patience is None or new.patience > old.patience):
        changes.pop("patience")
    if resolved.get("fingerprint") and new.data.dir is not None:
        changes.pop("data.dir", None)
    return changes


def identity(workdir: Path) -> str:
    """What a host finds there that the primary host has just written; other folders of that name differ."""
    written = workdir / "environment.json"
    deadline = time.monotonic() + _SECONDS_UNTIL_SEEN
    while not written.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return written.read_text() if written.exists() else ""


def has_checkpoints(workdir: Path) -> bool:
    """Whether there is anything to go on from: until then a run may still be begun in another way."""
    folder = workdir / "checkpoints"
    return any(path.name.isdigit() for path in (*folder.glob("*"), *folder.glob(".replaced/*")))


def open_run_directory(workdir: Path, config: ml_collections.ConfigDict, resolved: dict[str, Any]) -> None:
    """Makes the directory, or takes up the one that is there.

    Args:
      workdir: the directory.
      config: of the run.
      resolved: what the data say and the config does not.

    Raises:
      InputError: the directory was begun with other data, or cannot be written.
    """
    from cnn_jax.runs.environment import describe_environment

    if has_checkpoints(workdir):
        _check_same_data(workdir, config, resolved)
    earlier = _earlier(workdir) if has_checkpoints(workdir) else []
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        for pattern in _OF_THE_END:
            for outdated in workdir.glob(pattern):
                outdated.unlink()
        write_json(workdir / "config.json", {**to_json(config), "resolved": resolved})
        write_json(workdir / "environment.json", describe_environment() | ({"earlier": earlier} if earlier else {}))
    except OSError as error:
        raise InputError(
            f"--workdir={workdir}: it cannot be written ({error.strerror}); choose another folder"
        ) from error


def _check_same_data(workdir: Path, config: ml_collections.ConfigDict, resolved: Mapping[str, Any]) -> None:
    saved = read_run_file(workdir, "config.json")
    now, before = json.loads(json.dumps(resolved)), saved.get("resolved") or {}
    was, place = (saved.get("data") or {}).get("dir"), config.data.dir
    if place != was:  # the folder's name tells nothing, and stands in the lines about pictures left out
        now, before = ({**facts, "data": None, "skipped": len(facts.get("skipped", ()))} for facts in (now, before))
    # What did not exist yet when the run was begun cannot have changed.
    keys = [key for key, value in before.items() if now.get(key) != value]
    if keys and place != was:
        raise InputError(
            f"--workdir={workdir} was begun with other data: those of data.dir={place} are not those of {was} "
            f"({', '.join(keys)}); name the data it was begun with, or choose another folder for a new run"
        )
    if keys:
        raise InputError(
            f"--workdir={workdir}: the data have changed since it was begun ({', '.join(keys)}); "
            f"restore them, or choose another folder for a new run"
        )


def _earlier(workdir: Path) -> list[dict[str, Any]]:
    """When, how and with which code a run that is taken up was started before, the first start first."""
    try:
        before = read_run_file(workdir, "environment.json")
    except InputError:
        return []
    starts = before.get("earlier")
    last = {name: before.get(name) for name in ("started", "command_line", "git_commit")}
    return [*(starts if isinstance(starts, list) else []), last][-_STARTS_KEPT:]


def read_run_file(workdir: Path, name: str) -> dict[str, Any]:
    """A JSON file of a run directory; raises InputError where it is missing or broken."""
    try:
        content = json.loads((workdir / name).read_text())
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object")
        return content
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{workdir}: this is not a run directory (it has no {name})") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{workdir / name}: it cannot be read ({error}); restore it, or train in a new folder"
        ) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes the file whole or not at all; raises OSError."""
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
