"""Momentum that cycles with the rate, and rates that a metric lowers: as PyTorch has them, and through whole runs."""

import contextlib
import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.cli.signals import StopSignals
from cnn_jax.config.keys import OPTIMIZERS, SCHEDULES
from cnn_jax.config.tree import override
from cnn_jax.errors import InputError, Interrupted
from cnn_jax.experiment.epoch_callbacks import make_after_epoch, rate_factor
from cnn_jax.experiment.fitting import build, fit, initial_state
from cnn_jax.optimization.optimizers import FollowingState, make_optimizer
from cnn_jax.optimization.schedules import make_momentum, make_schedule, plateau_arguments, plateau_start
from cnn_jax.runs.metrics_file import read_rows
from cnn_jax.training.checkpointing import Checkpointer
from cnn_jax.training.loop import Trainer
from cnn_jax.training.loop_state import LoopState
from cnn_jax.training.program import LoopConfig, Program
from cnn_jax.training.requests import Requests
from cnn_jax.training.state import TrainState
from tests.support.helpers import ROOT, tiny_config
from tests.support.runs import assert_same_run, final_state, signal_at

pytestmark = pytest.mark.usefixtures("no_pictures")

STEPS = 60
WITH_MOMENTUM = [name for name, keys in OPTIMIZERS.items() if keys.keys() & {"momentum", "b1"}]


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    """What PyTorch computed; see tests/tools/make_torch_cycling.py."""
    with np.load(ROOT / "tests/fixtures/torch_cycling.npz", allow_pickle=False) as stored:
        return dict(stored)


def optimizer_block(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name} | {key: entry.default for key, entry in OPTIMIZERS[name].items()} | changes


def schedule_block(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name} | {key: entry.default for key, entry in SCHEDULES[name].items()} | changes


OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("sgd", {"learning_rate": 0.05}),
    "sgd_nesterov_decay": ("sgd", {"learning_rate": 0.05, "nesterov": True, "weight_decay": 0.05}),
    "adam": ("adam", {"learning_rate": 0.02}),
    "adamw": ("adamw", {"learning_rate": 0.02, "weight_decay": 0.1}),
    "rmsprop": ("rmsprop", {"learning_rate": 0.005, "momentum": 0.9}),
}
CYCLES: dict[str, tuple[str, dict[str, Any]]] = {
    "one_cycle": ("OneCycleLR", {}),
    "one_cycle_three_phase": (
        "OneCycleLR", {"three_phase": True, "pct_start": 0.4, "base_momentum": 0.5, "max_momentum": 0.8},
    ),
    "cyclic": ("CyclicLR", {"step_size_up": 8.0, "step_size_down": 12.0, "base_momentum": 0.6}),
}  # fmt: skip


# Each optimizer and each cycle, not each with each.
PAIRS = [("one_cycle", name) for name in OURS] + [
    ("one_cycle_three_phase", "sgd_nesterov_decay"), ("one_cycle_three_phase", "adamw"), ("cyclic", "sgd"),
    ("cyclic", "adam"), ("cyclic", "rmsprop"),
]  # fmt: skip


@pytest.mark.parametrize(("cycle", "name"), PAIRS)
def test_a_cycle_is_pytorchs(recorded: dict[str, np.ndarray], cycle: str, name: str) -> None:
    """60 steps of least squares: the step t takes rate(t) and momentum(t)."""
    (scheduler, more), (kind, arguments) = CYCLES[cycle], OURS[name]
    schedule = schedule_block(scheduler, unit="steps", **more)
    momentum = make_momentum(schedule, 1, STEPS)
    assert momentum is not None
    np.testing.assert_allclose(
        jax.vmap(momentum)(jnp.arange(STEPS)), recorded[f"{cycle}/{name}/momentum"], rtol=0, atol=1e-6
    )
    optimizer = make_optimizer(
        optimizer_block(kind, **arguments, decay_bias_and_norm=True),
        lambda base: make_schedule(schedule, base, 1, STEPS), momentum=momentum,
    )  # fmt: skip
    x, y, start = (jnp.asarray(recorded[key]) for key in ("x", "y", "start"))
    gradient = jax.grad(lambda w: ((x @ w - y) ** 2).mean())

    def step(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], Any]:
        w, state = carry
        updates, state = optimizer.update(gradient(w), state, w)
        w = optax.apply_updates(w, updates)
        return (w, state), w

    _, path = jax.lax.scan(step, (start, optimizer.init(start)), length=STEPS)
    np.testing.assert_allclose(path, recorded[f"{cycle}/{name}/path"], rtol=1e-5, atol=1e-5)


def params() -> dict[str, Any]:
    keys = jax.random.split(jax.random.key(0), 2)
    kernel = jax.random.normal(keys[0], (3, 3, 2, 4))
    return {"conv": {"kernel": kernel, "bias": jnp.ones(4)}, "logits": {"kernel": jax.random.normal(keys[1], (4, 3))}}


def paths(optimizer: optax.GradientTransformation, factors: tuple[float, ...] = ()) -> list[Any]:
    """Four updates of the same parameters; `factors` are put into the state's plateau before each."""
    w = params()
    state, out = jax.jit(optimizer.init)(w), []
    update = jax.jit(optimizer.update)
    for i in range(4):
        if factors:
            state = state._replace(plateau=state.plateau._replace(factor=jnp.float32(factors[i])))
        gradients = jax.tree.map(lambda leaf, i=i: jnp.sin(3 * leaf + i), w)
        updates, state = update(gradients, state, w)
        w = optax.apply_updates(w, updates)
        out.append(w)
    return out


