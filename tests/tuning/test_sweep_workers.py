"""Several processes on one sweep, and processes that are killed."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import optuna
import pytest

from cnn_jax.tuning.sweeps.database import open_storage
from cnn_jax.tuning.sweeps.directory import open_directory
from cnn_jax.tuning.sweeps.file import grid_point, read_sweep
from tests.support.helpers import read_json
from tests.support.sweeps import GRID, begin, gone, params, run, starts, until, write


@pytest.mark.slow
def test_a_killed_sweep_goes_on(tmp_path: Path) -> None:
    """SIGKILL of the parent: its trials end by themselves, and are taken up again; nothing is done twice."""
    path, workdir = write(tmp_path, GRID), tmp_path / "run"
    parent = begin(path, workdir, "--jobs=2", pause=0.3)
    try:
        until(lambda: len(list(workdir.glob("trials/*/summary.json"))) >= 2 and len(starts(workdir)) >= 4)
    finally:
        parent.kill()
        parent.communicate()
    pids = [int(line) for file in workdir.glob("trials/*/starts") for line in file.read_text().split()]
    until(lambda: gone(pids), timeout=120)
    finished = {file.parent.name for file in workdir.glob("trials/*/summary.json")}
    outcome = run(path, workdir, jobs=2)
    rows = read_json(workdir / "sweep.json")["trials"]
    assert [row["state"] for row in rows] == ["finished"] * 6
    assert params(workdir) == [grid_point(read_sweep(path), number) for number in range(6)]
    assert all(starts(workdir)[name] == 1 for name in finished)
    assert any(count == 2 for count in starts(workdir).values())
    assert outcome.status == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_trials_to_be_taken_up(tmp_path: Path, number: int) -> None:
    path, workdir = write(tmp_path, GRID), tmp_path / "run"
    parent = begin(path, workdir, "--jobs=2", pause=10.0)
    until(lambda: len(starts(workdir)) == 2)
    parent.send_signal(number)
    _, said = parent.communicate(timeout=120)
    assert parent.returncode == 128 + number
    assert "To go on: " in said
    assert "2 running trials saved and ended" in said
    assert sorted(file.parent.name for file in workdir.glob("trials/*/stopped")) == ["0000", "0001"]
    assert [row["state"] for row in read_json(workdir / "sweep.json")["trials"]] == ["running", "running"]
    assert "6 finished" in run(path, workdir, jobs=3).lines


@pytest.mark.slow
@pytest.mark.parametrize("folders", [("one", "one"), ("one", "two")])
def test_two_workers_never_run_the_same_trial(tmp_path: Path, folders: tuple[str, str]) -> None:
    path = write(tmp_path, {**GRID, "config.x": {"values": [1, 2]}})
    storage = [f"--storage=sqlite:///{tmp_path}/shared.db"] if folders[0] != folders[1] else []
    workers = [begin(path, tmp_path / folder, "--jobs=2", *storage, pause=0.02) for folder in folders]
    for worker in workers:
        _, said = worker.communicate(timeout=120)
        assert worker.returncode == 0, said
    started = [name for folder in sorted(set(folders)) for name, count in starts(tmp_path / folder).items()
               for _ in range(count)]  # fmt: skip
    assert sorted(started) == [f"{number:04}" for number in range(4)]
    url = f"sqlite:///{tmp_path}/shared.db" if storage else f"sqlite:///{tmp_path}/one/sweep.db"
    with open_storage(url) as opened:
        trials = optuna.load_study(study_name="sweep", storage=opened).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4


def test_workers_that_begin_at_once_agree(tmp_path: Path) -> None:
    """One of them makes the directory; all have its identity, by which trials of killed workers are found."""
    sweep = read_sweep(write(tmp_path, GRID))
    for round in range(20):
        with ThreadPoolExecutor(8) as pool:
            barrier = Barrier(8)

            def begin_at_once(folder: Path, barrier: Barrier = barrier) -> str:
                barrier.wait()
                return str(open_directory(sweep, 0, folder, None)["id"])

            found = list(pool.map(begin_at_once, [tmp_path / f"run{round}"] * 8))
        assert set(found) == {read_json(tmp_path / f"run{round}/sweep.json")["id"]}
