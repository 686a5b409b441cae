"""The one training loop: epochs of steps, each followed by an evaluation; saved on the way; stoppable at any step."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import jax
import numpy as np

from cnn_jax.cli import stopping
from cnn_jax.cli.progress import progress_bar
from cnn_jax.cli.signals import StopSignals
from cnn_jax.errors import InputError, Interrupted, NonFiniteError
from cnn_jax.runs.checkpoints import Checkpoints
from cnn_jax.training.evaluation import Between, lagging
from cnn_jax.training.metrics import add, averages
from cnn_jax.training.plan import SAVE, Plan, Progress, close_epoch, is_finished
from cnn_jax.training.saving import Saver, check_finite
from cnn_jax.training.state import TrainState

Log = Callable[[int, Mapping[str, Any]], None]


def train(
    state: TrainState, progress: Progress, plan: Plan, checkpoints: Checkpoints, log: Log, stop: StopSignals
) -> TrainState:
    """Trains to the end, from wherever `state` and `progress` (which is updated) stand.

    Raises:
      Interrupted: a signal came; everything up to that step is saved.
      InputError: an image cannot be read any more; likewise, unless there are several hosts.
      NonFiniteError: the loss of a step or of an evaluation, or a gradient, is not finite; checkpoints stay as they
        were.
      SaveError: the run cannot be saved, three times in a row or at its end; older checkpoints stay as they were.
    """
    with (
        _nothing_unsaved_at_the_end(),
        progress_bar(plan.total_steps, "training", "step", initial=int(state.step)) as bar,
        plan.feed(int(state.step), plan.total_steps) as works,
    ):
        loop = _Loop(state, progress, plan, Saver(checkpoints, progress, plan), stop, bar, works)
        while not is_finished(progress, plan):
            loop.finish_epoch(log)
        loop.saver.finish(loop.state)
    return loop.state


class _Loop:
    """A run under way; `answer` is what all hosts have agreed on and not done yet."""

    def __init__(
        self, state: TrainState, progress: Progress, plan: Plan, saver: Saver, stop: StopSignals, bar: Any,
        works: Iterator[tuple[Any, int]],
    ):  # fmt: skip
        self.state, self.saver = state, saver
        self._progress, self._plan, self._stop, self._bar, self._works = progress, plan, stop, bar, works
        self._answer = 0
        self._seen: set[int] = set()  # how many steps the calls so far made: another number is another program
        self._compiling = 0.0
        self._failure: InputError | None = None
        progress.averages = plan.averages.name

    def finish_epoch(self, log: Log) -> None:
        """The rest of the current epoch, its evaluation and, where it is due, its checkpoint."""
        plan, progress = self._plan, self._progress
        end = (progress.epoch + 1) * plan.steps_per_epoch
        began = int(self.state.step)
        while int(self.state.step) < end:
            began = int(self.state.step)
            self._make_steps(min(end, self.saver.next_stop(began)))
            self._leave_if_asked()
            if int(self.state.step) < end and (self._answer == SAVE or self.saver.due(began, int(self.state.step))):
                self._save()
        self._leave_if_asked()
        step = int(self.state.step)
        state, metrics = self._evaluate()
        close_epoch(progress, metrics, step, plan.metric)
        for split, figures in metrics.items():
            log(step, {"epoch": progress.epoch, "split": split, **figures})
        self._bar.write(_line(progress.epoch, plan.num_epochs, metrics, plan.metric), file=sys.stderr)
        self.state = plan.after_epoch(state, metrics)  # what it has to say comes after its epoch's line
        is_best = progress.best is not None and progress.best["epoch"] == progress.epoch
        if is_best or self._answer == SAVE or self.saver.due(min(began, step - 1), step) or is_finished(progress, plan):
            self._save()

    def _make_steps(self, end: int) -> None:
        """Steps until `end`, or until there is something else to do; at its end nothing is under way."""
        mark = time.monotonic() if self._seen else None
        for first, sums, answer in lagging(self._dispatch(end)):
            self._answer = max(self._answer, int(answer))
            self._count(first, sums)
            now = time.monotonic()
            if mark is not None:
                self._progress.timed_seconds += now - mark - self._compiling
                self._progress.timed_examples += int(sums["count"].sum())
            mark, self._compiling = now, 0.0
            if sums["count"].sum():
                self._bar.set_postfix(loss=f"{sums['loss'].sum() / sums['count'].sum():.4f}", refresh=False)
            self._bar.update(len(sums["count"]))
            self.saver.poll()

    def _dispatch(self, end: int) -> Iterator[tuple[int, Mapping[str, jax.Array], Any]]:
        step = int(self.state.step)
        while step < end and not self._answer and not (self._stop.received and _alone()):
            try:
                work, steps = next(self._works)
            except InputError as error:
                self._failure = error
                return
            began = time.monotonic()
            self.state, sums = self._plan.train_step(self.state, work)
            if steps not in self._seen:
                self._seen.add(steps)
                self._compiling += time.monotonic() - began
            stopping.unsaved.set()
            yield step, sums, self._ask()
            step += steps

    def _count(self, first: int, sums: Mapping[str, Any]) -> None:
        """Adds what the steps of a call gave; those that were left out have sums of 0."""
        plan, progress = self._plan, self._progress
        bad = np.asarray(sums.get("nonfinite", np.zeros(len(sums["count"]))))
        for step, (loss, left_out) in enumerate(zip(sums["loss"], bad, strict=True), first):
            if not left_out or plan.on_nonfinite == "stop":
                check_finite(float(loss), "the training loss", step, self.state, plan)
            if left_out and plan.on_nonfinite == "stop":
                check_finite(np.nan, "a gradient", step, self.state, plan)
            progress.skipped_steps += int(left_out)
            progress.skipped_in_a_row = progress.skipped_in_a_row + 1 if left_out else 0
            if progress.skipped_in_a_row >= plan.steps_per_epoch:
                raise NonFiniteError(
                    f"the loss or a gradient was not finite in {progress.skipped_in_a_row} steps in a row, up to step "
                    f"{step}, all of which were left out; a lower optimizer.learning_rate would help"
                )
        progress.totals = add(progress.totals, {k: np.asarray(v, np.float64).sum(axis=0) for k, v in sums.items()})

    def _evaluate(self) -> tuple[TrainState, dict[str, dict[str, float]]]:
        """The state with averages of this epoch, and {"train", "validation", "validation_ema"}: metrics.

        `self.state` stays as it is: what a signal saves on the way is an epoch that is not closed.
        """
        plan, progress = self._plan, self._progress
        step, between = int(self.state.step), Between(self._ask, self._act)
        metrics = {"train": self._training_figures(step)}
        try:
            state = plan.averages.update(self.state, progress.epoch + 1, between)
            averaged = getattr(state, "averaged", None) if progress.epoch + 1 >= plan.averages.first_epoch else None
            candidates = {"validation": state.variables, f"validation_{plan.averages.name}": averaged}
            for split, variables in candidates.items():
                if plan.evaluate is not None and variables is not None:
                    metrics[split] = plan.evaluate(variables, between)
                    check_finite(metrics[split]["loss"], "the validation loss", step, state, plan)
        except InputError as error:
            self._give_up(error)
        progress.averaged = averaged is not None
        return state, metrics

    def _training_figures(self, step: int) -> dict[str, float]:
        totals = self._progress.totals
        figures = averages(totals) if totals.get("count") else {}  # every step may have been left out
        figures["learning_rate"] = self._plan.learning_rate(step - 1, self.state)
        if totals.get("nonfinite"):
            figures["skipped_steps"] = int(totals["nonfinite"])
        return figures

    def _ask(self) -> Any:
        """What this host wants, on its way to all; the clock is the lead host's."""
        clock = SAVE if jax.process_index() == 0 and self.saver.due_by_clock() else 0
        return self._plan.ask(self._stop.received or clock)

    def _act(self, answer: int) -> None:
        self._answer = max(self._answer, answer)
        self._leave_if_asked()

    def _leave_if_asked(self) -> None:
        number = self._answer if self._answer > SAVE else self._stop.received if _alone() else None
        if number:
            self.saver.finish(self.state)
            where = f"step {int(self.state.step)} of {self._plan.total_steps}"
            raise Interrupted(f"stopped at {where}; everything is saved", number)
        if self._failure is not None:
            self._give_up(self._failure)

    def _give_up(self, failure: InputError) -> NoReturn:
        if not _alone():
            raise failure  # the other hosts are in the middle of a step: they would not come to save with this one
        self.saver.finish(self.state)
        raise InputError(f"{failure}; everything up to step {int(self.state.step)} is saved")

    def _save(self) -> None:
        self._answer = 0
        self.saver.save(self.state)


@contextlib.contextmanager
def _nothing_unsaved_at_the_end() -> Iterator[None]:
    """However it came: what is not saved by then cannot be saved any more."""
    try:
        yield
    finally:
        stopping.unsaved.clear()


def _alone() -> bool:
    """A host that need not agree with others may stop sooner."""
    return jax.process_count() == 1


def _line(epoch: int, num_epochs: int, metrics: Mapping[str, Mapping[str, float]], metric: str) -> str:
    parts = [f"epoch {epoch}/{num_epochs}"]
    for split, figures in metrics.items():
        if "loss" in figures:
            parts.append(f"{split} loss {figures['loss']:.4f} accuracy {figures['accuracy']:.2%}")
        if metric.removeprefix("validation_") == "balanced_accuracy" and "balanced_accuracy" in figures:
            parts[-1] += f" balanced {figures['balanced_accuracy']:.2%}"
    if "skipped_steps" in metrics["train"]:
        parts.append(f"{metrics['train']['skipped_steps']} steps left out")
    parts.append(f"learning rate {metrics['train']['learning_rate']:.3g}")
    return "  ".join(parts)
