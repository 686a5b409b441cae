"""ReduceLROnPlateau: PyTorch's recorded and live, and its documentation line by line."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax.config.keys import SCHEDULES
from cnn_jax.optimization.schedules import (
    PlateauState,
    make_schedule,
    plateau_arguments,
    plateau_start,
    plateau_step,
)
from tests.support.schedules import BASE, Curves, schedule_block


def test_recorded_plateaus(recorded: Curves) -> None:
    assert_plateaus(recorded)


def test_live_plateaus(live: Curves) -> None:
    assert_plateaus(live)


def assert_plateaus(curves: Curves) -> None:
    cases = [(case, values) for case, values in curves if case["name"] == "ReduceLROnPlateau"]
    assert len(cases) >= 20
    assert sum(np.unique(rates).size > 2 for _, (_, rates) in cases) > 10
    for case, (metrics, rates) in cases:
        arguments = plateau_arguments(schedule_block(**case))
        assert arguments is not None
        np.testing.assert_allclose(BASE * factors(metrics, arguments), rates, rtol=1e-12, err_msg=str(case))


def factors(metrics: Any, arguments: Mapping[str, Any]) -> np.ndarray:
    state, found = plateau_start(arguments), []
    for value in metrics:
        state = plateau_step(state, value, arguments, BASE)
        found.append(float(state.factor))
    return np.array(found)


def by_the_rule(metrics: list[float], a: Mapping[str, Any]) -> list[float]:
    """PyTorch's documentation, line by line."""
    rate, best, bad, cooldown, rates = BASE, None, 0, 0, []
    for value in metrics:
        if best is None:
            better = -np.inf < value < np.inf
        else:
            margin = a["threshold"] * (best if a["threshold_mode"] == "rel" else 1)
            better = value < best - margin if a["mode"] == "min" else value > best + margin
        if better:
            best, bad = value, 0
        else:
            bad += 1
        if cooldown > 0:
            cooldown, bad = cooldown - 1, 0
        if bad > a["patience"]:
            lower = max(rate * a["factor"], a["min_lr"])
            rate = lower if rate - lower > a["eps"] else rate
            cooldown, bad = a["cooldown"], 0
        rates.append(rate)
    return rates


plateaus = st.fixed_dictionaries({
    "mode": st.sampled_from(["min", "max"]), "factor": st.sampled_from([0.1, 0.5, 0.75]), "patience": st.integers(0, 4),
    "threshold": st.sampled_from([0.0, 0.125, 0.5]), "threshold_mode": st.sampled_from(["rel", "abs"]),
    "cooldown": st.integers(0, 3), "min_lr": st.sampled_from([0.0, 0.01, 0.4]), "eps": st.sampled_from([0.0, 0.02]),
})  # fmt: skip
# Of few values, in eighths, so that equal ones and exact thresholds come up; float32 holds them exactly.
values = st.lists(st.one_of(st.integers(1, 24).map(lambda n: n / 8), st.just(float("nan"))), max_size=40)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(values, plateaus)
def test_plateaus_follow_the_rule(metrics: list[float], arguments: dict[str, Any]) -> None:
    np.testing.assert_allclose(BASE * factors(metrics, arguments), by_the_rule(metrics, arguments), rtol=1e-12)


def test_a_compiled_plateau_is_the_same() -> None:
    """In the optimizer's state the numbers are float32 of JAX; the decisions are those of float64."""
    arguments = plateau_arguments(
        schedule_block("ReduceLROnPlateau", patience=1, factor=0.5, cooldown=1, threshold=0.0)
    )
    assert arguments is not None
    metrics = np.random.default_rng(0).integers(1, 9, 60) / 10  # equal ones must not count as better, once rounded
    state = jax.tree.map(jnp.asarray, plateau_start(arguments))
    compiled = jax.jit(lambda state, value: plateau_step(state, value, arguments, BASE))
    for value, expected in zip(metrics, factors(metrics, arguments), strict=True):
        on_host = plateau_step(jax.device_get(state), float(value), arguments, BASE)
        state = compiled(state, value)
        assert [float(leaf) for leaf in state] == [float(leaf) for leaf in on_host]
        assert isinstance(state, PlateauState)
        assert {leaf.dtype for leaf in (state.factor, state.best)} == {jnp.dtype("float32")}
        assert {leaf.dtype for leaf in (state.bad_epochs, state.cooldown)} == {jnp.dtype("int32")}
        np.testing.assert_allclose(state.factor, expected, rtol=1e-6)
    assert float(state.factor) < 0.1


def test_only_a_plateau_has_its_arguments() -> None:
    for name in SCHEDULES:
        assert (plateau_arguments(schedule_block(name)) is None) == (name != "ReduceLROnPlateau")
    found = plateau_arguments(schedule_block("ReduceLROnPlateau"))
    assert found is not None
    assert set(found) == {
        "mode", "metric", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps",
    }  # fmt: skip
    rates = make_schedule(schedule_block("ReduceLROnPlateau"), BASE, 10, 10)(jnp.arange(100))
    np.testing.assert_allclose(rates, BASE, rtol=1e-6)
