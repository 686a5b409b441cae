"""When and how a run is saved: never anything that is not finite, and never at the price of an older checkpoint."""

import contextlib
import dataclasses
import errno
import math
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax.cli.progress import announce
from cnn_jax.distributed import hosts
from cnn_jax.errors import NonFiniteError, SaveError
from cnn_jax.runs.checkpoints import Checkpoints
from cnn_jax.training.loop_state import LoopState
from cnn_jax.training.program import LoopConfig
from cnn_jax.training.state import TrainState

_MAX_FAILURES = 3
_NO_ROOM = 1 << 16  # bytes


class CheckpointSchedule:
    """When checkpoints are due.

    Calls of several steps may go beyond a step at which one is due; then it is due at the end of the call.
    """

    def __init__(self, config: LoopConfig):
        self._config = config

    def next_step(self, step: int) -> int:
        """The first step after this one at which a checkpoint is due by epochs or steps; else the end of the run."""
        if self._config.checkpoint_unit == "minutes":
            return self._config.total_steps
        per_unit = self._config.steps_per_epoch if self._config.checkpoint_unit == "epochs" else 1
        period = max(1.0, self._config.checkpoint_every * per_unit)
        return math.ceil((math.floor(step / period) + 1) * period)

    def is_due(self, before: int, after: int) -> bool:
        """Whether one is due by epochs or steps when the steps from `before` to `after` are made."""
        return after >= self.next_step(before)

    def is_due_by_clock(self, seconds: float) -> bool:
        """Whether one is due so many seconds after the last one was begun."""
        return self._config.checkpoint_unit == "minutes" and seconds >= 60 * self._config.checkpoint_every


class SavedPoint(NamedTuple):
    """A place in a run, and the best epoch so far as it was there."""

    step: int | None
    epoch: int
    best: dict[str, Any] | None

    def is_at(self, other: "SavedPoint") -> bool:
        return (self.step, self.epoch) == (other.step, other.epoch)


class Checkpointer:
    """Saves states with `loop_state`, one at a time, beside training.

    A failure is said and training goes on: `loop_state.best` then is again what the newest whole checkpoint has for it.
    On several hosts it ends the run: what one of them could not write, the others may have written.

    Args:
      wall_seconds: how long the run has taken by now, all its processes together.
      config: saved in every checkpoint.
      learning_rate: as in `Program`, for messages.
    """

    def __init__(
        self, checkpoints: Checkpoints, loop_state: LoopState, wall_seconds: Callable[[], float],
        config: Mapping[str, Any], learning_rate: Callable[[int, TrainState], float],
    ):  # fmt: skip
        self._checkpoints, self._loop_state, self._config = checkpoints, loop_state, config
        self._wall_seconds, self._learning_rate = wall_seconds, learning_rate
        self._whole = self._latest = SavedPoint(checkpoints.last(), loop_state.epoch, loop_state.best)
        self._saving = False
        self._failures = 0
        self._begun = wall_seconds()

    @property
    def seconds_since_save(self) -> float:
        """Since the last save was begun, or else the run."""
        return self._wall_seconds() - self._begun

    def save(self, state: TrainState) -> None:
        """Starts saving the state, unless it is there already.

        Raises:
          NonFiniteError: a parameter is NaN or infinite.
          SaveError: this was the third failure in a row.
        """
        self.settle()
        self._begun = self._wall_seconds()
        point = SavedPoint(int(state.step), self._loop_state.epoch, self._loop_state.best)
        if point.is_at(self._whole):
            return
        if not _all_finite(state.variables):
            check_finite(math.nan, "a parameter", int(state.step) - 1, state, self._learning_rate)
        if point.is_at(self._latest):  # it was not saved, and now will be, with the best that it had
            point = self._latest
            self._loop_state.best = point.best
        self._loop_state.wall_seconds = self._wall_seconds()
        self._latest, self._saving = point, True
        try:
            self._checkpoints.save(int(state.step), state, dataclasses.asdict(self._loop_state), self._config)
        except Exception as error:
            self._failed(error)

    def poll(self) -> None:
        """Settles what is done, without waiting."""
        if self._saving and hosts.count() == 1 and not self._checkpoints.saving():
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
        self._whole = self._latest

    def finish(self, state: TrainState) -> None:
        """Saves the state and waits. Raises SaveError where that is not possible."""
        self.settle("once more")
        self.save(state)
        self.settle("that is the end of it")
        if (self._whole.step, self._whole.epoch) != (int(state.step), self._loop_state.epoch):
            raise SaveError(
                f"the last steps could not be saved: {self._kept()}; make room, or make the folder writable, and run "
                f"the same command again"
            )

    def _failed(self, error: Exception, then: str = "training goes on") -> None:
        self._saving = False
        with contextlib.suppress(Exception):  # the same failure, told once by each of Orbax's threads
            self._checkpoints.wait()
        self._failures += 1
        step, best = self._latest.step, self._loop_state.best
        if best is not None and best["step"] == step:
            self._loop_state.best = self._whole.best
        message = f"the checkpoint of step {step} could not be saved ({_reason(error, self._checkpoints.folder)}); {self._kept()}"
        if hosts.count() > 1:  # the others are within Orbax, or past it, and cannot be told
            raise SaveError(f"{message}; make room, and run the same command again on all hosts") from error
        if self._failures >= _MAX_FAILURES:
            raise SaveError(
                f"{message}; this was the third failure in a row: make room, or make the folder writable, and run the "
                f"same command again"
            ) from error
        announce(f"{message}; {then}")

    def _kept(self) -> str:
        return "there is no older one" if self._whole.step is None else f"that of step {self._whole.step} is kept"


def check_finite(
    value: float, what: str, step: int, state: TrainState, learning_rate: Callable[[int, TrainState], float]
) -> None:
    """Raises NonFiniteError, with the step and its learning rate, if the value is NaN or infinite."""
    if not math.isfinite(value):
        rate = learning_rate(step, state)
        raise NonFiniteError(
            f"{what} became {value} at step {step}, where the learning rate was {rate:.4g}; a lower "
            f"optimizer.learning_rate, a warm-up or optimizer.clip_norm would help"
        )


def _all_finite(tree: Any) -> bool:
    """The loss of a step is that of the parameters before it; what is saved must be good after it too.

    On the host, which gets the arrays now anyway: nothing has to be compiled when there is little time left.
    """
    return all(np.isfinite(leaf).all() for leaf in jax.device_get(jax.tree.leaves(tree)))


def _reason(error: Exception, folder: Path) -> str:
    """What the system says of it; on a full disk whichever of Orbax's threads is first may say another thing."""
    if shutil.disk_usage(folder).free < _NO_ROOM:
        return os.strerror(errno.ENOSPC)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    match = re.search(r"\[OS error \d+: (?:E[A-Z]+ )?([^\]]+)\]", text)
    return match.group(1) if match else text[:160]
