"""One trial of a sweep as a process: its start, what it logs, and how it ended."""

import ctypes
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cnn_jax.cli.programs import names_in
from cnn_jax.runs.metrics_file import read_rows
from cnn_jax.tuning.sweeps.locks import TrialLock

_TAIL = 20_000  # bytes of a log in which the last error is looked for
_SECONDS_TO_SAVE = 120.0  # then a pruned trial is ended, saved or not


@dataclasses.dataclass
class TrialProcess:
    """A trial that runs.

    Attributes:
      workdir: its run directory.
      log: the file of what it prints, beside the run directory.
      began: where in the log this process's output begins.
      pruned: whether it was told to stop because it is not good enough.
    """

    process: subprocess.Popen[bytes]
    command: Sequence[str]
    workdir: Path
    log: Path
    began: int
    pruned: bool = False
    _deadline: float = math.inf
    _looked_at: tuple[int, int] = (0, 0)

    @classmethod
    def start(
        cls, command: Sequence[str], workdir: Path, lock: TrialLock, environment: Mapping[str, str]
    ) -> "TrialProcess":
        """Starts the command; raises OSError where there is no such program."""
        log = workdir.with_name(workdir.name + ".log")
        with open(log, "ab") as file:
            began = file.tell()
            process = subprocess.Popen(
                [*command, f"--workdir={workdir}"], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                env={**os.environ, **environment}, pass_fds=(lock.descriptor,), preexec_fn=_ends_with_parent(),
                start_new_session=True,  # a Ctrl-C is for the sweep, which then tells its trials, once
            )  # fmt: skip
            return cls(process, command, workdir, log, began)

    def stop(self) -> None:
        """Asks it to save and end, once."""
        if self.process.poll() is None and math.isinf(self._deadline):
            self.process.send_signal(signal.SIGTERM)
            self._deadline = time.monotonic() + _SECONDS_TO_SAVE

    def has_logged(self) -> bool:
        """Whether its metrics have changed since the last call: long files are not read twenty times a second."""
        try:
            now = (self.workdir / "metrics.jsonl").stat()
        except FileNotFoundError:
            return False
        before, self._looked_at = self._looked_at, (now.st_mtime_ns, now.st_size)
        return before != self._looked_at

    def ended(self) -> bool:
        if self.pruned and time.monotonic() > self._deadline:
            self.process.kill()
        return self.process.poll() is not None

    def error(self) -> str:
        """Why it failed, in one line: the last of its output that names a program or an exception, or the last."""
        status = self.process.returncode
        if status < 0:
            name = signal.Signals(-status).name
            return f"ended by {name}" + (" (by the system, for lack of memory?)" if name == "SIGKILL" else "")
        with open(self.log, "rb") as file:
            file.seek(max(self.began, self.log.stat().st_size - _TAIL))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        programs = tuple(f"{name}: " for name in names_in(self.command))
        said = [line for line in lines if programs and line.startswith(programs)]
        return (said or lines or [f"exit status {status}, and nothing said"])[-1]


def trial_environment(jobs: int) -> dict[str, str]:
    """Trials on one accelerator must share its memory, of which JAX would give the first one most."""
    if jobs == 1 or "XLA_PYTHON_CLIENT_PREALLOCATE" in os.environ:
        return {"PYTHONUNBUFFERED": "1"}  # what a trial says last is the last line of its log
    return {"PYTHONUNBUFFERED": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def metric_by_epoch(workdir: Path, metric: str, goal: str) -> dict[int, float]:
    """{epoch: value} of a metric of summary.json, as validation_accuracy, so far.

    Where averaged weights are evaluated too, the better of the two counts, as it does for the run's result.
    """
    split, _, name = metric.partition("_")
    better = max if goal == "maximize" else min
    found: dict[int, float] = {}
    for row in read_rows(workdir / "metrics.jsonl"):
        if row["split"] in (split, f"{split}_ema") and isinstance(row.get(name), int | float):
            epoch, value = int(row["epoch"]), float(row[name])
            found[epoch] = better(found[epoch], value) if epoch in found else value
    return found


def final_metric(workdir: Path, metric: str) -> float:
    """The metric in summary.json; raises ValueError that says in one line why there is none."""
    try:
        summary = json.loads((workdir / "summary.json").read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"it ended well, but its summary.json cannot be read ({error})") from error
    value = summary.get(metric) if isinstance(summary, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        there = ", ".join(key for key, one in summary.items() if isinstance(one, float)) or "no figure"
        raise ValueError(f"its summary.json has no {metric}; it has {there}")
    if not math.isfinite(value):
        raise ValueError(f"{metric} is {value}")
    return float(value)


def _ends_with_parent() -> Callable[[], None] | None:
    """On Linux: a trial gets SIGTERM when the sweep's process ends, however it ends; so it saves and stops."""
    if not sys.platform.startswith("linux"):
        return None
    library, parent = ctypes.CDLL(None, use_errno=True), os.getpid()
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)

    def prepare() -> None:
        library.prctl(set_parent_death_signal, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before this line
            os._exit(128 + signal.SIGTERM)

    return prepare
