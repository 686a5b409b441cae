"""The files of a run directory: what was asked for, what came out, and whether the two still belong together."""

import contextlib
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_collections

from cnn_jax.config.tree import differences, from_json, to_json
from cnn_jax.errors import InputError, reason_of
from cnn_jax.runtime.folders import make_folder, refuse_special, why_no_folder

# File systems over a network show other hosts' files with some delay.
_SECONDS_UNTIL_SEEN = 10.0
_STARTS_KEPT = 100
# What a run that goes on makes untrue.
_OF_THE_END = (
    "summary.json", "evaluation*.json", "predictions*.csv", "plots/confusion*.png", "plots/mistakes*.png",
    "plots/overview*.png",
)  # fmt: skip
_URL = re.compile(r"[a-z0-9]{2,}:/")  # a Path has one slash of a URL's two
_MAKE_AGAIN = "remove it, and the same command makes it again"
_NUMBERS_AT_THE_END = ("epochs", "best_epoch", "wall_seconds", "images_per_second")
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
    if _URL.match(str(workdir)):
        raise InputError(f"--workdir={workdir}: this is a URL; a run directory is a folder that this machine sees")
    if why := why_no_folder(workdir):
        raise InputError(f"--workdir={workdir}: {why}; choose another folder")
    if not workdir.exists():
        return None
    has_folder(workdir)
    if not (workdir / "config.json").exists():
        if any(path.name != "config.tmp" for path in workdir.iterdir()):  # what a kill at the very start leaves
            raise InputError(f"--workdir={workdir}: this folder holds something that is not a run; choose another one")
        return None
    saved, resolved = read_config(workdir)
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
    summary = read_run_file(workdir, "summary.json", _MAKE_AGAIN)
    by_patience = summary.get("stopped_early") and summary.get("stopped_by") != "callback"
    goes_on = by_patience and config.patience != old.patience
    return None if goes_on or config.data.dir != old.data.dir else summary


def check_summary(workdir: Path, summary: Mapping[str, Any]) -> None:
    """Raises InputError where a finished run's summary lacks what is said about its end."""
    try:
        figures = [name for name in summary if name.endswith(("_accuracy", "_loss"))]
        for name in (*_NUMBERS_AT_THE_END, *figures):
            if isinstance(summary[name], bool) or not isinstance(summary[name], int | float):
                raise ValueError(f"its {name} is no number")
        if not (isinstance(summary["stopped_early"], bool) and isinstance(summary["weights"], str)):
            raise ValueError("it does not say how the run ended")
    except (KeyError, ValueError) as error:
        raise InputError(f"{workdir / 'summary.json'}: it is damaged ({reason_of(error)}); {_MAKE_AGAIN}") from error


def read_config(workdir: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's config, as JSON, and what was resolved of its data; raises InputError where they are no such thing."""
    saved = read_run_file(workdir, "config.json")
    resolved = saved.pop("resolved", None) or {}
    if not isinstance(resolved, dict):
        raise InputError(
            f"{workdir / 'config.json'}: it is damaged (its 'resolved' is no object); restore it, or train again"
        )
    return saved, resolved


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


def has_folder(workdir: Path) -> bool:
    """Whether there is a folder for checkpoints; raises InputError where something else has its name."""
    folder = workdir / "checkpoints"
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise InputError(f"{folder}: this is no folder of checkpoints; restore it, or choose another --workdir")
    return os.path.isdir(folder)


def is_step(name: str) -> bool:
    """Whether a checkpoint may have this name: the number of its step."""
    return name.isascii() and name.isdigit()


def has_checkpoints(workdir: Path) -> bool:
    """Whether there is anything to go on from: until then a run may still be begun in another way."""
    folder = workdir / "checkpoints"
    return any(is_step(path.name) for path in (*folder.glob("*"), *folder.glob(".replaced/*")))


def open_run_directory(workdir: Path, config: ml_collections.ConfigDict, resolved: dict[str, Any]) -> None:
    """Makes the directory, or takes up the one that is there, when its checkpoint has been read.

    Args:
      workdir: the directory.
      config: of the run.
      resolved: what the data say and the config does not.

    Raises:
      InputError: the directory was begun with other data, or cannot be written.
    """
    from cnn_jax.runs.environment import describe_environment

    if has_checkpoints(workdir):
        check_resolved(workdir, config, resolved)
    earlier = _earlier(workdir) if has_checkpoints(workdir) else []
    try:
        make_folder(workdir)
        # Nothing is lost where this fails: the disk is full, say.
        write_json(workdir / "environment.json", describe_environment() | ({"earlier": earlier} if earlier else {}))
        for pattern in _OF_THE_END:  # before there is another config, whose end they would seem to be
            for outdated in workdir.glob(pattern):
                outdated.unlink()
        write_json(workdir / "config.json", {**to_json(config), "resolved": resolved})
    except OSError as error:
        raise InputError(
            f"--workdir={workdir}: it cannot be written ({error.strerror}); choose another folder"
        ) from error


def check_resolved(workdir: Path, config: ml_collections.ConfigDict, resolved: Mapping[str, Any]) -> None:
    """Raises InputError where a run was begun with other data than these."""
    saved, before = read_config(workdir)
    now = json.loads(json.dumps(resolved))
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


def read_run_file(
    workdir: Path, name: str, remedy: str = "restore it, or train in a new folder"
) -> dict[str, Any]:  # fmt: skip
    """A JSON file of a run directory; raises InputError where it is missing or broken, which names the remedy."""
    path = workdir / name
    try:
        refuse_special(path)
        content = json.loads(path.read_text())
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object")
        return content
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{workdir}: this is not a run directory (it has no {name})") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: it cannot be read ({reason_of(error)}); {remedy}") from error


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
