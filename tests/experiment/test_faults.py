"""A few runs of the fault harness, which kills many more; see tests/faults/kill_runs.py."""

import random
import signal
from pathlib import Path

import pytest

from tests.faults.kill_runs import kill_and_resume, stop_and_resume, to_the_end, write_config


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("faults")
    changes = {
        "num_epochs": 2,
        "batch_size": 64,
        "model__name": "linear",
        "checkpoint__unit": "steps",
        "checkpoint__every": 3,
    }
    config = write_config(folder, {**changes, "data__loading": "streamed", "data__workers": 1})
    to_the_end(config, folder / "whole")
    return config, folder / "whole"


@pytest.mark.slow
def test_a_run_that_is_killed_comes_out_the_same(whole: tuple[Path, Path], tmp_path: Path) -> None:
    counts, wrong = kill_and_resume(*whole, tmp_path / "run", 1, random.Random(3))
    assert not wrong
    assert counts["kills"] >= 1


@pytest.mark.slow
def test_a_run_that_is_stopped_comes_out_the_same(whole: tuple[Path, Path], tmp_path: Path) -> None:
    took, wrong = stop_and_resume(*whole, tmp_path / "run", "training or evaluation", signal.SIGTERM, random.Random(0))
    assert not wrong
    assert took < 10
