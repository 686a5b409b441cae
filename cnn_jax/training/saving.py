"""When and how a run is saved: never anything that is not finite, and never at the price of an older checkpoint."""

import contextlib
import dataclasses
import math
import re
from typing import Any

import jax
import numpy as np

from cnn_jax.cli import stopping
from cnn_jax.cli.progress import announce
from cnn_jax.errors import NonFiniteError, SaveError
from cnn_jax.runs.checkpoints import Checkpoints
from cnn_jax.training.plan import Plan, Progress
from cnn_jax.training.state import TrainState

_MOST_FAILURES = 3


class Saver:
    """Saves states with `progress`, one at a time, beside training.

    A failure is said and training goes on: `progress.best` then is again what the newest whole checkpoint has for it.
    On several hosts it ends the run: what one of them could not write, the others may have written.
    """

    def __init__(self, checkpoints: Checkpoints, progress: Progress, plan: Plan):
        self._checkpoints, self._progress, self._plan = checkpoints, progress, plan
        self._whole = self._latest = (checkpoints.last(), progress.epoch)  # (step, epochs that are finished)
        self._best = self._latest_best = progress.best
        self._saving = False
        self._lost: dict[str, Any] | None = None
        self._failures = 0
        self._tried = plan.wall_seconds()
        stopping.unsaved.clear()

    def next_stop(self, step: int) -> int:
        """The first step after this one at which a checkpoint is due by epochs or steps; else the end of the run."""
        if self._plan.checkpoint_unit == "minutes":
            return self._plan.total_steps
        period = self._period()
        return math.ceil((math.floor(step / period) + 1) * period)

    def due(self, before: int, after: int) -> bool:
        """Whether a checkpoint is due by epochs or steps when so many steps are made."""
        return after >= self.next_stop(before)

    def due_by_clock(self) -> bool:
        return (
            self._plan.checkpoint_unit == "minutes"
            and self._plan.wall_seconds() - self._tried >= 60 * self._plan.checkpoint_every
        )

    def save(self, state: TrainState) -> None:
        """Starts saving the state, unless it is there already.

        Raises:
          NonFiniteError: a parameter is NaN or infinite.
          SaveError: this was the third failure in a row.
        """
        self.settle()
        self._tried = self._plan.wall_seconds()
        position = (int(state.step), self._progress.epoch)
        if position == self._whole:
            return
        if not _all_finite(state.variables):
            check_finite(math.nan, "a parameter", int(state.step) - 1, state, self._plan)
        if position == self._latest and self._lost is not None:
            self._progress.best = self._lost  # it was not saved, and now will be
        self._progress.wall_seconds = self._plan.wall_seconds()
        self._latest, self._latest_best, self._saving = position, self._progress.best, True
        try:
            self._checkpoints.save(int(state.step), state, dataclasses.asdict(self._progress), self._plan.config)
        except Exception as error:
            self._failed(error)

    def poll(self) -> None:
        """Settles what is done, without waiting."""
        if self._saving and jax.process_count() == 1 and not self._checkpoints.saving():
            self.settle()

    def settle(self, then: str = "training goes on") -> None:
        """Waits for what is being saved; raises SaveError at the third failure in a row."""
        if not self._saving:
            return
        try:
            self._checkpoints.wait()
        except Exception as error:
            self._failed(error, then)
            return
        self._saving = False
        self._failures = 0
        self._whole, self._best, self._lost = self._latest, self._latest_best, None

    def finish(self, state: TrainState) -> None:
        """Saves the state and waits. Raises SaveError where that is not possible."""
        self.settle("once more")
        self.save(state)
        self.settle("that is the end of it")
        if self._whole != (int(state.step), self._progress.epoch):
            raise SaveError(
                f"the last steps could not be saved: {self._kept()}; make room, or make the folder writable, and run "
                f"the same command again"
            )
        stopping.unsaved.clear()

    def _failed(self, error: Exception, then: str = "training goes on") -> None:
        self._saving = False
        with contextlib.suppress(Exception):  # the same failure, told once by each of Orbax's threads
            self._checkpoints.wait()
        self._failures += 1
        step = self._latest[0]
        if self._progress.best is not None and self._progress.best["step"] == step:
            self._lost, self._progress.best = self._progress.best, self._best
        said = f"the checkpoint of step {step} could not be saved ({_reason(error)}); {self._kept()}"
        if jax.process_count() > 1:  # the others are within Orbax, or past it, and cannot be told
            raise SaveError(f"{said}; make room, and run the same command again on all hosts") from error
        if self._failures >= _MOST_FAILURES:
            raise SaveError(
                f"{said}; this was the third failure in a row: make room, or make the folder writable, and run the "
                f"same command again"
            ) from error
        announce(f"{said}; {then}")

    def _kept(self) -> str:
        whole = self._whole[0]
        return "there is no older one" if whole is None else f"that of step {whole} is kept"

    def _period(self) -> float:
        per_unit = self._plan.steps_per_epoch if self._plan.checkpoint_unit == "epochs" else 1
        return max(1.0, self._plan.checkpoint_every * per_unit)


def check_finite(loss: float, what: str, step: int, state: TrainState, plan: Plan) -> None:
    if not math.isfinite(loss):
        rate = plan.learning_rate(step, state)
        raise NonFiniteError(
            f"{what} became {loss} at step {step}, where the learning rate was {rate:.4g}; a lower "
            f"optimizer.learning_rate, a warm-up or optimizer.clip_norm would help"
        )


def _all_finite(tree: Any) -> bool:
    """The loss of a step is that of the parameters before it; what is saved must be good after it too.

    On the host, which gets the arrays now anyway: nothing has to be compiled when there is little time left.
    """
    return all(np.isfinite(leaf).all() for leaf in jax.device_get(jax.tree.leaves(tree)))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    told = re.search(r"\[OS error \d+: (?:E[A-Z]+ )?([^\]]+)\]", text)
    return told.group(1) if told else text[:160]
