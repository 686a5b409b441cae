"""Momentum that cycles with the rate, and rates that a factor lowers, as PyTorch has them."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.config.keys import OPTIMIZERS
from cnn_jax.errors import InputError
from cnn_jax.experiment.fitting import build
from cnn_jax.optimization.optimizers import FollowingState, make_optimizer
from cnn_jax.optimization.schedules import make_momentum, make_schedule, plateau_start
from tests.support.helpers import optimizer_block, tiny_config
from tests.support.schedules import run_with_torch, schedule_block

pytestmark = pytest.mark.usefixtures("no_pictures")

STEPS = 60
WITH_MOMENTUM = [name for name, keys in OPTIMIZERS.items() if keys.keys() & {"momentum", "b1"}]


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
def test_a_cycle_is_pytorchs(recorded_cycling: dict[str, np.ndarray], cycle: str, name: str) -> None:
    """60 steps of least squares: the step t takes rate(t) and momentum(t)."""
    (scheduler, more), (kind, arguments) = CYCLES[cycle], OURS[name]
    schedule = schedule_block(scheduler, unit="steps", **more)
    momentum = make_momentum(schedule, 1, STEPS)
    assert momentum is not None
    np.testing.assert_allclose(
        jax.vmap(momentum)(jnp.arange(STEPS)), recorded_cycling[f"{cycle}/{name}/momentum"], rtol=0, atol=1e-6
    )
    optimizer = make_optimizer(
        optimizer_block(kind, **arguments, decay_bias_and_norm=True),
        lambda base: make_schedule(schedule, base, 1, STEPS), momentum=momentum,
    )  # fmt: skip
    x, y, start = (jnp.asarray(recorded_cycling[key]) for key in ("x", "y", "start"))
    gradient = jax.grad(lambda w: ((x @ w - y) ** 2).mean())

    def step(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], Any]:
        w, state = carry
        updates, state = optimizer.update(gradient(w), state, w)
        w = optax.apply_updates(w, updates)
        return (w, state), w

    _, path = jax.lax.scan(step, (start, optimizer.init(start)), length=STEPS)
    np.testing.assert_allclose(path, recorded_cycling[f"{cycle}/{name}/path"], rtol=1e-5, atol=1e-5)


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


def test_recorded_results_are_what_torch_computes(recorded_cycling: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Live comparison where torch is installed."""
    path = tmp_path / "torch.npz"
    run_with_torch("make_torch_cycling.py", path)
    with np.load(path) as live:
        assert live.files == list(recorded_cycling)
        for key in live.files:
            np.testing.assert_allclose(live[key], recorded_cycling[key], rtol=1e-5, atol=1e-5, err_msg=key)
