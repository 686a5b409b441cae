"""Sweeps run here, with a program that takes no time in the place of training."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from helpers import ROOT, read_json

from cnn_jax.errors import InputError
from cnn_jax.tuning.draws import draw
from cnn_jax.tuning.pruning import make_pruner
from cnn_jax.tuning.sampler import SweepSampler
from cnn_jax.tuning.sweep import Options, Outcome, run_sweep
from cnn_jax.tuning.sweep_file import grid_point, read_sweep

PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
flags = dict(word[2:].split("=", 1) for word in sys.argv[1:])
workdir = Path(flags["workdir"])
workdir.mkdir(parents=True, exist_ok=True)
x, y = float(flags["config.x"]), float(flags.get("config.y", 0))
with open(workdir / "starts", "a") as file:
    file.write(str(os.getpid()) + "\\n")
if x == 3:
    print("a line of output")
    sys.exit("fake.py: x must not be 3")
def stop(number, frame):
    with open(workdir / "stopped", "w") as file:
        file.write(str(number))
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, stop)
value = 1 - (x - 2) ** 2 / 10 - y / 100
for epoch in range(1, 9):
    row = {"step": epoch, "epoch": epoch, "split": "validation", "accuracy": value * (1 - 0.5**epoch)}
    with open(workdir / "metrics.jsonl", "a") as file:
        file.write(json.dumps(row) + "\\n")
    time.sleep(float(os.environ.get("FAKE_PAUSE", 0)))
(workdir / "summary.json").write_text(json.dumps({"validation_accuracy": value, "epochs": 8}))
"""
METRIC = {"name": "validation_accuracy", "goal": "maximize"}
GRID = {"config.x": {"values": [0, 1, 2]}, "config.y": {"values": [0.5, 1.5]}, "config.z": {"value": [1, 2]}}
DRAWN = {"config.x": {"min": 0.0, "max": 2.9}, "config.y": {"values": [0, 1, 2]}}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes a sweep file over the program, of method grid unless told otherwise."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fake.py").write_text(PROGRAM)

    def write(parameters: dict[str, Any], name: str = "sweep.yaml", **content: Any) -> Path:
        whole = {"program": "fake.py", "method": "grid", "metric": METRIC, "parameters": parameters, **content}
        (tmp_path / name).write_text(yaml.safe_dump(whole))
        return tmp_path / name

    return write


def run(path: Path, workdir: Path | str, **options: Any) -> Outcome:
    return run_sweep(path, workdir, Options(**options))


def params(workdir: Path) -> list[dict[str, Any]]:
    return [row["params"] for row in read_json(workdir / "sweep.json")["trials"]]


def starts(workdir: Path) -> dict[str, int]:
    """How often each trial was started."""
    return {path.parent.name: path.read_text().count("\n") for path in sorted(workdir.glob("trials/*/starts"))}


