"""Which trials are stopped early."""

import signal
from pathlib import Path

import optuna
import pytest
from helpers import read_json
from sweeps import GRID, run, write

from cnn_jax.tuning.pruning import make_pruner
from cnn_jax.tuning.sweep_file import read_sweep


def test_pruning_stops_bad_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second and third trial are worse than the first at epoch 1, the fourth is better."""
    monkeypatch.setenv("FAKE_PAUSE", "0.15")
    path = write(
        tmp_path, {"config.x": {"values": [1, 0, -1, 2]}}, early_terminate={"type": "hyperband", "min_iter": 1}
    )
    run(path, tmp_path / "run")
    rows = read_json(tmp_path / "run/sweep.json")["trials"]
    assert [row["state"] for row in rows] == ["finished", "pruned", "pruned", "finished"]
    for number in ("0001", "0002"):
        assert (tmp_path / "run/trials" / number / "stopped").read_text() == str(int(signal.SIGTERM))
        assert not (tmp_path / "run/trials" / number / "summary.json").exists()


def test_rules_of_pruning(tmp_path: Path) -> None:
    with_file = read_sweep(write(tmp_path, GRID, early_terminate={"type": "hyperband", "max_iter": 27, "s": 2}))
    without = read_sweep(write(tmp_path, GRID))
    assert make_pruner(without, "file") is None
    assert make_pruner(with_file, "none") is None
    assert isinstance(make_pruner(without, "median"), optuna.pruners.MedianPruner)
    assert isinstance(make_pruner(without, "hyperband"), optuna.pruners.HyperbandPruner)
    study = optuna.create_study(pruner=make_pruner(with_file, "file"))
    for value in (0.1, 0.2):
        trial = study.ask()
        stopped = []
        for epoch in range(1, 28):
            trial.report(value, epoch)
            stopped.append(trial.should_prune())
        study.tell(trial, value)
    assert next(epoch for epoch, stop in enumerate(stopped, 1) if stop) == 3  # the second trial, at 27 / 3^2
