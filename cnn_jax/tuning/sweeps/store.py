"""The trials of a sweep in a storage of Optuna, shared by any number of workers. Import it where Optuna is installed.

A trial is made WAITING and claimed by making it RUNNING, which a database lets one worker do; SQLite cannot promise
that, so whoever asks there holds a lock beside the file. Who runs a trial holds its lock in the sweep's directory
(`TrialLock`): a RUNNING trial of this directory whose lock is free was left by a worker that is gone, and is taken up
again as it is: the same number, parameters and run directory.
"""

import contextlib
import math
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from cnn_jax.errors import InputError
from cnn_jax.tuning.search.sampler import SweepSampler, worth
from cnn_jax.tuning.sweeps.database import open_storage, reason, shown_url, sqlite_file
from cnn_jax.tuning.sweeps.directory import differences
from cnn_jax.tuning.sweeps.locks import TrialLock, held
from cnn_jax.tuning.sweeps.types import Sweep

_STATES = {
    TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}  # fmt: skip


class Claim(NamedTuple):
    """A trial that this process runs now."""

    trial: optuna.trial.Trial
    number: int
    values: Mapping[str, Any]
    lock: TrialLock
    reported: set[int]  # epochs whose metric the storage has


class Store:
    """One sweep's study.

    Args:
      sweep: the sweep.
      seed: of its draws.
      folder: its directory here; `trials` and the lock live in it.
      identity: of this directory among all that share the storage.
      url: of the storage; None is `sweep.db` in the directory.
      study: its name in the storage.
      described: what must be the same for all workers of the study.

    Raises:
      InputError: the storage cannot be opened, or its study of this name is another sweep.
    """

    def __init__(
        self, sweep: Sweep, seed: int, folder: Path, identity: str, url: str | None, study: str,
        described: Mapping[str, Any],
    ):  # fmt: skip
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._folder, self._identity, self._metric = folder, identity, sweep.metric
        self.sampler = SweepSampler(sweep, seed)
        self._lock_files = [folder / "sweep.lock"]
        if url is not None and (database := sqlite_file(url)) is not None:
            self._lock_files.append(database.with_name(database.name + ".lock"))
        new_locks = [path for path in self._lock_files if not path.exists()]
        shown = shown_url(url) if url else f"sqlite:///{folder / 'sweep.db'}"
        try:
            with contextlib.ExitStack() as opened, self.lock():
                storage = open_storage(url or f"sqlite:///{(folder / 'sweep.db').absolute()}")
                self._storage = opened.enter_context(storage)
                self.study = optuna.create_study(
                    storage=self._storage, study_name=study, sampler=self.sampler, pruner=optuna.pruners.NopPruner(),
                    direction=optuna.study.StudyDirection[sweep.metric.goal.upper()], load_if_exists=True,
                )  # fmt: skip
                self._study_id = self._storage.get_study_id_from_name(study)
                self._agree(study, shown, described)
                self._opened = opened.pop_all()
        except (InputError, optuna.exceptions.StorageInternalError, OSError) as error:
            for path in new_locks:
                path.unlink(missing_ok=True)
            if isinstance(error, InputError):
                raise
            raise InputError(f"--storage={shown}: it cannot be written ({reason(error)})") from error

    def close(self) -> None:
        """Ends the connections to the storage."""
        self._opened.close()

    def _agree(self, study: str, shown: str, described: Mapping[str, Any]) -> None:
        """Writes into a new study what it is about; refuses one that is about something else."""
        before = self.study.user_attrs.get("sweep")
        if before is None and self.study.get_trials(deepcopy=False):
            raise InputError(f"--storage={shown}: its study '{study}' is no sweep; give this one another `name`")
        if before is None:
            self.study.set_user_attr("sweep", dict(described))
        elif different := differences(before, described):
            raise InputError(
                f"--storage={shown}: its study '{study}' is another sweep ({different}); give this one another `name`"
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Held for a moment: while a trial is claimed or the sweep's files are written."""
        with contextlib.ExitStack() as stack:
            for path in self._lock_files:
                stack.enter_context(held(path))
            yield

    def trials(self) -> list[FrozenTrial]:
        """All that were begun, by number."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]

    def claim(self, total: int) -> Claim | None:
        """A trial with a number below `total` to run here; None where there is none to be had now.

        Once the metric's target is reached, only those that were left behind are run.
        """
        with self.lock():
            trials = self.study.get_trials(deepcopy=False)
            if claim := self._left_behind(trials[:total]):
                return claim
            return None if any(map(self.reached, trials)) else self._new(trials, total)

    def reached(self, trial: FrozenTrial) -> bool:
        """Whether a trial has finished with the metric's target."""
        return trial.state == TrialState.COMPLETE and self._metric.reached(trial.value)

    def report(self, claim: Claim, epoch: int, value: float) -> None:
        """Tells the metric of an epoch, once."""
        if epoch not in claim.reported:
            claim.reported.add(epoch)
            claim.trial.report(value, epoch)

    def prunes(self, pruner: optuna.pruners.BasePruner, claim: Claim) -> bool:
        """Whether a pruner would stop the trial after what it has reported."""
        return bool(pruner.prune(self.study, self._storage.get_trial(self._id(claim.number))))

    def finish(self, claim: Claim, value: float | None = None, error: str | None = None) -> None:
        """Enters how a trial ended: with a value, with an error, or else pruned."""
        if error is not None:
            claim.trial.set_user_attr("error", error)
        state = TrialState.FAIL if error is not None else TrialState.PRUNED if value is None else TrialState.COMPLETE
        self.study.tell(claim.trial, value, state=state)
        claim.lock.release(done=True)

    def rows(self) -> list[dict[str, Any]]:
        """All trials that were begun, as plain data."""
        return [self._row(trial) for trial in self.trials()]

    def _row(self, trial: FrozenTrial) -> dict[str, Any]:
        value, worker = worth(trial), trial.user_attrs.get("worker", {})
        workdir = f"trials/{trial.number:04}"
        return {
            "number": trial.number,
            "state": _STATES[trial.state],
            "params": self.sampler.values(trial.params),
            "value": value if math.isfinite(value) else None,
            "error": trial.user_attrs.get("error") if trial.state == TrialState.FAIL else None,
            "workdir": workdir if self._mine(trial) else f"{worker['folder']}/{workdir}",
            "host": worker.get("host"),
            "seconds": None if trial.duration is None else round(trial.duration.total_seconds(), 1),
        }

    def running_here(self, total: int) -> bool:
        """Whether another process runs a trial in this directory."""
        return any(
            trial.state == TrialState.RUNNING and self._lock_file(trial.number).exists() and self._mine(trial)
            for trial in self.trials()[:total]
        )

    def _left_behind(self, trials: Sequence[FrozenTrial]) -> Claim | None:
        for trial in trials:
            path = self._lock_file(trial.number)
            if trial.state != TrialState.RUNNING or not path.exists() or not self._mine(trial):
                continue
            if (lock := TrialLock.take(path)) is None:
                continue
            now = self._storage.get_trial(self._id(trial.number))
            if now.state == TrialState.RUNNING:
                return self._claimed(trial.number, lock, set(now.intermediate_values))
            lock.release(done=True)
        return None

    def _new(self, trials: Sequence[FrozenTrial], total: int) -> Claim | None:
        while True:
            waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING and trial.number < total]
            for number in waiting:
                lock = TrialLock.take(self._lock_file(number))
                if lock is None:
                    continue
                if self._storage.set_trial_state_values(self._id(number), state=TrialState.RUNNING):
                    return self._claimed(number, lock, set())
                lock.release(done=True)
            if waiting or len(trials) >= total:
                return None
            self.study.enqueue_trial({})
            trials = self.study.get_trials(deepcopy=False)

    def _claimed(self, number: int, lock: TrialLock, reported: set[int]) -> Claim:
        trial = optuna.trial.Trial(self.study, self._id(number))
        here = {"directory": self._identity, "folder": str(self._folder.absolute()), "host": socket.gethostname()}
        if trial.user_attrs.get("worker") != here:
            trial.set_user_attr("worker", here)
        for name, distribution in self.sampler.stored.items():  # one that was taken up again has them already
            if isinstance(distribution, CategoricalDistribution):
                trial.suggest_categorical(name, distribution.choices)
            elif isinstance(distribution, IntDistribution):
                trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
            else:
                trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)  # type: ignore[attr-defined]
        return Claim(trial, number, self.sampler.values(trial.params), lock, reported)

    def _mine(self, trial: FrozenTrial) -> bool:
        return trial.user_attrs.get("worker", {}).get("directory", self._identity) == self._identity

    def _lock_file(self, number: int) -> Path:
        return self._folder / "trials" / f"{number:04}.lock"

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