def begin(path: Path, workdir: Path, *flags: str, pause: float = 0.0) -> subprocess.Popen[str]:
    """The script in a process of its own; each of a trial's eight epochs takes `pause` seconds."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts/sweep.py"), f"--sweep={path}", f"--workdir={workdir}", *flags],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "FAKE_PAUSE": str(pause), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def until(condition: Callable[[], object], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_grid_is_enumerated_exactly(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(GRID)
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


def test_random_trials_do_not_depend_on_jobs(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(DRAWN, method="random")
    sweep = read_sweep(path)
    expected = [draw(sweep, 5, number) for number in range(5)]
    for jobs in (1, 2, 3):
        run(path, tmp_path / f"{jobs}", jobs=jobs, trials=3, seed=5)
        assert params(tmp_path / f"{jobs}") == expected[:3]
    run(path, tmp_path / "2", jobs=2, trials=5, seed=5)  # a larger sweep goes on
    assert params(tmp_path / "2") == expected
    assert set(starts(tmp_path / "2").values()) == {1}


def test_failing_trials_are_recorded(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write({"config.x": {"values": [3, 1]}})
    outcome = run(path, tmp_path / "run")
    rows = read_json(tmp_path / "run/sweep.json")["trials"]
    assert [(row["state"], row["error"]) for row in rows] == [
        ("failed", "fake.py: x must not be 3"), ("finished", None)
    ]  # fmt: skip
    assert outcome.status == 0
    assert "1 finished, 1 failed" in outcome.lines
    outcome = run(write({"config.x": {"value": 3}}), tmp_path / "other")
    assert outcome.status == 1
    assert "trial 0000: fake.py: x must not be 3" in outcome.lines


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("", "its summary.json cannot be read"),
        ("(workdir / 'summary.json').write_text('{\"test_loss\": 0.5}')", "no validation_accuracy; it has test_loss"),
        ("(workdir / 'summary.json').write_text('{\"validation_accuracy\": NaN}')", "validation_accuracy is nan"),
        ("os.kill(os.getpid(), 9)", "ended by SIGKILL"),
    ],
)
def test_trials_without_a_value_have_failed(
    write: Callable[..., Path], tmp_path: Path, ending: str, words: str
) -> None:
    path = write({"config.x": {"value": 1}})
    lines = PROGRAM.strip().splitlines()[:-1]
    (tmp_path / "fake.py").write_text("\n".join([*lines, ending]))
    assert run(path, tmp_path / "run").status == 1
    assert words in read_json(tmp_path / "run/sweep.json")["trials"][0]["error"]


def test_pruning_stops_bad_trials(write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second and third trial are worse than the first at epoch 1, the fourth is better."""
    monkeypatch.setenv("FAKE_PAUSE", "0.15")
    path = write({"config.x": {"values": [1, 0, -1, 2]}}, early_terminate={"type": "hyperband", "min_iter": 1})
    run(path, tmp_path / "run")
    rows = read_json(tmp_path / "run/sweep.json")["trials"]
    assert [row["state"] for row in rows] == ["finished", "pruned", "pruned", "finished"]
    for number in ("0001", "0002"):
        assert (tmp_path / "run/trials" / number / "stopped").read_text() == str(int(signal.SIGTERM))
        assert not (tmp_path / "run/trials" / number / "summary.json").exists()


def test_rules_of_pruning(write: Callable[..., Path]) -> None:
    with_file = read_sweep(write(GRID, early_terminate={"type": "hyperband", "max_iter": 27, "s": 2}))
    without = read_sweep(write(GRID))
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


def test_bayes_repeats_with_one_job(write: Callable[..., Path], tmp_path: Path) -> None:
    """The same trials from the sampler alone, which is told the same values."""
    path = write(DRAWN, method="bayes")
    run(path, tmp_path / "run", trials=6, seed=1)
    rows = read_json(tmp_path / "run/sweep.json")["trials"]
    sampler = SweepSampler(read_sweep(path), seed=1)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for row in rows:
        trial = study.ask(sampler.stored)
        assert sampler.values(trial.params) == row["params"]
        study.tell(trial, row["value"])
    assert len({repr(row["params"]) for row in rows}) == 6


def test_bayes_sees_pending_pruned_and_failed_trials(write: Callable[..., Path]) -> None:
    """Failed trials at x > 1.5 and good pruned ones near 0.7 lead to proposals away from the former."""
    sweep = read_sweep(write({"config.x": {"min": 0.0, "max": 3.0}, "config.z": {"value": {"a": [1]}}}, method="bayes"))
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


def test_categories_keep_their_types(write: Callable[..., Path]) -> None:
    values = [1, True, "1", None, [1, 2], {"a": 0.5}, 1.5, "[1, 2]"]
    sweep = read_sweep(write({"config.z": {"values": values}, "config.x": {"value": 1}}))
    sampler = SweepSampler(sweep, seed=0)
    study = optuna.create_study(sampler=sampler)
    found = [sampler.values(study.ask(sampler.stored).params)["config.z"] for _ in values]
    assert [repr(one) for one in found] == [repr(one) for one in values]


