"""Repeats over seeds and folds: what is run, kept and taken up again, and what is said of the figures."""

import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax.cli.signals import Shutdown
from cnn_jax.errors import Interrupted, SaveError
from cnn_jax.runs.noise import wilson_interval
from cnn_jax.tuning.repeats.plan import Plan, check_overrides, cross_validation, seeds
from cnn_jax.tuning.repeats.repeat import Outcome, run_repeat
from cnn_jax.tuning.repeats.runs import Runs
from tests.support.helpers import read_json, refusal, script

# In the place of scripts/train.py: the files of a finished run at once, and what the file `orders` of the folder says.
PROGRAM = """
import json, os, sys, time
from pathlib import Path
from cnn_jax.config.overrides import split
from cnn_jax.config.tree import load_config, override, to_json
rest, pairs = split(sys.argv[1:])
flags = dict(word.lstrip("-").split("=", 1) for word in rest)
config = override(load_config(flags["config"]), pairs)
workdir = Path(flags["workdir"])
number = config.seed if config.data.folds is None else config.data.fold
orders = json.loads((workdir.parent.parent / "orders").read_text())
order = orders.get(str(number), 0)
if order == 2:
    sys.exit(print("train.py: config.data.dir=gone: there is no such folder", file=sys.stderr) or 2)
workdir.mkdir(exist_ok=True)
resolved = {"data": "digits", "fingerprint": "1", "validation_examples": 100}
(workdir / "config.json").write_text(json.dumps(to_json(config) | {"resolved": resolved}))
with open(workdir / "starts", "a") as file:
    file.write("1")
while order == "wait":
    time.sleep(0.01)
if order:
    sys.exit(print("train.py: the loss became nan", file=sys.stderr) or order)
figures = {"validation_accuracy": (90 + number) / 100, "validation_loss": 0.1, "best_epoch": 1}
(workdir / "summary.json").write_text(json.dumps(figures))
"""
CONFIG = """
from cnn_jax.config import default_config
def get_config():
    return default_config()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(PROGRAM)
    (tmp_path / "config.py").write_text(CONFIG)
    (tmp_path / "orders").write_text("{}")
    return tmp_path


def repeat(place: Path, plan: Plan, jobs: int = 1, **changes: Any) -> Outcome:
    """With overrides; two underscores stand for a dot."""
    from cnn_jax.config.tree import load_config, override

    pairs = [(key.replace("__", "."), value) for key, value in changes.items()]
    config = override(load_config(place / "config.py"), pairs)
    words = [f"--config={place / 'config.py'}", *(f"--config.{key}={value}" for key, value in pairs)]
    return run_repeat(plan, config, words, place / "run", jobs, program=[str(place / "train.py")])


def starts(place: Path) -> dict[str, int]:
    return {path.parent.name: len(path.read_text()) for path in sorted((place / "run").glob("*/starts"))}


def test_seeds_are_kept_and_more_may_come(place: Path) -> None:
    outcome = repeat(place, seeds("3"), jobs=3)
    assert outcome.status == 0
    assert starts(place) == {"seed0": 1, "seed1": 1, "seed2": 1}
    written = read_json(place / "run/repeat.json")
    assert [(run["run"], run["seed"], run["validation_accuracy"]) for run in written["runs"]] == [
        ("seed0", 0, 0.9), ("seed1", 1, 0.91), ("seed2", 2, 0.92),
    ]  # fmt: skip
    figure = written["figures"]["validation_accuracy"]
    assert (figure["mean"], figure["std"]) == (pytest.approx(0.91), pytest.approx(0.01))
    low, high = wilson_interval(91, 100)
    assert f"seed1, is 91.00% (95 % interval {100 * low:.1f} to {100 * high:.1f} %, binomial)" in outcome.lines
    assert "over 3 seeds: std is of single runs (n - 1), the interval is Student's t of their mean" in outcome.lines
    assert np.asarray(Image.open(place / "run/repeat.png")).std() > 1
    repeat(place, seeds("0,2,7"))
    assert starts(place) == {"seed0": 1, "seed1": 1, "seed2": 1, "seed7": 1}
    assert [run["run"] for run in read_json(place / "run/repeat.json")["runs"]] == ["seed0", "seed2", "seed7"]


def test_folds_together_are_all_images(place: Path) -> None:
    outcome = repeat(place, cross_validation(4), jobs=2)
    assert "all folds together: 366 of 400 images right, 91.50%" in outcome.lines
    assert "Nadeau and Bengio" in outcome.lines
    assert read_json(place / "run/fold3/config.json")["data"]["folds"] == 4
    assert "holds a repeat over 4 folds, not seeds" in refusal(repeat, place, seeds("2"))
    assert "holds a repeat over 4 folds, not 3 folds" in refusal(repeat, place, cross_validation(3))


def test_another_config_is_refused(place: Path) -> None:
    """Also where its seeds are others than those that are asked for now."""
    repeat(place, seeds("1"))
    (place / "run/seed0/checkpoints/10").mkdir(parents=True)  # so that there is something to lose
    before = (place / "run/repeat.json").read_text()
    line = refusal(repeat, place, seeds("5,6"), optimizer__learning_rate=0.5, batch_size=64)
    assert "batch_size: 128 -> 64, optimizer.learning_rate: 0.1 -> 0.5" in line
    assert (place / "run/repeat.json").read_text() == before
    assert starts(place) == {"seed0": 1}
    (place / "other").mkdir()
    (place / "other/notes.txt").write_text("mine")
    shutil.rmtree(place / "run")
    (place / "other").rename(place / "run")
    assert "holds something that is no repeat" in refusal(repeat, place, seeds("1"))


def test_a_run_that_fails_is_said(place: Path) -> None:
    (place / "orders").write_text('{"1": 3}')
    outcome = repeat(place, seeds("3"))
    assert outcome.status == 1
    assert outcome.lines.startswith("seed1 failed: train.py: the loss became nan")
    assert "they flatter the config" in outcome.lines
    written = read_json(place / "run/repeat.json")
    assert [run["status"] for run in written["runs"]] == ["finished", "failed", "finished"]
    assert written["figures"]["validation_accuracy"]["runs"] == 2
    (place / "orders").write_text("{}")
    assert repeat(place, seeds("3")).status == 0
    assert starts(place) == {"seed0": 1, "seed1": 2, "seed2": 1}


def test_what_all_would_refuse_is_said_once(place: Path) -> None:
    (place / "orders").write_text('{"0": 2}')
    assert refusal(repeat, place, seeds("3")) == "config.data.dir=gone: there is no such folder"
    assert not (place / "run").exists()
    (place / "orders").write_text('{"1": 4}')
    with pytest.raises(SaveError, match="seed1: the loss became nan"):
        repeat(place, seeds("3"))


def test_a_signal_lets_runs_save(place: Path) -> None:
    """The first run ends and a signal comes, while the second runs, which then is not finished and no failure."""
    (place / "orders").write_text('{"1": "wait"}')
    (place / "run").mkdir()
    (place / "run/repeat.json").write_text('{"over": "seed"}')
    words = [f"--config={place / 'config.py'}"]
    commands = {f"seed{i}": [sys.executable, str(place / "train.py"), *words, f"--config.seed={i}"] for i in range(3)}

    def interrupt(name: str) -> str:
        while not (place / "run/seed1/starts").exists():
            pass
        signal.raise_signal(signal.SIGTERM)
        return name

    runs = Runs(place / "run", commands, lambda name: (place / f"run/{name}/summary.json").exists(), 2, interrupt)
    with pytest.raises(Interrupted, match="1 running run saved and ended") as caught:
        runs.run(Shutdown())
    assert caught.value.exit_status == 128 + signal.SIGTERM
    assert starts(place) == {"seed0": 1, "seed1": 1}
    assert not list((place / "run").glob("*.lock"))
    (place / "orders").write_text("{}")
    repeat(place, seeds("3"))
    assert starts(place) == {"seed0": 1, "seed1": 2, "seed2": 1}


@pytest.mark.parametrize("text", ["0", "", "three", "1,1", "5000", "-3", "1,x"])
def test_seeds_that_are_none(text: str) -> None:
    assert f"--seeds={text}: " in refusal(seeds, text)


def test_plans() -> None:
    assert seeds("3").numbers == (0, 1, 2)
    assert seeds("7,").numbers == (7,)
    assert seeds("3, 11").changes(11) == [("seed", 11)]
    assert cross_validation(5).changes(2) == [("data.folds", 5), ("data.fold", 2)]
    assert "--folds=1: it must be" in refusal(cross_validation, 1)
    assert "config.seed=3: --seeds sets it" in refusal(check_overrides, seeds("2"), [("seed", 3)])
    assert "config.data.fold=1: --folds sets it" in refusal(check_overrides, cross_validation(2), [("data.fold", 1)])


@pytest.mark.parametrize("flags", [[], ["--seeds=2", "--folds=2"], ["--seeds=2", "--jobs=0"]])
def test_flags_that_do_not_go_together(flags: list[str]) -> None:
    result = script("repeat.py", *flags)
    assert (result.returncode, result.stderr.count("\n"), result.stdout) == (2, 1, "")


@pytest.mark.slow
def test_the_script_trains(tmp_path: Path) -> None:
    """Each fold is a run like any other: it can be evaluated, the test split too."""
    flags = [f"--config.{key}={value}" for key, value in FLAGS.items()]
    result = script("repeat.py", "--folds=2", f"--workdir={tmp_path / 'run'}", "--jobs=2", *flags)
    assert result.returncode == 0, result.stderr
    assert "of 1,438 images right" in result.stdout
    result = script("evaluate.py", f"--workdir={tmp_path / 'run/fold1'}")
    assert result.returncode == 0, result.stderr
    assert "of 359;" in result.stdout
    result = script("runs.py", tmp_path)
    assert "folds" in result.stdout


FLAGS = {"num_epochs": 1, "model.filters": (4,), "model.hidden": (), "parallel.devices": 1}
