"""Whole runs: stopping them at any moment, by a signal or a kill, changes nothing."""

import re
import signal
from pathlib import Path

import pytest

from cnn_jax.errors import InputError, Interrupted
from cnn_jax.experiment.fitting import fit
from cnn_jax.inference.run import load_run
from tests.support.helpers import ROOT, script, tiny_config
from tests.support.runs import assert_same_run, signal_at, started, wait_for

STEPS = 10  # an epoch of 1,294 digits in batches of 128


@pytest.mark.parametrize(
    ("call", "number"),
    [*((call, signal.SIGINT) for call in (1, 6, STEPS, STEPS + 1, 2 * STEPS)), (6, signal.SIGTERM)],
)
def test_a_signal_at_any_step_changes_nothing(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, number: int
) -> None:
    with monkeypatch.context() as patch:
        signal_at(patch, call, which=0, number=number)
        with pytest.raises(Interrupted, match="everything is saved") as caught:
            fit(tiny_config(), tmp_path / "run")
    assert caught.value.exit_status == 128 + number
    assert not (tmp_path / "run/summary.json").exists()
    fit(tiny_config(), tmp_path / "run")
    assert_same_run(reference, tmp_path / "run", tiny_config())


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_signal_in_an_evaluation_changes_nothing(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Call 1 is for the compiler; calls 2 and 3 evaluate validation data, the fourth one the test split."""
    with monkeypatch.context() as patch:
        signal_at(patch, call, which=1)
        with pytest.raises(Interrupted, match="everything is saved"):
            fit(tiny_config(), tmp_path / "run")
    fit(tiny_config(), tmp_path / "run")
    assert_same_run(reference, tmp_path / "run", tiny_config())


def test_a_run_stopped_again_and_again(reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stops = 0
    while not (tmp_path / "run/summary.json").exists():
        with monkeypatch.context() as patch:
            signal_at(patch, 4, which=0)
            try:
                fit(tiny_config(), tmp_path / "run")
            except Interrupted:
                stops += 1
    assert stops == 5
    assert_same_run(reference, tmp_path / "run", tiny_config())


TINY_FILE = """
import sys
sys.path.insert(0, {root!r})
from tests.support.helpers import tiny_config
def get_config():
    return tiny_config(num_epochs={epochs})
"""


def tiny_file(folder: Path, epochs: int = 4) -> Path:
    path = folder / "tiny.py"
    path.write_text(TINY_FILE.format(root=str(ROOT), epochs=epochs))
    return path


@pytest.mark.slow
def test_kill_and_interrupt_from_outside(tmp_path: Path) -> None:
    config = tiny_file(tmp_path)
    whole = script("train.py", f"--config={config}", f"--workdir={tmp_path / 'whole'}")
    assert whole.returncode == 0, whole.stderr
    assert "test accuracy" in whole.stdout
    assert whole.stdout.splitlines()[-1] == f"run directory: {tmp_path / 'whole'}"
    workdir = tmp_path / "killed"
    log = workdir / "metrics.jsonl"
    for lines in (0, 4):
        process = started(config, workdir)
        wait_for(lambda lines=lines: log.exists() and log.read_text().count("\n") >= lines, process)  # type: ignore[misc]
        process.kill()
        process.communicate()
    (workdir / "environment.json").unlink()
    process = started(config, workdir)
    wait_for((workdir / "environment.json").exists, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    if process.returncode != 0:  # unless it was quick enough to finish
        assert process.returncode == 130, errors
        assert re.search(r"To go on: \S*python\S* \S*train\.py ", errors)
        assert str(workdir) in errors
        assert "Traceback" not in errors
    again = script("train.py", f"--config={config}", f"--workdir={workdir}")
    assert again.returncode == 0, again.stderr
    assert_same_run(tmp_path / "whole", workdir, tiny_config(num_epochs=4))


def test_a_kill_at_the_very_start_can_be_taken_up(reference: Path, tmp_path: Path) -> None:
    (tmp_path / "config.tmp").write_text('{"se')
    fit(tiny_config(), tmp_path)
    assert_same_run(reference, tmp_path, tiny_config())


def test_a_run_without_a_finished_epoch_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signal_at(monkeypatch, 3, which=0)
    with pytest.raises(Interrupted):
        fit(tiny_config(), tmp_path / "run")
    with pytest.raises(InputError, match="no epoch has been finished here yet"):
        load_run(tmp_path / "run")
