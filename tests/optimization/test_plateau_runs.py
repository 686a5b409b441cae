"""Rates that a metric lowers: as PyTorch's in the loop, and through whole runs."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.cli.signals import StopSignals
from cnn_jax.config.tree import override
from cnn_jax.errors import InputError, Interrupted
from cnn_jax.experiment.epoch_callbacks import make_after_epoch, rate_factor
from cnn_jax.experiment.fitting import build, fit, initial_state
from cnn_jax.optimization.optimizers import make_optimizer
from cnn_jax.optimization.schedules import plateau_arguments, plateau_start
from cnn_jax.runs.metrics_file import read_rows
from cnn_jax.training.checkpointing import Checkpointer
from cnn_jax.training.loop import Trainer
from cnn_jax.training.loop_state import LoopState
from cnn_jax.training.program import LoopConfig, Program
from cnn_jax.training.requests import Requests
from cnn_jax.training.state import TrainState
from tests.support.helpers import tiny_config
from tests.support.runs import assert_same_run, final_state, signal_at

pytestmark = pytest.mark.usefixtures("no_pictures")


@contextlib.contextmanager
def one_step_a_call(first: int, end: int) -> Iterator[Iterator[tuple[int, int]]]:
    yield ((step, 1) for step in range(first, end))


def count_the_step(state: TrainState, work: int) -> Any:
    sums = {"count": np.ones(1), "loss": np.ones(1), "correct": np.ones(1)}
    return dataclasses.replace(state, step=state.step + 1), sums


class Nowhere:
    """Checkpoints that are kept by nobody."""

    def save(self, *arguments: Any) -> None:
        pass

    def last(self) -> None:
        return None

    def saving(self) -> bool:
        return False

    def wait(self) -> None:
        pass


PLATEAUS: dict[str, dict[str, Any]] = {
    "falling": {"patience": 2},
    "accuracy": {"mode": "max", "patience": 1, "factor": 0.5, "threshold": 0.01, "metric": "validation_accuracy"},
    "cooldown": {"patience": 0, "factor": 0.3, "cooldown": 3, "threshold_mode": "abs"},
    "least": {"patience": 1, "factor": 0.2, "min_lr": 3e-3, "threshold": 0.05},
    "eps": {"mode": "max", "patience": 0, "factor": 0.9, "eps": 5e-3, "metric": "validation_balanced_accuracy"},
}


@pytest.mark.parametrize("name", PLATEAUS)
def test_rates_fall_in_the_loop_as_pytorchs_do(recorded_cycling: dict[str, np.ndarray], name: str) -> None:
    metrics, rates = recorded_cycling[f"plateau/{name}/metrics"], recorded_cycling[f"plateau/{name}/rates"]
    config = tiny_config(schedule__name="ReduceLROnPlateau", optimizer__learning_rate=0.4)
    config = override(config, [("schedule", PLATEAUS[name])])
    experiment: Any = SimpleNamespace(config=config)  # all that the hook looks at
    plateau = plateau_start(config.schedule)
    optimizer = make_optimizer(config.optimizer, lambda base: lambda step: base, plateau=plateau)
    state = TrainState(jnp.int32(0), {}, {}, optimizer.init({"w": jnp.zeros(1)}))
    watched, epochs = config.schedule.metric.removeprefix("validation_"), iter(metrics)
    rows: list[Any] = []

    def evaluate(variables: Any, fetch: Any) -> dict[str, float]:
        return {"loss": 9.0, "accuracy": 9.0, "balanced_accuracy": 9.0} | {watched: float(next(epochs))}

    program = Program(
        count_the_step, one_step_a_call, evaluate, learning_rate=lambda step, state: 0.4 * rate_factor(state),
        after_epoch=make_after_epoch(experiment),
    )  # fmt: skip
    loop_state, requests = LoopState(), Requests(StopSignals())
    checkpointer = Checkpointer(Nowhere(), loop_state, lambda: 0.0, {}, program.learning_rate)  # type: ignore[arg-type]
    state = Trainer(
        state, loop_state, LoopConfig(1, len(metrics)), program, checkpointer, requests,
        lambda step, row: rows.append(row),
    ).train()  # fmt: skip
    logged = [row["learning_rate"] for row in rows if row["split"] == "train"]
    np.testing.assert_allclose(logged, [0.4, *rates[:-1]], rtol=1e-5)
    np.testing.assert_allclose(0.4 * rate_factor(state), rates[-1], rtol=1e-5)
    assert len(set(logged)) > 4


def test_a_rate_at_its_lowest_is_not_said_to_fall(capsys: pytest.CaptureFixture[str]) -> None:
    """min_lr / rate is kept in float32, which may be a little more than it is."""
    changes = {"patience": 0, "min_lr": 0.01, "eps": 0.0}
    config = tiny_config(schedule__name="ReduceLROnPlateau", optimizer__learning_rate=0.1)
    experiment: Any = SimpleNamespace(config=override(config, [("schedule", changes)]))
    optimizer = make_optimizer(config.optimizer, lambda base: lambda step: base, plateau=plateau_start(config.schedule))
    state = TrainState(jnp.int32(0), {}, {}, optimizer.init({"w": jnp.zeros(1)}))
    for _ in range(6):
        state = make_after_epoch(experiment)(state, {"validation": {"loss": 1.0}})
    said = [line for line in capsys.readouterr().err.splitlines() if "falls" in line]
    assert [line.partition("falls ")[2] for line in said] == ["from 0.1 to 0.01"]
    assert rate_factor(state) == pytest.approx(0.1)


# Nothing is ever better by so much: the rate falls after every epoch but the first.
FALLS: dict[str, Any] = {
    "schedule__name": "ReduceLROnPlateau", "schedule__patience": 0, "schedule__threshold": 0.99,
    "schedule__factor": 0.5, "num_epochs": 3, "model__filters": (8,),
}  # fmt: skip


@pytest.fixture(scope="module")
def fallen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("fallen") / "run"
    fit(tiny_config(**FALLS), workdir)
    return workdir


def test_the_logged_rate_is_the_true_one(fallen: Path) -> None:
    logged = [row["learning_rate"] for row in read_rows(fallen / "metrics.jsonl") if row["split"] == "train"]
    assert logged == [0.02, 0.02, 0.01]
    state = final_state(fallen, tiny_config(**FALLS))
    assert float(state.opt_state.plateau.factor) == 0.25


def test_a_killed_run_falls_as_one_never_stopped(fallen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the evaluation after epoch 2, before the rate falls; within epoch 3; in the evaluation that follows."""
    config = tiny_config(**FALLS)
    for which, call in [(1, 3), (0, 3), (1, 2)]:
        with monkeypatch.context() as patch:
            signal_at(patch, call, which)
            with pytest.raises(Interrupted):
                fit(config, tmp_path / "run")
    fit(config, tmp_path / "run")
    assert_same_run(fallen, tmp_path / "run", config)


def test_on_several_devices_the_fall_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(**{**FALLS, "parallel__devices": 4, "parallel__strategy": "pmap"})
    fit(config, tmp_path / "run")
    said = "validation_loss has not become better than"
    lines = [line for line in capsys.readouterr().err.splitlines() if said in line]
    assert len(lines) == 2
    assert lines[0].endswith("for an epoch: the learning rate falls from 0.02 to 0.01")
    rows = read_rows(tmp_path / "run/metrics.jsonl")
    assert [row["learning_rate"] for row in rows if row["split"] == "train"] == [0.02, 0.02, 0.01]


def test_a_plateau_without_validation_data_is_refused() -> None:
    words = r"schedule\.metric='validation_loss': ReduceLROnPlateau watches validation data; set data\.validation above"
    with pytest.raises(InputError, match=words):
        build(tiny_config(**FALLS, data__validation=0.0))


def test_the_state_before_the_first_value_is_plateau_start() -> None:
    experiment = build(tiny_config(**FALLS))
    arguments = plateau_arguments(experiment.config.schedule)
    assert arguments is not None
    jax.tree.map(np.testing.assert_array_equal, initial_state(experiment).opt_state.plateau, plateau_start(arguments))
