"""Where metrics go. Several trackers may listen at once; the local one always does."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from cnn_jax import stopping
from cnn_jax.tracking.local import LocalTracker
from cnn_jax.tracking.search import search_runs
from cnn_jax.tracking.wandb import WandbTracker, wandb_mode

__all__ = ["LocalTracker", "Tracker", "Trackers", "make_trackers", "no_trackers", "search_runs"]


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

    def __init__(self, local: Tracker, others: Sequence[Tracker]):
        self._local = local
        self._others = list(others)

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._local.log(step, metrics)
        self._pass_on(lambda tracker: tracker.log(step, metrics))

    def log_artifact(self, path: Path) -> None:
        self._local.log_artifact(path)
        self._pass_on(lambda tracker: tracker.log_artifact(path))

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._local.finish(summary)
        stopping.closing.set()
        try:
            self._pass_on(lambda tracker: tracker.finish(summary))
        finally:
            stopping.closing.clear()

    def _pass_on(self, call: Callable[[Tracker], None]) -> None:
        for tracker in list(self._others):
            try:
                call(tracker)
            except Exception as error:
                self._others.remove(tracker)
                warnings.warn(f"{type(tracker).__name__} failed and is left out from here on: {error}", stacklevel=3)


class _Nobody:
    """Hears everything and keeps nothing."""

    def log(self, step: int, metrics: Mapping[str, Any]) -> None: ...

    def log_artifact(self, path: Path) -> None: ...

    def finish(self, summary: Mapping[str, Any]) -> None: ...


def no_trackers() -> Trackers:
    """Those of a host that is not the lead."""
    return Trackers(_Nobody(), [])


def make_trackers(mode: str, workdir: Path, config: Mapping[str, Any], epoch: int) -> Trackers:
    """The trackers of a run that has finished `epoch` epochs; `mode` is the config's `tracking.wandb`."""
    others: list[Tracker] = []
    chosen = wandb_mode(mode)
    if chosen is not None:
        try:
            others.append(WandbTracker(workdir, config, chosen))
        except Exception as error:
            warnings.warn(f"wandb could not start and is left out: {error}", stacklevel=2)
    return Trackers(LocalTracker(workdir / "metrics.jsonl", epoch), others)
