"""A worker on a sweep: it claims trials, watches their processes, and writes down how they end."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import optuna

from cnn_jax.cli.progress import progress_bar, stamped, stream
from cnn_jax.cli.signals import Shutdown, SweepStopSignals
from cnn_jax.errors import Interrupted, SaveError
from cnn_jax.runs.directory import write_json
from cnn_jax.tuning.sweeps import file as sweep_file
from cnn_jax.tuning.sweeps import table as sweep_table
from cnn_jax.tuning.sweeps.agent_command import is_own_program
from cnn_jax.tuning.sweeps.database import reason
from cnn_jax.tuning.sweeps.directory import best_of
from cnn_jax.tuning.sweeps.store import Claim, Store
from cnn_jax.tuning.sweeps.trial_process import TrialProcess, final_metric, metric_by_epoch, trial_environment
from cnn_jax.tuning.sweeps.types import Sweep

_SECONDS_BETWEEN_LOOKS = 0.05
_SECONDS_BETWEEN_QUESTIONS = 1.0  # to a storage that had no trial to give


class _Running(NamedTuple):
    claim: Claim
    process: TrialProcess


class Worker:
    """Runs what is left of a sweep, `jobs` trials at a time.

    Args:
      sweep: the sweep.
      store: where trials are claimed and told.
      pruner: says which trials are stopped early; None: none is.
      folder: the sweep's directory.
      book: the content of its `sweep.json`.
      total: trials with numbers below it are run.
      jobs: the most trials at once.
      shutdown: is told that trials have to save before this process may end.
    """

    def __init__(
        self, sweep: Sweep, store: Store, pruner: optuna.pruners.BasePruner | None, folder: Path,
        book: Mapping[str, Any], total: int, jobs: int, shutdown: Shutdown,
    ):  # fmt: skip
        self._sweep, self._store, self._pruner, self._folder, self._book = sweep, store, pruner, folder, book
        self._total, self._jobs, self._shutdown = total, jobs, shutdown
        self._running: list[_Running] = []
        self._began = self._counted = 0
        self._ask_from = 0.0

    def run(self) -> int:
        """Returns how many trials were begun or taken up here.

        Raises:
          Interrupted: a signal came; the trials that ran here have saved what they had.
          SaveError: the storage or the disk takes no more; the same.
        """
        self._counted = self._done(self._store.rows())
        with (
            self._shutdown.close_services(),
            SweepStopSignals() as signals,
            progress_bar(self._total, "sweep", "trial", initial=self._counted) as self._bar,
        ):
            try:
                self._note()
                self._work(signals)
            except (optuna.exceptions.StorageInternalError, OSError) as error:
                count = self._stop_all()
                raise SaveError(
                    f"the sweep cannot save what it makes ({reason(error)}); the {count} trials that ran are saved as "
                    f"far as they came; the same command goes on when this is mended"
                ) from error
            finally:
                self._stop_all()
        return self._began

    def _work(self, signals: SweepStopSignals) -> None:
        waited = False
        while signals.received is None:
            self._start_more()
            if not self._running and time.monotonic() < self._ask_from:  # there was none to be had
                if not self._store.running_here(self._total):
                    return
                if not waited:
                    self._say("waiting for trials that other processes run in this directory")
                waited = True
            self._look()
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        count = self._stop_all()
        self._note()
        raise Interrupted(f"stopped; {count} running trial{'s' * (count != 1)} saved and ended", signals.received)

    def _start_more(self) -> None:
        while len(self._running) < self._jobs and time.monotonic() >= self._ask_from:
            claim = self._store.claim(self._total)
            if claim is None:
                self._ask_from = time.monotonic() + _SECONDS_BETWEEN_QUESTIONS
                return
            self._began += 1
            self._begin(claim)

    def _begin(self, claim: Claim) -> None:
        workdir = self._folder / "trials" / f"{claim.number:04}"
        if (workdir / "summary.json").exists():  # a worker was killed between the trial's end and its entry
            self._tell(claim, workdir)
            return
        words = sweep_file.command(self._sweep, claim.values, sys.executable, workdir.with_suffix(".json"))
        try:
            process = TrialProcess.start(words, workdir, claim.lock, trial_environment(self._jobs))
        except OSError as error:
            if error.filename != words[0]:  # a full disk would make all trials fail, one after the other
                raise
            self._enter(claim, error=f"{error.filename}: {error.strerror}")
            return
        self._running.append(_Running(claim, process))

    def _look(self) -> None:
        for running in list(self._running):
            ended = running.process.ended()  # before its metrics are read, so that none is missed
            self._report(running)
            if ended:
                self._conclude(running)
                self._running.remove(running)

    def _report(self, running: _Running) -> None:
        claim, process, metric = running.claim, running.process, self._sweep.metric
        if not process.has_logged():
            return
        for epoch, value in metric_by_epoch(process.workdir, metric.name, metric.goal).items():
            if epoch not in claim.reported:
                self._store.report(claim, epoch, value)
                if self._pruner is not None and not process.pruned and self._store.prunes(self._pruner, claim):
                    process.pruned = True
                    process.stop()

    def _conclude(self, running: _Running) -> None:
        claim, process = running
        if process.process.returncode == 0:
            self._tell(claim, process.workdir)
        elif process.pruned:
            self._enter(claim)
        elif process.process.returncode == SaveError.exit_status and is_own_program(self._sweep.program):  # the same
            raise OSError(f"trial {claim.number:04}: {process.error()}")
        else:
            self._enter(claim, error=process.error())

    def _tell(self, claim: Claim, workdir: Path) -> None:
        try:
            value = final_metric(workdir, self._sweep.metric.name)
        except ValueError as error:
            self._enter(claim, error=str(error))
            return
        self._enter(claim, value)

    def _enter(self, claim: Claim, value: float | None = None, error: str | None = None) -> None:
        self._store.finish(claim, value, error)
        row = next(row for row in self._note() if row["number"] == claim.number)
        self._say(sweep_table.one_line(self._sweep, row))

    def _note(self) -> list[dict[str, Any]]:
        """Writes `sweep.json` and moves the bar; returns all trials."""
        with self._store.lock():
            rows = self._store.rows()
            best = best_of(rows, self._sweep.metric.goal)
            settings = sweep_table.settings_with_seeds(self._sweep, rows)
            found = {"trials": rows, "best": best, **({"over_seeds": settings} if settings else {})}
            try:
                write_json(self._folder / "sweep.json", {**self._book, **found})
            except OSError as error:  # the storage has it all
                self._say(f"{self._folder / 'sweep.json'}: it cannot be written ({error.strerror})")
        done = self._done(rows)
        self._bar.update(done - self._counted)
        self._counted = done
        if best is not None:
            self._bar.set_postfix(best=f"{best['value']:.4f}", refresh=False)
        return rows

    def _done(self, rows: list[dict[str, Any]]) -> int:
        return sum(row["state"] != "running" and row["number"] < self._total for row in rows)

    def _say(self, line: str) -> None:
        self._bar.write(stamped(line), file=stream())

    def _stop_all(self) -> int:
        """Asks all trials to save and end, waits, and leaves them to be taken up again; how many there were."""
        for running in self._running:
            running.process.stop()
        for running in self._running:
            running.process.process.wait()
            running.claim.lock.release(done=False)
        count, self._running = len(self._running), []
        return count
