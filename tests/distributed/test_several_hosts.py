"""Two processes of four devices each train as one process of eight does, into one run directory; and stop together."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from cnn_jax.config.tree import load_config, override
from cnn_jax.experiment.fitting import fit
from tests.support.helpers import read_json
from tests.support.processes import Ended, by_flags, ended, start
from tests.support.runs import final_state

pytestmark = pytest.mark.slow

CONFIG = """
    from tests.support.helpers import tiny_config

    def get_config():
        return tiny_config(batch_size=128, num_epochs=2, precision="float64", model__dropout=0, parallel__devices=None)
"""


STREAMED = "--config.data.loading=streamed"


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "small.py"
    path.write_text("\n".join(line.removeprefix("    ") for line in CONFIG.strip("\n").splitlines()))
    return path


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def hosts(script: str, config_file: Path, workdir: Path, *more: str) -> list[Ended]:
    paths = (f"--config={config_file}", f"--workdir={workdir}", *more)
    return ended([start(script, *paths, *flags, JAX_ENABLE_X64="1") for flags in by_flags(2)], 120)


def alone(config_file: Path, workdir: Path, *more: tuple[str, Any]) -> None:
    """In this process, of eight devices."""
    with jax.enable_x64(True):
        fit(override(load_config(str(config_file)), more), workdir)


@pytest.fixture(scope="module")
def of_one(config_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("one") / "run"
    alone(config_file, workdir)
    return workdir


@pytest.fixture(scope="module")
def of_two(config_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("two") / "run"
    lead, other = hosts("scripts/train.py", config_file, workdir)
    assert (lead.status, other.status) == (0, 0), (lead, other)
    assert "run directory:" in lead.out
    assert "epoch 2/2" in lead.err
    assert "run directory:" not in other.out
    assert "epoch" not in other.err
    return workdir


def assert_same_parameters(first: Path, second: Path, config_file: Path) -> None:
    config = load_config(str(config_file))
    one, other = final_state(first, config), final_state(second, config)
    assert int(one.step) == int(other.step)
    for a, b in zip(jax.tree.leaves(one.variables), jax.tree.leaves(other.variables), strict=True):
        assert a.dtype == np.float64
        assert np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(a)  # as the suite compiles, exponentials have 8 digits


def test_they_train_as_one_process_does(of_one: Path, of_two: Path, config_file: Path) -> None:
    assert_same_parameters(of_one, of_two, config_file)


def test_they_write_one_log(of_one: Path, of_two: Path) -> None:
    assert sorted(path.name for path in of_two.iterdir()) == sorted(path.name for path in of_one.iterdir())
    rows = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (of_one, of_two)]
    assert len(rows[0]) == len(rows[1]) == 5
    for one, other in zip(*rows, strict=True):
        assert (one.pop("split"), one) == (other.pop("split"), pytest.approx(other, rel=1e-6))
    environment = read_json(of_two / "environment.json")
    assert (environment["hosts"], len(environment["devices"])) == (2, 8)
    devices = [read_json(run / "summary.json")["devices"] for run in (of_one, of_two)]
    assert [(of["count"], of["hosts"]) for of in devices] == [(8, 1), (8, 2)]


def test_one_checkpoint_that_a_single_process_evaluates(of_two: Path) -> None:
    assert sorted(path.name for path in (of_two / "checkpoints").iterdir()) == ["10", "20"]
    before = read_json(of_two / "summary.json")
    result = ended([start("scripts/evaluate.py", f"--workdir={of_two}", devices=1, JAX_ENABLE_X64="1")], 120)[0]
    assert result.status == 0, result
    figures = read_json(of_two / "evaluation.json")
    assert figures["loss"] == pytest.approx(before["test_loss"], abs=1e-6)
    assert figures["accuracy"] == pytest.approx(before["test_accuracy"], abs=1e-6)


def test_sigterm_to_one_stops_both_at_the_same_step(of_one: Path, config_file: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    results = hosts("tests/tools/stopped_host.py", config_file, workdir, STREAMED)
    assert [result.status for result in results] == [128 + signal.SIGTERM] * 2, results
    said = [line for result in results for line in result.err.splitlines() if line.startswith("stopped at step")]
    assert len(said) == 2
    assert len({line.split(";")[0] for line in said}) == 1
    step = said[0].split()[3]
    assert 12 < int(step) < 20
    assert step in [path.name for path in (workdir / "checkpoints").iterdir()]
    alone(config_file, workdir, ("data.loading", "streamed"))
    assert_same_parameters(of_one, workdir, config_file)
    assert (workdir / "metrics.jsonl").read_text().count("\n") == 5


def test_hosts_with_different_folders_are_told(config_file: Path, tmp_path: Path) -> None:
    arguments = (f"--config={config_file}", "--config.parallel.devices=2")
    folders = (tmp_path / "one", tmp_path / "other")
    started = [
        start("scripts/train.py", *arguments, f"--workdir={folder}", *flags, JAX_ENABLE_X64="1")
        for folder, flags in zip(folders, by_flags(2), strict=True)
    ]
    for result in ended(started, 120):
        assert result.status == 2, result
        assert "host 1 of 2 has another" in result.err
