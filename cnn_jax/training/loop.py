"""The one training loop: epochs of steps, each followed by an evaluation and a checkpoint; stoppable at any step."""

import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import jax
import jax.numpy as jnp

from cnn_jax.checkpoints import Checkpoints
from cnn_jax.errors import InputError, Interrupted, NonFiniteError
from cnn_jax.metrics import add, averages
from cnn_jax.progress import progress_bar
from cnn_jax.training.evaluation import lagging
from cnn_jax.training.signals import StopSignals
from cnn_jax.training.state import TrainState

Log = Callable[[int, Mapping[str, Any]], None]


@dataclasses.dataclass
class Progress:
    """Where a run stands, beside its state; saved in every checkpoint.

    `epoch` counts finished epochs, `totals` are the training sums of the unfinished one, `best` is
    {"step", "epoch", "metrics"}; the timed seconds and examples leave out each process's first step, which compiles.
    """

    epoch: int = 0
    totals: dict[str, float] = dataclasses.field(default_factory=dict)
    best: dict[str, Any] | None = None
    epochs_without_better: int = 0
    wall_seconds: float = 0.0
    timed_seconds: float = 0.0
    timed_examples: int = 0


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the loop does, compiled and chosen by the caller.

    Attributes:
      train_step: (state, what the feed gives for the step) -> (state, sums).
      feed: (first step, last step + 1) -> a context with an iterator over what each of these steps takes.
      evaluate: (variables, on_batch) -> validation metrics, or None where there is no validation split.
      learning_rate: step -> the rate of the update that starts from it.
      metric: "validation_accuracy", "validation_balanced_accuracy" or "validation_loss": which epoch is better.
      wall_seconds: how long the run has taken by now, all its processes together.
      config: saved in every checkpoint.
    """

    train_step: Callable[[TrainState, Any], tuple[TrainState, Mapping[str, jax.Array]]]
    feed: Callable[[int, int], AbstractContextManager[Iterator[Any]]]
    evaluate: Callable[[Any, Callable[[int], None]], dict[str, float]] | None
    learning_rate: Callable[[int], float]
    steps_per_epoch: int
    num_epochs: int
    patience: int | None
    checkpoint_every: int
    metric: str
    wall_seconds: Callable[[], float]
    config: Mapping[str, Any]


def is_finished(progress: Progress, plan: Plan) -> bool:
    """All epochs are done, or patience is over."""
    out_of_patience = plan.patience is not None and progress.epochs_without_better >= plan.patience
    return progress.epoch >= plan.num_epochs or out_of_patience


def train(
    state: TrainState, progress: Progress, plan: Plan, checkpoints: Checkpoints, log: Log, stop: StopSignals
) -> TrainState:
    """Trains to the end, from wherever `state` and `progress` (which is updated) stand.

    Raises:
      Interrupted: a signal came; everything up to that step is saved.
      InputError: an image cannot be read any more; likewise.
      NonFiniteError: the loss of a step or of an evaluation is not finite; checkpoints stay as they were.
    """
    total = plan.num_epochs * plan.steps_per_epoch
    saved = (checkpoints.last(), progress.epoch)

    def save() -> None:
        nonlocal saved
        if saved != (int(state.step), progress.epoch):
            if not _all_finite(state.variables):
                _check_finite(math.nan, "a parameter", int(state.step) - 1, plan)
            progress.wall_seconds = plan.wall_seconds()
            checkpoints.save(int(state.step), state, dataclasses.asdict(progress), plan.config)
            saved = (int(state.step), progress.epoch)

    def leave_if_asked(_: int = 0) -> None:
        if stop.received is not None:
            save()
            checkpoints.wait()
            raise Interrupted(f"stopped at step {int(state.step)} of {total}; everything is saved", stop.received)

    def give_up(failure: InputError) -> NoReturn:
        save()
        checkpoints.wait()
        raise InputError(f"{failure}; everything up to step {int(state.step)} is saved")

    with (
        progress_bar(total, "training", "step", initial=int(state.step)) as bar,
        plan.feed(int(state.step), total) as works,
    ):
        compiled = False
        while not is_finished(progress, plan):
            state, failure = _train_epoch(state, progress, plan, stop, bar, works, compiled)
            compiled = True
            leave_if_asked()
            if failure is not None:
                give_up(failure)
            metrics = {"train": {**averages(progress.totals), "learning_rate": plan.learning_rate(int(state.step) - 1)}}
            if plan.evaluate is not None:
                try:
                    metrics["validation"] = plan.evaluate(state.variables, leave_if_asked)
                except InputError as error:
                    give_up(error)
                _check_finite(metrics["validation"]["loss"], "the validation loss", int(state.step), plan)
            _close_epoch(progress, metrics, int(state.step), plan.metric)
            for split, figures in metrics.items():
                log(int(state.step), {"epoch": progress.epoch, "split": split, **figures})
            bar.write(_line(progress.epoch, plan.num_epochs, metrics, plan.metric), file=sys.stderr)
            is_best = progress.best is not None and progress.best["epoch"] == progress.epoch
            if is_best or progress.epoch % plan.checkpoint_every == 0 or is_finished(progress, plan):
                save()
    checkpoints.wait()
    return state


def _train_epoch(
    state: TrainState, progress: Progress, plan: Plan, stop: StopSignals, bar: Any, works: Iterator[Any], compiled: bool
) -> tuple[TrainState, InputError | None]:
    """The rest of the current epoch, or as much of it as is done when a signal comes or the data fail."""
    end = (progress.epoch + 1) * plan.steps_per_epoch
    current, failure = state, None

    def steps() -> Iterator[tuple[int, Mapping[str, jax.Array]]]:
        nonlocal current, failure
        for step in range(int(state.step), end):
            if stop.received is not None:
                return
            try:
                work = next(works)
            except InputError as error:
                failure = error
                return
            current, sums = plan.train_step(current, work)
            yield step, sums

    mark = time.monotonic() if compiled else None
    for step, sums in lagging(steps()):
        _check_finite(float(sums["loss"]), "the training loss", step, plan)
        progress.totals = add(progress.totals, sums)
        now = time.monotonic()
        if mark is not None:
            progress.timed_seconds += now - mark
            progress.timed_examples += int(sums["count"])
        mark = now
        bar.set_postfix(loss=f"{float(sums['loss'] / sums['count']):.4f}", refresh=False)
        bar.update(1)
    return current, failure


def _close_epoch(progress: Progress, metrics: Mapping[str, dict[str, float]], step: int, metric: str) -> None:
    """Counts the epoch as finished and decides whether it is the best so far."""
    progress.epoch += 1
    progress.totals = {}
    if "validation" not in metrics:
        return
    figures = metrics["validation"]
    if progress.best is None or _rank(figures, metric) > _rank(progress.best["metrics"], metric):
        progress.best = {"step": step, "epoch": progress.epoch, "metrics": figures}
        progress.epochs_without_better = 0
    else:
        progress.epochs_without_better += 1


def _rank(figures: Mapping[str, float], metric: str) -> tuple[float, ...]:
    """Larger is better; ties of accuracy go to the lower loss, ties of both to the earlier epoch."""
    name = metric.removeprefix("validation_")
    return (-figures["loss"],) if name == "loss" else (figures[name], -figures["loss"])


@jax.jit
def _all_finite(tree: Any) -> jax.Array:
    """The loss of a step is that of the parameters before it; what is saved must be good after it too."""
    return jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def _check_finite(loss: float, what: str, step: int, plan: Plan) -> None:
    if not math.isfinite(loss):
        rate = plan.learning_rate(step)
        raise NonFiniteError(
            f"{what} became {loss} at step {step}, where the learning rate was {rate:.4g}; a lower "
            f"optimizer.learning_rate, a warm-up or optimizer.clip_norm would help"
        )


def _line(epoch: int, num_epochs: int, metrics: Mapping[str, Mapping[str, float]], metric: str) -> str:
    parts = [f"epoch {epoch}/{num_epochs}"]
    for split, figures in metrics.items():
        parts.append(f"{split} loss {figures['loss']:.4f} accuracy {figures['accuracy']:.2%}")
        if metric == f"{split}_balanced_accuracy":
            parts[-1] += f" balanced {figures['balanced_accuracy']:.2%}"
    parts.append(f"learning rate {metrics['train']['learning_rate']:.3g}")
    return "  ".join(parts)
