"""Sweeps run here, with a program that takes no time in the place of training."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

from cnn_jax.errors import InputError, SaveError
from cnn_jax.tuning.search.draws import draw
from cnn_jax.tuning.sweeps.database import open_storage
from cnn_jax.tuning.sweeps.file import grid_point, read_sweep
from cnn_jax.tuning.sweeps.table import best_lines, over_seeds, settings_with_seeds
from tests.support.helpers import ROOT, read_json
from tests.support.sweeps import DRAWN, GRID, METRIC, PROGRAM, params, run, starts, write


def test_grid_is_enumerated_exactly(tmp_path: Path) -> None:
    path = write(tmp_path, GRID)
    outcome = run(path, tmp_path / "run", jobs=2)
    sweep = read_sweep(path)
    assert params(tmp_path / "run") == [grid_point(sweep, number) for number in range(6)]
    assert starts(tmp_path / "run") == {f"{number:04}": 1 for number in range(6)}
    assert outcome.status == 0
    book = read_json(tmp_path / "run/sweep.json")
    assert book["best"]["params"] == {"config.x": 2, "config.y": 0.5, "config.z": [1, 2]}
    assert book["best"]["value"] == pytest.approx(0.995)
    lines = outcome.lines.splitlines()
    assert lines[0].split() == ["trial", "validation_accuracy", "x", "y", "state"]
    assert lines[1].split() == ["0004", "0.9950", "2", "0.5", "finished"]
    assert "fake.py --config.x=2 --config.y=0.5 '--config.z=[1, 2]' --workdir=runs/best" in outcome.lines
    assert not (tmp_path / "run/summary.json").exists()
    assert not list((tmp_path / "run/trials").glob("*.lock"))

    again = run(path, tmp_path / "run")
    assert "nothing left to do" in again.lines
    assert starts(tmp_path / "run") == {f"{number:04}": 1 for number in range(6)}


def test_a_grid_over_seeds_has_mean_and_spread(tmp_path: Path) -> None:
    """`seed` stands last and y is what it stands for: values of one x differ by 0.005 and 0.01."""
    grid = {"config.x": {"values": [0, 2]}, "config.y": {"value": 0}, "config.seed": {"values": [0, 1, 2]}}
    rows = [
        {"number": i, "state": "finished", "value": 0.9 + x / 100 + seed / 200, "error": None,
         "params": {"config.x": x, "config.y": 0, "config.seed": seed}}
        for i, (x, seed) in enumerate((x, seed) for x in (0, 2) for seed in range(3))
    ]  # fmt: skip
    sweep = read_sweep(write(tmp_path, grid))
    lines = over_seeds(sweep, [*rows, rows[0] | {"number": 6, "state": "failed", "value": None}])
    assert lines[2].split()[:3] == ["seeds", "mean", "validation_accuracy"]
    assert lines[2].split()[-1] == "x"
    assert lines[3].split() == ["3", "0.9250", "0.0050", "0.9126", "to", "0.9374", "2"]
    assert lines[4].split() == ["3", "0.9050", "0.0050", "0.8926", "to", "0.9174", "0"]
    assert over_seeds(sweep, rows[::3]) == []


def test_the_best_of_a_grid_over_seeds(tmp_path: Path) -> None:
    """The setting with the best mean, not the luckiest trial, which is one of x = 0."""
    values = [(0, 0, 0.94), (0, 1, 1.0), (0, 2, 0.92), (2, 0, 0.97), (2, 1, 0.96), (2, 2, 0.98)]
    rows = [
        {
            "number": i,
            "state": "finished",
            "value": value,
            "error": None,
            "params": {"config.x": x, "config.seed": seed},
        }
        for i, (x, seed, value) in enumerate(values)
    ]
    sweep = read_sweep(
        write(tmp_path, {"config.x": {"values": [0, 2]}, "config.seed": {"values": [0, 1, 2]}}, "two.yaml")
    )
    lines = best_lines(sweep, rows, tmp_path).splitlines()
    assert lines[0].startswith(
        "best config by mean validation_accuracy: trials 0003, 0004, 0005: 0.9700 over 3 seeds (std 0.0100;"
    )
    assert lines[1].startswith("the next one, trials 0000, 0001, 0002, is 0.0167 behind, less than noise (Welch's t")
    assert lines[2] == "one run is luck: the best single one is trial 0001, validation_accuracy 1.0000"
    assert "--config.x=2" in lines[3]
    found = settings_with_seeds(sweep, rows)
    assert [(one["params"], one["trials"], one["seeds"]) for one in found] == [
        ({"config.x": 2}, [3, 4, 5], 3), ({"config.x": 0}, [0, 1, 2], 3),
    ]  # fmt: skip
    assert settings_with_seeds(sweep, rows[::3]) == []
    assert best_lines(sweep, rows[::3], tmp_path).startswith("best: trial 0003, validation_accuracy 0.9700\n")


def test_a_sweep_over_the_seed_alone(tmp_path: Path) -> None:
    """There is no best trial, only a luckiest one."""
    grid = {"config.x": {"value": 2}, "config.seed": {"values": [0, 1, 2]}}
    said = run(write(tmp_path, grid), tmp_path / "run", jobs=2).lines
    (one,) = json.loads((tmp_path / "run/sweep.json").read_text())["over_seeds"]
    assert (one["seeds"], one["trials"]) == (3, [0, 1, 2])
    assert f"mean validation_accuracy of this config: {one['mean']:.4f} over 3 seeds (std {one['std']:.4f};" in said
    assert "is the luckiest of its seeds, not a better config" in said
    assert "the same setting over its seeds" in said
    assert "best: trial" not in said


def test_a_sweep_has_a_place_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, {"config.x": {"value": 1}}, "one.yaml")
    result = subprocess.run(
        [sys.executable, str(ROOT / "scripts/sweep.py"), f"--sweep={path}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert params(tmp_path / "runs/one") == [{"config.x": 1}]


def test_random_trials_do_not_depend_on_jobs(tmp_path: Path) -> None:
    path = write(tmp_path, DRAWN, method="random")
    sweep = read_sweep(path)
    expected = [draw(sweep, 5, number) for number in range(5)]
    for jobs in (1, 2, 3):
        run(path, tmp_path / f"{jobs}", jobs=jobs, trials=3, seed=5)
        assert params(tmp_path / f"{jobs}") == expected[:3]
    run(path, tmp_path / "2", jobs=2, trials=5, seed=5)  # a larger sweep goes on
    assert params(tmp_path / "2") == expected
    assert set(starts(tmp_path / "2").values()) == {1}


def test_failing_trials_are_recorded(tmp_path: Path) -> None:
    path = write(tmp_path, {"config.x": {"values": [3, 1]}})
    outcome = run(path, tmp_path / "run")
    rows = read_json(tmp_path / "run/sweep.json")["trials"]
    assert [(row["state"], row["error"]) for row in rows] == [
        ("failed", "fake.py: x must not be 3"), ("finished", None)
    ]  # fmt: skip
    assert outcome.status == 0
    assert "1 finished, 1 failed" in outcome.lines
    outcome = run(write(tmp_path, {"config.x": {"value": 3}}), tmp_path / "other")
    assert outcome.status == 1
    assert "trial 0000: fake.py: x must not be 3" in outcome.lines


def test_a_target_ends_a_sweep(tmp_path: Path) -> None:
    """The second value reaches it; a higher one may be asked for later."""
    parameters = {"config.x": {"values": [0, 1, 2, 1.5]}}
    outcome = run(write(tmp_path, parameters, metric={**METRIC, "target": 0.9}), tmp_path / "run")
    assert [row["value"] for row in read_json(tmp_path / "run/sweep.json")["trials"]] == pytest.approx([0.6, 0.9])
    assert "2 finished; the target of 0.9 is reached" in outcome.lines
    assert "nothing left to do" in run(tmp_path / "sweep.yaml", tmp_path / "run").lines
    outcome = run(write(tmp_path, parameters, metric={**METRIC, "target": 0.95}), tmp_path / "run")
    assert "3 finished" in outcome.lines
    with pytest.raises(InputError, match=r"metric.target='x': it must be a number"):
        run(write(tmp_path, parameters, metric={**METRIC, "target": "x"}), tmp_path / "run")


def test_a_storage_that_is_gone(tmp_path: Path) -> None:
    """The second trial moves it away; when it is back, the sweep goes on."""
    path = write(tmp_path, {"config.x": {"values": [0, 1, 2]}})
    moving = "if x == 1: os.rename(workdir.parents[1] / 'sweep.db', workdir.parents[2] / 'moved.db')\n"
    (tmp_path / "fake.py").write_text(PROGRAM + moving)
    with pytest.raises(SaveError, match=r"the sweep cannot save what it makes \(.*the same command goes on"):
        run(path, tmp_path / "run")
    os.rename(tmp_path / "moved.db", tmp_path / "run/sweep.db")
    assert "3 finished" in run(path, tmp_path / "run").lines
    assert starts(tmp_path / "run") == {"0000": 1, "0001": 1, "0002": 1}


def test_a_full_disk_does_not_fail_all_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training ends with status 4 where it cannot save: a trial of it stays to be taken up again."""
    monkeypatch.setattr("cnn_jax.tuning.sweeps.worker.is_own_program", lambda program: True)
    path = write(tmp_path, {"config.x": {"values": [0, 1]}})
    full = "if x == 1:\n    print('fake.py: No space left')\n    sys.exit(4)\n"
    (tmp_path / "fake.py").write_text(PROGRAM.replace("if x == 3", full + "if x == 3"))
    with pytest.raises(SaveError, match=r"\(trial 0001: fake.py: No space left\)"):
        run(path, tmp_path / "run")
    (tmp_path / "fake.py").write_text(PROGRAM)
    assert "2 finished" in run(path, tmp_path / "run").lines
    assert starts(tmp_path / "run") == {"0000": 1, "0001": 2}


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("", "its summary.json cannot be read"),
        ("(workdir / 'summary.json').write_text('{\"test_loss\": 0.5}')", "no validation_accuracy; it has test_loss"),
        ("(workdir / 'summary.json').write_text('{\"validation_accuracy\": NaN}')", "validation_accuracy is nan"),
        ("os.kill(os.getpid(), 9)", "ended by SIGKILL"),
    ],
)
def test_trials_without_a_value_have_failed(tmp_path: Path, ending: str, words: str) -> None:
    path = write(tmp_path, {"config.x": {"value": 1}})
    lines = PROGRAM.strip().splitlines()[:-1]
    (tmp_path / "fake.py").write_text("\n".join([*lines, ending]))
    assert run(path, tmp_path / "run").status == 1
    assert words in read_json(tmp_path / "run/sweep.json")["trials"][0]["error"]


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ({}, {"storage": "nonsense"}, "--storage=nonsense: it cannot be opened"),
        ({}, {"storage": "sqlite:////nowhere/at/all.db"}, "there is no folder /nowhere/at"),
        ({}, {"storage": "sqlite://"}, "a database in memory"),
        ({}, {"storage": "postgresql+nosuchdriver://user:secret@host/x"}, "user:***@host"),
        ({}, {"storage": "postgresql+asyncpg://user:secret@host/x"}, "host/x: its driver is not installed ("),
        ({"method": "random"}, {}, "--trials=N"),
        ({"metric": {"name": "test_accuracy", "goal": "maximize"}}, {"prune": "median"}, "only at the end"),
    ],
)
def test_what_cannot_be_run(
    tmp_path: Path, content: dict[str, Any], options: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)  # importing it fails, installed or not
    path = write(tmp_path, GRID, **content)
    with pytest.raises(InputError) as raised:
        run(path, tmp_path / "run", **options)
    assert words in str(raised.value)
    assert "secret" not in str(raised.value)
    assert not list(tmp_path.glob("run/trials/*"))


