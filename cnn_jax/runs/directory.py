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
    "summary.json", "evaluation*.json", "predictions*.csv", "plots/confusion*.png", "plots/mistakes*.png"
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
    saved.pop("resolved", None)
    old = from_json(saved)
    changes = {key: change for key, change in differences(old, config).items() if key not in MAY_CHANGE}
    if config.num_epochs > old.num_epochs:
        changes.pop("num_epochs")
    if changes and has_checkpoints(workdir):
        listed = ", ".join(f"{key}: {change}" for key, change in changes.items())
        raise InputError(
            f"--workdir={workdir} holds a run of another config ({listed}); choose another folder with --workdir=DIR "
            f"(the same run may only be made longer)"
        )
    if not changes and config.num_epochs == old.num_epochs and (workdir / "summary.json").exists():
        return read_run_file(workdir, "summary.json")
    return None


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
        before = read_run_file(workdir, "config.json").get("resolved")
        now = json.loads(json.dumps(resolved))
        # What did not exist yet when the run was begun cannot have changed.
        keys = [key for key, value in (before or {}).items() if now.get(key) != value]
        if keys:
            raise InputError(
                f"--workdir={workdir}: the data have changed since it was begun ({', '.join(keys)}); "
                f"restore them, or choose another folder for a new run"
            )
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
