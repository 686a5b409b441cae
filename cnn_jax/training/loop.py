"""The one training loop: epochs of steps, each followed by an evaluation; saved on the way; stoppable at any step."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

import jax
import numpy as np

from cnn_jax.cli.progress import progress_bar, stamped, stream
from cnn_jax.cli.signals import Shutdown
from cnn_jax.distributed import hosts
from cnn_jax.errors import Interrupted, NonFiniteError
from cnn_jax.training.checkpointing import Checkpointer, CheckpointSchedule, check_finite
from cnn_jax.training.data_errors import is_of_the_data, saved_error
from cnn_jax.training.loop_state import LoopState, close_epoch, is_finished
from cnn_jax.training.metrics import add, finalize
from cnn_jax.training.program import EpochEnd, LoopConfig, Program
from cnn_jax.training.requests import Request, Requests
from cnn_jax.training.state import TrainState

Log = Callable[[int, Mapping[str, Any]], None]


class Trainer:
    """A run under way.

    Args:
      state, loop_state: where the run stands; `train` goes on from there and updates both.
      config, program: see `training.program`.
      checkpointer: saves `loop_state` with each state.
      requests: what signals and other hosts ask for.
      log: is given (step, row of figures).
      shutdown: that of the script.
    """

    def __init__(
        self, state: TrainState, loop_state: LoopState, config: LoopConfig, program: Program,
        checkpointer: Checkpointer, requests: Requests, log: Log, shutdown: Shutdown | None = None,
    ):  # fmt: skip
        self.state, self.loop_state = state, loop_state
        self._config, self._program, self._log = config, program, log
        self._checkpointer, self._schedule = checkpointer, CheckpointSchedule(config)
        self._requests, self._shutdown = requests, shutdown or Shutdown()
        self._step_timer = _StepTimer()
        self._data_error: Exception | None = None

    @property
    def step(self) -> int:
        return int(self.state.step)

    def train(self) -> TrainState:
        """Trains to the end.

        Raises:
          Interrupted: a signal came; everything up to that step is saved.
          InputError: an image cannot be read any more; likewise, unless there are several hosts.
          Exception: whatever a data source of the user's own raises; likewise, with a note of the batch and the epoch.
          NonFiniteError: the loss of a step or of an evaluation, or a gradient, is not finite; checkpoints stay as they
            were.
          SaveError: the run cannot be saved, three times in a row or at its end; older checkpoints stay as they were.
        """
        total = self._config.total_steps
        try:
            with (
                progress_bar(total, "training", "step", initial=self.step) as self._bar,
                self._program.feed(self.step, total) as self._calls,
            ):
                self._evaluate_start()
                while not is_finished(self.loop_state, self._config):
                    self.end_epoch(save=self.train_epoch())
                self._finish()
        finally:
            self._shutdown.unsaved.clear()  # what is not saved by now cannot be saved any more
        return self.state

    def _evaluate_start(self) -> None:
        """Epoch 0, where it is wanted: the weights before the first step, which may be the best ones."""
        config, loop_state, figures = self._config, self.loop_state, {}
        if not config.evaluates_start or self.step > 0 or loop_state.best is not None:
            return
        if self._program.evaluate is not None:
            try:
                figures = self._program.evaluate(self.state.variables, self._fetch_or_stop)
            except Exception as error:
                self._raise_saved(error, "in the evaluation before the first epoch")
            check_finite(figures["loss"], "the validation loss", 0, self.state, self._program.learning_rate)
            self._log(0, {"epoch": 0, "split": "validation", **figures})
            self._bar.write(stamped(_line(0, config, {"validation": figures})), file=stream())
        if figures or config.num_epochs == 0:
            loop_state.best = {"step": 0, "epoch": 0, "weights": "raw", "metrics": figures}
            self._save()

    def train_epoch(self) -> bool:
        """Makes the rest of the epoch's steps, and saves where that is due on the way.

        Returns:
          Whether a checkpoint is due at the end of the epoch.
        """
        end = (self.loop_state.epoch + 1) * self._config.steps_per_epoch
        is_due = self._schedule.is_due(self.step - 1, self.step)
        while self.step < end:
            before = self.step
            self._run_steps(min(end, self._schedule.next_step(before)))
            self._stop_if_requested()
            is_due = self._schedule.is_due(before, self.step)
            if self.step < end and (is_due or self._requests.agreed is Request.SAVE):
                self._save()
        self._stop_if_requested()
        return is_due

    def end_epoch(self, save: bool) -> None:
        """Evaluates, logs, finds out whether the epoch is the best, and saves if that is due or asked for."""
        config, loop_state, step = self._config, self.loop_state, self.step
        state, metrics = self._evaluate()
        close_epoch(loop_state, metrics, step, config)
        for split, figures in metrics.items():
            self._log(step, {"epoch": loop_state.epoch, "split": split, **figures})
        self._bar.write(stamped(_line(loop_state.epoch, config, metrics)), file=stream())
        self.state = self._program.after_epoch(state, metrics)  # what it has to say comes after its epoch's line
        is_best = loop_state.best is not None and loop_state.best["epoch"] == loop_state.epoch
        try:
            end = EpochEnd(loop_state.epoch, step, metrics, is_best, self.state.variables)
            for callback in self._program.callbacks:
                if callback(end):
                    loop_state.stopped_at = config.num_epochs
        finally:  # the user's own code may fail
            if save or is_best or self._requests.agreed is Request.SAVE or is_finished(loop_state, config):
                self._save()

    def _run_steps(self, end: int) -> None:
        """Steps until `end`, or until a host asks for something; when it returns, no step is under way."""
        self._step_timer.start()
        for first_step, sums in self._requests.fetch(self._dispatch_steps(end), self._save_is_due):
            check_step_sums(sums, first_step, self.state, self.loop_state, self._config, self._program.learning_rate)
            totals = {name: np.asarray(value, np.float64).sum(axis=0) for name, value in sums.items()}
            self.loop_state.totals = add(self.loop_state.totals, totals)
            self._step_timer.add(int(sums["count"].sum()), self.loop_state)
            if totals["count"]:
                self._bar.set_postfix(loss=f"{sums['loss'].sum() / sums['count'].sum():.4f}", refresh=False)
            self._bar.update(len(sums["count"]))
            self._checkpointer.poll()

    def _dispatch_steps(self, end: int) -> Iterator[tuple[int, Mapping[str, jax.Array]]]:
        """(number of a call's first step, its sums); the sums are still being computed."""
        step = self.step
        while step < end and self._requests.agreed is Request.NONE and self._requests.stop_signal is None:
            try:
                batches, steps = next(self._calls)
            except Exception as error:
                if not is_of_the_data(error):
                    raise
                self._data_error = error
                return
            with self._step_timer.dispatch(steps):
                self.state, sums = self._program.train_step(self.state, batches)
            self._shutdown.unsaved.set()
            yield step, sums
            step += steps

    def _evaluate(self) -> tuple[TrainState, dict[str, dict[str, float]]]:
        """The state with averages of this epoch, and {"train", "validation", "validation_ema"}: metrics.

        `self.state` stays as it is: what a signal saves on the way is an epoch that is not closed.
        """
        program, averaging, epoch, step = self._program, self._config.averaging, self.loop_state.epoch + 1, self.step
        metrics = {"train": self._training_figures(step)}
        try:
            state = program.update_averages(self.state, epoch, self._fetch_or_stop)
            averaged = getattr(state, "averaged", None) if epoch >= averaging.first_epoch else None
            candidates = {"validation": state.variables, f"validation_{averaging.kind}": averaged}
            for split, variables in candidates.items():
                if program.evaluate is not None and variables is not None:
                    metrics[split] = program.evaluate(variables, self._fetch_or_stop)
                    check_finite(metrics[split]["loss"], "the validation loss", step, state, program.learning_rate)
        except Exception as error:
            self._raise_saved(error, f"in the evaluation after epoch {epoch}")
        self.loop_state.averaged_weights = averaging.kind if averaged is not None else None
        return state, metrics

    def _training_figures(self, step: int) -> dict[str, float]:
        totals = self.loop_state.totals
        figures = finalize(totals) if totals.get("count") else {}  # every step may have been left out
        figures["learning_rate"] = self._program.learning_rate(step - 1, self.state)
        if totals.get("nonfinite"):
            figures["skipped_steps"] = int(totals["nonfinite"])
        return figures

    def _save_is_due(self) -> bool:
        """By the clock of the primary host."""
        return hosts.is_primary() and self._schedule.is_due_by_clock(self._checkpointer.seconds_since_save)

    def _fetch_or_stop(self, values: Iterable[Any]) -> Iterator[Any]:
        """For evaluations: the values on the host; saves and raises Interrupted as soon as all hosts agreed to stop."""
        for value in self._requests.fetch(values, self._save_is_due):
            self._stop_if_requested()
            yield value

    def _stop_if_requested(self) -> None:
        number = self._requests.stop_signal
        if number:
            self._finish()
            where = f"step {self.step} of {self._config.total_steps}"
            raise Interrupted(f"stopped at {where}; everything is saved", number)
        if self._data_error is not None:
            epoch, batch = divmod(self.step, self._config.steps_per_epoch)
            where = f"while batch {batch + 1} of {self._config.steps_per_epoch} of epoch {epoch + 1} was read"
            self._raise_saved(self._data_error, where)

    def _raise_saved(self, error: Exception, where: str) -> NoReturn:
        # Other hosts are in the middle of a step: they would not come to save with this one.
        if hosts.count() > 1 or not is_of_the_data(error):
            raise error
        self._finish()
        raise saved_error(error, where, self.step)

    def _save(self) -> None:
        self._requests.saved()
        self._checkpointer.save(self.state)

    def _finish(self) -> None:
        self._checkpointer.finish(self.state)
        self._shutdown.unsaved.clear()


class _StepTimer:
    """Seconds and examples of steps, without the first call of the process and without compiling."""

    def __init__(self) -> None:
        self._lengths: set[int] = set()  # of the calls so far, in steps: another length is another program
        self._compiling = 0.0
        self._last: float | None = None

    def start(self) -> None:
        self._last = time.monotonic() if self._lengths else None

    @contextlib.contextmanager
    def dispatch(self, steps: int) -> Iterator[None]:
        began = time.monotonic()
        yield
        if steps not in self._lengths:
            self._lengths.add(steps)
            self._compiling += time.monotonic() - began

    def add(self, examples: int, loop_state: LoopState) -> None:
        """Counts a call whose sums have arrived."""
        now = time.monotonic()
        if self._last is not None:
            loop_state.timed_seconds += now - self._last - self._compiling
            loop_state.timed_examples += examples
        self._last, self._compiling = now, 0.0


def check_step_sums(
    sums: Mapping[str, Any], first_step: int, state: TrainState, loop_state: LoopState, config: LoopConfig,
    learning_rate: Callable[[int, TrainState], float],
) -> None:  # fmt: skip
    """Counts the steps of a call that were left out; their sums are 0.

    Raises:
      NonFiniteError: a loss or gradient is not finite, or (`on_nonfinite="skip"`) as many steps in a row as an epoch
        has were left out.
    """
    left_out = np.asarray(sums.get("nonfinite", np.zeros(len(sums["count"]))))
    for step, (loss, is_left_out) in enumerate(zip(sums["loss"], left_out, strict=True), first_step):
        if not is_left_out or config.on_nonfinite == "stop":
            check_finite(float(loss), "the training loss", step, state, learning_rate)
        if is_left_out and config.on_nonfinite == "stop":
            check_finite(np.nan, "a gradient", step, state, learning_rate)
        loop_state.skipped_steps += int(is_left_out)
        loop_state.skipped_in_a_row = loop_state.skipped_in_a_row + 1 if is_left_out else 0
        if loop_state.skipped_in_a_row >= config.steps_per_epoch:
            raise NonFiniteError(
                f"the loss or a gradient was not finite in {loop_state.skipped_in_a_row} steps in a row, up to step "
                f"{step}, all of which were left out; a lower optimizer.learning_rate would help"
            )


def _line(epoch: int, config: LoopConfig, metrics: Mapping[str, Mapping[str, float]]) -> str:
    parts = [f"epoch {epoch}/{config.num_epochs}"]
    first = 0 if config.evaluates_start else 1
    for split, figures in metrics.items():
        if "loss" in figures:
            parts.append(f"{split} loss {figures['loss']:.4f} accuracy {figures['accuracy']:.2%}")
        if split == "validation" and epoch == first and config.majority_share is not None:
            parts[-1] += f" (always the most frequent class: {config.majority_share:.2%})"
        if config.metric.removeprefix("validation_") == "balanced_accuracy" and "balanced_accuracy" in figures:
            parts[-1] += f" balanced {figures['balanced_accuracy']:.2%}"
    training = metrics.get("train", {})
    if "skipped_steps" in training:
        parts.append(f"{training['skipped_steps']} steps left out")
    if "learning_rate" in training:
        parts.append(f"learning rate {training['learning_rate']:.3g}")
    return "  ".join(parts)