def test_another_sweep_or_folder_is_refused(tmp_path: Path) -> None:
    small = {"config.x": {"value": 1}}
    path, storage = write(tmp_path, small), f"sqlite:///{tmp_path}/shared.db"
    run(path, tmp_path / "run", storage=storage)
    run(path, tmp_path / "own")
    with pytest.raises(InputError, match=r"holds another sweep .seed: 0, not 1"):
        run(path, tmp_path / "own", seed=1)
    with pytest.raises(InputError, match=r"holds another sweep .storage: its own, not sqlite"):
        run(path, tmp_path / "own", storage=storage)
    other = write(tmp_path, {**small, "config.y": {"value": 2}}, run_cap=5)
    with pytest.raises(InputError, match=r"own holds another sweep .parameters: config.y"):
        run(other, tmp_path / "own")
    with pytest.raises(InputError, match=r"study 'sweep' is another sweep .parameters: config.y"):
        run(other, tmp_path / "new", storage=storage)
    run(other, tmp_path / "new")  # nothing was begun there with the storage that was refused
    turned = write(tmp_path, {"config.y": {"value": 2}, **small})
    with pytest.raises(InputError, match=r"new holds another sweep .order: "):
        run(turned, tmp_path / "new")
    with open_storage(f"sqlite:///{tmp_path}/mine.db") as opened:
        optuna.create_study(study_name="mine", storage=opened).add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(InputError, match="its study 'mine' is no sweep"):
        run(write(tmp_path, small, "mine.yaml"), tmp_path / "third", storage=f"sqlite:///{tmp_path}/mine.db")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something that is not a sweep"):
        run(path, tmp_path / "full")
    assert json.loads((tmp_path / "own/sweep.json").read_text())["trials"][0]["state"] == "finished"


def test_the_parent_is_light() -> None:
    code = "import sys, cnn_jax.tuning.sweeps.sweep, cnn_jax.tuning.sweeps.worker, cnn_jax.tuning.search.pruning\n"
    code += "print([name for name in ('jax', 'sklearn', 'pandas', 'matplotlib') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
