"""Runs that are stopped, killed and compared."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from cnn_jax.experiment import fitting as experiment_module
from cnn_jax.experiment.fitting import build, initial_state
from cnn_jax.runs.checkpoints import open_checkpoints
from tests.support.helpers import ROOT, read_json, without_timings


def final_state(workdir: Path, config: Any) -> Any:
    with open_checkpoints(workdir / "checkpoints") as checkpoints:
        last = checkpoints.last()
        assert last is not None
        return checkpoints.restore(last, initial_state(build(config)))


def assert_same_run(first: Path, second: Path, config: Any) -> None:
    """Summary, log and every array of the last checkpoint, to the bit."""
    assert without_timings(read_json(first / "summary.json")) == without_timings(read_json(second / "summary.json"))
    assert (first / "metrics.jsonl").read_text() == (second / "metrics.jsonl").read_text()
    assert jax.tree.all(jax.tree.map(np.array_equal, final_state(first, config), final_state(second, config)))


def signal_at(monkeypatch: pytest.MonkeyPatch, call: int, which: int, number: int = signal.SIGINT) -> None:
    """Makes the process receive a signal in the given call of its training (0) or evaluation (1) program."""
    name = ("make_training", "make_evaluation")[which]
    original = getattr(experiment_module, name)

    def make(experiment: Any) -> Any:
        made, count = original(experiment), 0
        program = made[0] if which == 0 else made

        def counted(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count == call:
                signal.raise_signal(number)
            return program(*arguments)

        return (counted, made[1]) if which == 0 else counted

    monkeypatch.setattr(experiment_module, name, make)


def at_call(monkeypatch: pytest.MonkeyPatch, actions: dict[int, Callable[[], Any]]) -> None:
    """Does something before the given calls (1, 2, ...) of the training program."""
    original = experiment_module.make_training

    def make(experiment: Any) -> Any:
        program, feed = original(experiment)
        count = 0

        def counted(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            actions.get(count, lambda: None)()
            return program(*arguments)

        return counted, feed

    monkeypatch.setattr(experiment_module, "make_training", make)


def started(config: Path, workdir: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "scripts/train.py"), f"--config={config}", f"--workdir={workdir}"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
