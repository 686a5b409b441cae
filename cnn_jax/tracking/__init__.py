"""Where metrics go. Several trackers may listen at once; the local one always does."""

import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from cnn_jax.cli.programs import install
from cnn_jax.cli.signals import Shutdown
from cnn_jax.errors import InputError
from cnn_jax.runs.search import search_runs
from cnn_jax.tracking.background import Background
from cnn_jax.tracking.local import LocalTracker
from cnn_jax.tracking.mlflow import MlflowTracker, mlflow_is_on
from cnn_jax.tracking.tensorboard import TensorboardTracker
from cnn_jax.tracking.wandb import WandbTracker, wandb_mode

__all__ = ["LocalTracker", "Tracker", "Trackers", "check_packages", "make_trackers", "no_trackers", "search_runs"]

_PACKAGES = {"mlflow": "mlflow", "tensorboard": "tensorboardX"}  # of each extra


class Tracker(Protocol):
    """One run's log."""

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """One row: {"split": "train" | "validation" | "test", "epoch": ..., and figures}."""

    def log_artifact(self, path: Path) -> None:
        """A file that belongs to the run."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Closes the log; the summary is empty where the run is not at its end."""


class Trackers:
    """Passes everything on to several trackers; one that fails is dropped with a warning, training goes on."""

    def __init__(self, local: Tracker, others: Sequence[Tracker], shutdown: Shutdown | None = None):
        self._local, self._shutdown = local, shutdown or Shutdown()
        self._others = list(others)

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._local.log(step, metrics)
        self._pass_on(lambda tracker: tracker.log(step, metrics))

    def log_artifact(self, path: Path) -> None:
        self._local.log_artifact(path)
        self._pass_on(lambda tracker: tracker.log_artifact(path))

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._local.finish(summary)
        with self._shutdown.close_services():
            self._pass_on(lambda tracker: tracker.finish(summary))

    def _pass_on(self, call: Callable[[Tracker], None]) -> None:
        for tracker in list(self._others):
            try:
                call(tracker)
            except Exception as error:
                self._others.remove(tracker)
                name = getattr(tracker, "name", type(tracker).__name__)
                warnings.warn(f"{name} failed and is left out from here on: {error}", stacklevel=3)


class _Nobody:
    """Hears everything and keeps nothing."""

    def log(self, step: int, metrics: Mapping[str, Any]) -> None: ...

    def log_artifact(self, path: Path) -> None: ...

    def finish(self, summary: Mapping[str, Any]) -> None: ...


def no_trackers() -> Trackers:
    """For all hosts but the primary one."""
    return Trackers(_Nobody(), [])


def check_packages(settings: Mapping[str, Any]) -> None:
    """Raises InputError where the config's `tracking` asks for a service whose package is missing."""
    asked = {"mlflow": settings["mlflow"] == "on", "tensorboard": settings["tensorboard"]}
    for extra, package in _PACKAGES.items():
        if asked[extra] and importlib.util.find_spec(package) is None:
            raise InputError(
                f"config.tracking.{extra}={settings[extra]}: it needs the package {package}, which is not installed: "
                f"{install(extra)}"
            )


def make_trackers(
    workdir: Path, config: Mapping[str, Any], epoch: int, shutdown: Shutdown | None = None
) -> Trackers:  # fmt: skip
    """The trackers of a run that has finished `epoch` epochs.

    Those that talk to a server or a database do so in threads of their own. One that knows this run already is not
    told again what it was told before the run was stopped; one that does not is told all of it.
    """
    shutdown = shutdown or Shutdown()
    local = LocalTracker(workdir / "metrics.jsonl", epoch)
    settings = config["tracking"]
    others: list[Tracker] = []
    mode = wandb_mode(settings["wandb"])
    if mode is not None:
        known = (workdir / "wandb_id").exists()
        wandb = Background("wandb", lambda sent: WandbTracker(workdir, config, mode), shutdown)
        others.append(_resumed(wandb, local, known))
    if mlflow_is_on(settings["mlflow"]):
        known = (workdir / "mlflow_id").exists()
        mlflow = Background("MLflow", lambda sent: MlflowTracker(workdir, config, sent), shutdown)
        others.append(_resumed(mlflow, local, known))
    if settings["tensorboard"]:
        known = (workdir / "tensorboard").exists()
        try:
            others.append(_resumed(TensorboardTracker(workdir, config), local, known))
        except Exception as error:
            warnings.warn(f"TensorBoard could not start and is left out: {error}", stacklevel=2)
    return Trackers(local, others, shutdown)


class _Once:
    """Keeps rows from a tracker that it has."""

    def __init__(self, tracker: Tracker, had: set[tuple[int, str]]):
        self._tracker, self._had = tracker, had
        self.name = getattr(tracker, "name", type(tracker).__name__)
        self.log_artifact, self.finish = tracker.log_artifact, tracker.finish

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        if (step, metrics["split"]) not in self._had:
            self._tracker.log(step, metrics)


def _resumed(tracker: Tracker, local: LocalTracker, known: bool) -> Tracker:
    if known:
        return _Once(tracker, local.repeated)
    for row in local.rows:
        tracker.log(row["step"], {name: value for name, value in row.items() if name != "step"})
    return tracker