def close(first: Any, second: Any, rtol: float = 2e-5) -> bool:
    return jax.tree.all(jax.tree.map(lambda a, b: np.allclose(a, b, rtol=rtol, atol=1e-6), first, second))


EXTRAS: dict[str, Any] = {"weight_decay": 0.05, "clip_norm": 3.0, "rate_multipliers": (("bias", 0.5),)}


@pytest.mark.parametrize("name", WITH_MOMENTUM)
def test_while_a_momentum_stays_it_is_the_plain_optimizer(name: str) -> None:
    block = optimizer_block(name, **EXTRAS) | ({"momentum": 0.9} if name == "rmsprop" else {})
    usual = block.get("momentum", block.get("b1"))
    constant = lambda base: lambda step: base  # noqa: E731
    plain = paths(make_optimizer(block, constant, "logits"))
    cycled = paths(make_optimizer(block, constant, "logits", lambda step: jnp.where(step < 2, usual, 0.2)))
    assert close(cycled[:2], plain[:2])
    assert not close(cycled[2:], plain[2:], rtol=1e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_factor_is_a_smaller_learning_rate(name: str) -> None:
    """From one update to the next, as a schedule that falls: of each rate, decay included, whatever the optimizer."""
    block = optimizer_block(name, **EXTRAS)
    factors = (1.0, 1.0, 0.25, 0.125)
    falling = lambda base: lambda step: base * jnp.asarray(factors)[step]  # noqa: E731
    constant = lambda base: lambda step: base  # noqa: E731
    start = plateau_start(schedule_block("ReduceLROnPlateau"))
    followed = paths(make_optimizer(block, constant, plateau=start), factors)
    assert close(followed, paths(make_optimizer(block, falling)), rtol=1e-6)


def test_only_those_that_follow_something_keep_it() -> None:
    plain = build(tiny_config()).optimizer
    assert not isinstance(jax.eval_shape(plain.init, params()), FollowingState)
    cycled = build(tiny_config(schedule__cycle_momentum=True)).optimizer
    state = jax.eval_shape(cycled.init, params())
    assert isinstance(state, FollowingState)
    assert (state.count.dtype, state.plateau) == (jnp.int32, ())
    state = jax.eval_shape(build(tiny_config(schedule__name="ReduceLROnPlateau")).optimizer.init, params())
    assert (state.count, state.plateau.factor.dtype, state.plateau.cooldown.dtype) == ((), jnp.float32, jnp.int32)


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
def test_rates_fall_in_the_loop_as_pytorchs_do(recorded: dict[str, np.ndarray], name: str) -> None:
    metrics, rates = recorded[f"plateau/{name}/metrics"], recorded[f"plateau/{name}/rates"]
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


@pytest.mark.parametrize(
    ("optimizer", "changes", "words"),
    [
        ("adagrad", {}, "OneCycleLR: the optimizer 'adagrad' has no momentum to cycle; set it to False"),
        ("adadelta", {}, "has no momentum to cycle"),
        ("sgd", {"optimizer__momentum": 0.0}, r"it needs optimizer\.momentum above 0"),
        ("rmsprop", {}, r"it needs optimizer\.momentum above 0"),
    ],
)
def test_a_cycle_without_momentum_is_refused(optimizer: str, changes: dict[str, Any], words: str) -> None:
    tiny_config(optimizer__name=optimizer, **changes)
    with pytest.raises(InputError, match=words):
        tiny_config(optimizer__name=optimizer, schedule__cycle_momentum=True, **changes)


def test_a_cycle_may_find_no_momentum() -> None:
    for optimizer, cycles in (("sgd", True), ("adam", True), ("rmsprop", False), ("adagrad", False)):
        config = tiny_config(optimizer__name=optimizer, schedule__cycle_momentum="auto")
        state = jax.eval_shape(build(config).optimizer.init, params())
        assert isinstance(state, FollowingState) == cycles, optimizer


def test_the_state_before_the_first_value_is_plateau_start() -> None:
    experiment = build(tiny_config(**FALLS))
    arguments = plateau_arguments(experiment.config.schedule)
    assert arguments is not None
    jax.tree.map(np.testing.assert_array_equal, initial_state(experiment).opt_state.plateau, plateau_start(arguments))


def test_recorded_results_are_what_torch_computes(recorded: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Live comparison where torch is installed, here or in the interpreter that CNN_JAX_TORCH_PYTHON names."""
    python = os.environ.get("CNN_JAX_TORCH_PYTHON", sys.executable)
    if subprocess.run(
        [python, "-c", "import importlib.util as u; assert u.find_spec('torch')"], capture_output=True
    ).returncode:
        pytest.skip("torch is not installed (CNN_JAX_TORCH_PYTHON may name an interpreter that has it)")
    path = tmp_path / "torch.npz"
    subprocess.run([python, str(ROOT / "tests/tools/make_torch_cycling.py"), str(path)], check=True)
    with np.load(path) as live:
        assert live.files == list(recorded)
        for key in live.files:
            np.testing.assert_allclose(live[key], recorded[key], rtol=1e-5, atol=1e-5, err_msg=key)
