"""What the loop is given, and where a run stands."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import jax

from cnn_jax.training.evaluation import Between
from cnn_jax.training.state import TrainState

# What a host may ask for, beside leaving, which is the number of the signal that it got: all of them are larger.
SAVE = 1


@dataclasses.dataclass
class Progress:
    """Where a run stands, beside its state; saved in every checkpoint.

    `epoch` counts finished epochs, `totals` are the training sums of the unfinished one, `best` is
    {"step", "epoch", "weights", "metrics"} with weights "raw", "ema" or "swa"; `averaged` says whether there are
    averages, `averages` which. The timed seconds and examples leave out each process's first call, and compiling.
    """

    epoch: int = 0
    totals: dict[str, float] = dataclasses.field(default_factory=dict)
    best: dict[str, Any] | None = None
    epochs_without_better: int = 0
    averaged: bool = False
    averages: str = "ema"
    skipped_steps: int = 0
    skipped_in_a_row: int = 0
    wall_seconds: float = 0.0
    timed_seconds: float = 0.0
    timed_examples: int = 0

    @property
    def weights(self) -> str:
        """Which weights are the run's result so far."""
        if self.best is not None:
            return str(self.best.get("weights", "raw"))
        return self.averages if self.averaged else "raw"


@dataclasses.dataclass(frozen=True)
class Averages:
    """The averages that a state holds, where it holds any.

    Attributes:
      name: "ema" or "swa", as in Progress.
      first_epoch: the end of this one is the first at which there are any.
      update: (state, number of the epoch that ends, between) -> the state with its averages brought up to date and
        all else as it was; `Between` as in an evaluation. Averages that each step updates need nothing more.
    """

    name: str = "ema"
    first_epoch: int = 0
    update: Callable[[TrainState, int, Between], TrainState] = lambda state, epoch, between: state


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the loop does, compiled and chosen by the caller.

    Attributes:
      train_step: (state, what the feed gives for a call) -> (state, sums), each of the sums [k] for the k >= 1 steps
        of the call; "nonfinite" among them is 1 for a step whose loss or gradients were not finite.
      feed: (first step, last step + 1) -> a context with an iterator over (what a call takes, k). No call goes beyond
        the end of an epoch.
      evaluate: (variables, between) -> validation metrics, or None where there is no validation split.
      learning_rate: (step, a state of its epoch) -> the rate of the update that starts from it.
      checkpoint_every: in units of checkpoint_unit, which is "epochs", "steps" or "minutes".
      metric: "validation_accuracy", "validation_balanced_accuracy" or "validation_loss": which epoch is better.
      wall_seconds: how long the run has taken by now, all its processes together.
      config: saved in every checkpoint.
      on_nonfinite: "stop", or "skip": such a step changed nothing, and is counted.
      ask: gives this host's small number (0: nothing; `SAVE`; else a signal's) on the way to all hosts; what comes back
        with the sums, through `jax.device_get`, is the largest of all hosts.
      averages: what is evaluated beside the plain weights.
      after_epoch: (state, {"train", "validation", ...}: metrics) -> the state that the next epoch starts from and that
        is saved; called once for each epoch, with the same metrics on all hosts.
    """

    train_step: Callable[[TrainState, Any], tuple[TrainState, Mapping[str, jax.Array]]]
    feed: Callable[[int, int], AbstractContextManager[Iterator[tuple[Any, int]]]]
    evaluate: Callable[[Any, Between], dict[str, float]] | None
    learning_rate: Callable[[int, TrainState], float]
    steps_per_epoch: int
    num_epochs: int
    patience: int | None
    checkpoint_every: float
    checkpoint_unit: str
    metric: str
    wall_seconds: Callable[[], float]
    config: Mapping[str, Any]
    on_nonfinite: str = "stop"
    ask: Callable[[int], Any] = lambda code: code
    averages: Averages = Averages()
    after_epoch: Callable[[TrainState, Mapping[str, dict[str, float]]], TrainState] = lambda state, metrics: state

    @property
    def total_steps(self) -> int:
        return self.num_epochs * self.steps_per_epoch


def is_finished(progress: Progress, plan: Plan) -> bool:
    """All epochs are done, or patience is over."""
    out_of_patience = plan.patience is not None and progress.epochs_without_better >= plan.patience
    return progress.epoch >= plan.num_epochs or out_of_patience


def close_epoch(progress: Progress, metrics: Mapping[str, dict[str, float]], step: int, metric: str) -> None:
    """Counts the epoch as finished and decides whether it is the best so far, and with which weights."""
    progress.epoch += 1
    progress.totals = {}
    if "validation" not in metrics:
        return
    weights, figures = "raw", metrics["validation"]
    averaged = metrics.get(f"validation_{progress.averages}")
    if averaged is not None and _rank(averaged, metric) >= _rank(figures, metric):
        weights, figures = progress.averages, averaged
    if progress.best is None or _rank(figures, metric) > _rank(progress.best["metrics"], metric):
        progress.best = {"step": step, "epoch": progress.epoch, "weights": weights, "metrics": figures}
        progress.epochs_without_better = 0
    else:
        progress.epochs_without_better += 1


def _rank(figures: Mapping[str, float], metric: str) -> tuple[float, ...]:
    """Larger is better; ties of accuracy go to the lower loss, ties of both to the earlier epoch."""
    name = metric.removeprefix("validation_")
    return (-figures["loss"],) if name == "loss" else (figures[name], -figures["loss"])