def test_a_killed_sweep_goes_on(write: Callable[..., Path], tmp_path: Path) -> None:
    """SIGKILL of the parent: its trials end by themselves, and are taken up again; nothing is done twice."""
    path, workdir = write(GRID), tmp_path / "run"
    parent = begin(path, workdir, "--jobs=2", pause=0.25)
    try:
        until(lambda: len(list(workdir.glob("trials/*/summary.json"))) >= 2 and len(starts(workdir)) >= 4)
    finally:
        parent.kill()
        parent.communicate()
    pids = [int(line) for file in workdir.glob("trials/*/starts") for line in file.read_text().split()]
    until(lambda: gone(pids), timeout=10)
    finished = {file.parent.name for file in workdir.glob("trials/*/summary.json")}
    outcome = run(path, workdir, jobs=2)
    rows = read_json(workdir / "sweep.json")["trials"]
    assert [row["state"] for row in rows] == ["finished"] * 6
    assert params(workdir) == [grid_point(read_sweep(path), number) for number in range(6)]
    assert all(starts(workdir)[name] == 1 for name in finished)
    assert any(count == 2 for count in starts(workdir).values())
    assert outcome.status == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_trials_to_be_taken_up(write: Callable[..., Path], tmp_path: Path, number: int) -> None:
    path, workdir = write(GRID), tmp_path / "run"
    parent = begin(path, workdir, "--jobs=2", pause=0.4)
    until(lambda: len(starts(workdir)) == 2)
    time.sleep(0.3)
    parent.send_signal(number)
    _, said = parent.communicate(timeout=30)
    assert parent.returncode == 128 + number
    assert "To go on: " in said
    assert "2 running trials saved and ended" in said
    assert sorted(file.parent.name for file in workdir.glob("trials/*/stopped")) == ["0000", "0001"]
    assert [row["state"] for row in read_json(workdir / "sweep.json")["trials"]] == ["running", "running"]
    assert "6 finished" in run(path, workdir, jobs=3).lines


@pytest.mark.parametrize("folders", [("one", "one"), ("one", "two")])
def test_two_workers_never_run_the_same_trial(
    write: Callable[..., Path], tmp_path: Path, folders: tuple[str, str]
) -> None:
    path = write({**GRID, "config.x": {"values": [1, 2]}})
    storage = [f"--storage=sqlite:///{tmp_path}/shared.db"] if folders[0] != folders[1] else []
    workers = [begin(path, tmp_path / folder, "--jobs=2", *storage, pause=0.02) for folder in folders]
    for worker in workers:
        _, said = worker.communicate(timeout=120)
        assert worker.returncode == 0, said
    started = [name for folder in sorted(set(folders)) for name, count in starts(tmp_path / folder).items()
               for _ in range(count)]  # fmt: skip
    assert sorted(started) == [f"{number:04}" for number in range(4)]
    url = f"sqlite:///{tmp_path}/shared.db" if storage else f"sqlite:///{tmp_path}/one/sweep.db"
    trials = optuna.load_study(study_name="sweep", storage=url).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ({}, {"storage": "nonsense"}, "--storage=nonsense: it cannot be opened"),
        ({}, {"storage": "sqlite:////nowhere/at/all.db"}, "there is no folder /nowhere/at"),
        ({}, {"storage": "sqlite://"}, "a database in memory"),
        ({}, {"storage": "postgresql+nosuchdriver://user:secret@host/x"}, "user:***@host"),
        ({"method": "random"}, {}, "--trials=N"),
        ({"metric": {"name": "test_accuracy", "goal": "maximize"}}, {"prune": "median"}, "only at the end"),
    ],
)
def test_what_cannot_be_run(
    write: Callable[..., Path], tmp_path: Path, content: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    path = write(GRID, **content)
    with pytest.raises(InputError) as raised:
        run(path, tmp_path / "run", **options)
    assert words in str(raised.value)
    assert "secret" not in str(raised.value)
    assert not list(tmp_path.glob("run/trials/*"))


def test_another_sweep_or_folder_is_refused(write: Callable[..., Path], tmp_path: Path) -> None:
    small = {"config.x": {"value": 1}}
    path, storage = write(small), f"sqlite:///{tmp_path}/shared.db"
    run(path, tmp_path / "run", storage=storage)
    run(path, tmp_path / "own")
    with pytest.raises(InputError, match=r"holds another sweep .seed: 0, not 1"):
        run(path, tmp_path / "own", seed=1)
    with pytest.raises(InputError, match=r"holds another sweep .storage: its own, not sqlite"):
        run(path, tmp_path / "own", storage=storage)
    other = write({**small, "config.y": {"value": 2}}, run_cap=5)
    with pytest.raises(InputError, match=r"own holds another sweep .parameters: config.y"):
        run(other, tmp_path / "own")
    with pytest.raises(InputError, match=r"study 'sweep' is another sweep .parameters: config.y"):
        run(other, tmp_path / "new", storage=storage)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something that is not a sweep"):
        run(path, tmp_path / "full")
    assert json.loads((tmp_path / "own/sweep.json").read_text())["trials"][0]["state"] == "finished"


def test_the_parent_is_light() -> None:
    code = "import sys, cnn_jax.tuning.sweep, cnn_jax.tuning.worker, cnn_jax.tuning.pruning\n"
    code += "print([name for name in ('jax', 'sklearn', 'pandas', 'matplotlib') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
