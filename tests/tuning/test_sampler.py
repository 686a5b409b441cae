"""The methods of a sweep as a sampler of Optuna."""

from pathlib import Path

import optuna

from cnn_jax.tuning.search.sampler import SweepSampler
from cnn_jax.tuning.sweeps.file import read_sweep
from tests.support.helpers import read_json
from tests.support.sweeps import DRAWN, run, write


def test_bayes_repeats_with_one_job(tmp_path: Path) -> None:
    """The same trials from the sampler alone, which is told the same values."""
    path = write(tmp_path, DRAWN, method="bayes")
    run(path, tmp_path / "run", trials=6, seed=1)
    rows = read_json(tmp_path / "run/sweep.json")["trials"]
    sampler = SweepSampler(read_sweep(path), seed=1)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for row in rows:
        trial = study.ask(sampler.stored)
        assert sampler.values(trial.params) == row["params"]
        study.tell(trial, row["value"])
    assert len({repr(row["params"]) for row in rows}) == 6


def test_bayes_sees_pending_pruned_and_failed_trials(tmp_path: Path) -> None:
    """Failed trials at x > 1.5 and good pruned ones near 0.7 lead to proposals away from the former."""
    sweep = read_sweep(
        write(tmp_path, {"config.x": {"min": 0.0, "max": 3.0}, "config.z": {"value": {"a": [1]}}}, method="bayes")
    )
    sampler = SweepSampler(sweep, seed=0)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for x in (0.1, 0.5, 0.7, 0.9, 1.6, 2.0, 2.5, 2.9):
        study.enqueue_trial({"config.x": x})
        trial = study.ask(sampler.stored)
        assert sampler.values(trial.params) == {"config.x": x, "config.z": {"a": [1]}}
        if x > 1.5:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            trial.report(1 - (x - 0.7) ** 2, 1)
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    asked = [study.ask(sampler.stored).params["config.x"] for _ in range(3)]  # none of them is told
    assert all(x < 1.5 for x in asked)
    assert min(abs(a - b) for a in asked for b in asked if a is not b) > 1e-9


def test_categories_keep_their_types(tmp_path: Path) -> None:
    values = [1, True, "1", None, [1, 2], {"a": 0.5}, 1.5, "[1, 2]"]
    sweep = read_sweep(write(tmp_path, {"config.z": {"values": values}, "config.x": {"value": 1}}))
    sampler = SweepSampler(sweep, seed=0)
    study = optuna.create_study(sampler=sampler)
    found = [sampler.values(study.ask(sampler.stored).params)["config.z"] for _ in values]
    assert [repr(one) for one in found] == [repr(one) for one in values]
