"""The runs of a repeat as processes, several at once: each is started, watched, and stopped with this one."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cnn_jax.cli.programs import names_in
from cnn_jax.cli.progress import progress_bar, stamped, stream
from cnn_jax.cli.signals import Shutdown, SweepStopSignals
from cnn_jax.errors import InputError, Interrupted, SaveError
from cnn_jax.tuning.sweeps.locks import TrialLock
from cnn_jax.tuning.sweeps.trial_process import TrialProcess, trial_environment

_SECONDS_BETWEEN_LOOKS = 0.05


class _Running(NamedTuple):
    name: str
    process: TrialProcess
    lock: TrialLock


class Runs:
    """Runs that are to be finished in a folder, `jobs` at a time; several processes may work on them.

    Args:
      folder: of their run directories.
      commands: {run directory: its command, without --workdir}.
      is_finished: of a run directory's name, whether there is nothing to do any more.
      jobs: the most at once.
      after_each: is called with a run's name when it has ended.
    """

    def __init__(
        self, folder: Path, commands: Mapping[str, Sequence[str]], is_finished: Callable[[str], bool], jobs: int,
        after_each: Callable[[str], str],
    ):  # fmt: skip
        self._folder, self._commands, self._is_finished = folder, commands, is_finished
        self._jobs, self._after_each = jobs, after_each
        self._running: list[_Running] = []
        self.errors: dict[str, str] = {}

    def run(self, shutdown: Shutdown) -> None:
        """Returns when each run is finished or, in `errors`, failed.

        Raises:
          InputError: a run refused what it was given, as all others would; nothing of it is left behind.
          Interrupted: a signal came; the runs have saved what they had.
          SaveError: the disk takes no more; the same.
        """
        self._waiting = [name for name in self._commands if not self._is_finished(name)]
        total = len(self._commands)
        with (
            shutdown.close_services(),
            SweepStopSignals() as signals,
            progress_bar(total, "repeat", "run", initial=total - len(self._waiting)) as self._bar,
        ):
            try:
                self._work(signals)
            finally:
                count = self._stop_all()
        if signals.received is not None:
            raise Interrupted(f"stopped; {count} running run{'s' * (count != 1)} saved and ended", signals.received)

    def _work(self, signals: SweepStopSignals) -> None:
        said = False
        while signals.received is None and (self._waiting or self._running):
            self._start_more()
            if not self._running and self._waiting and not said:
                self._say(f"waiting for another process that has {self._waiting[0]}")
                said = True
            self._look()
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _say(self, line: str) -> None:
        self._bar.write(stamped(line), file=stream())

    def _start_more(self) -> None:
        for name in list(self._waiting):
            if len(self._running) >= self._jobs:
                return
            lock = TrialLock.take(self._folder / f"{name}.lock")
            if lock is None:  # another process has it, or one that was left behind still saves
                continue
            self._waiting.remove(name)
            if self._is_finished(name):  # by another process, in the meantime
                lock.release(done=True)
                self._ended(name)
                continue
            environment = trial_environment(self._jobs)
            process = TrialProcess.start(self._commands[name], self._folder / name, lock, environment)
            self._running.append(_Running(name, process, lock))

    def _look(self) -> None:
        for running in [one for one in self._running if one.process.ended()]:
            status = running.process.process.returncode
            error = running.process.error() if status else None
            self._running.remove(running)
            running.lock.release(done=True)
            if status == InputError.exit_status:
                self._forget(running)
                raise InputError(_without_program(str(error), running.process.command))
            if status == SaveError.exit_status:
                raise SaveError(f"{running.name}: {_without_program(str(error), running.process.command)}")
            if error is not None:
                self.errors[running.name] = error
            self._ended(running.name)

    def _ended(self, name: str) -> None:
        self._bar.update(1)
        self._say(self._after_each(name))

    def _forget(self, running: _Running) -> None:
        """A log of a run that never was."""
        if not running.process.workdir.exists():
            running.process.log.unlink(missing_ok=True)

    def _stop_all(self) -> int:
        for running in self._running:
            running.process.stop()
        for running in self._running:
            running.process.process.wait()
            running.lock.release(done=True)
            self._forget(running)
        count, self._running = len(self._running), []
        return count


def _without_program(error: str, words: Sequence[str]) -> str:
    for name in names_in(words):
        error = error.removeprefix(f"{name}: ")
    return error
