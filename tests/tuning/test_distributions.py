"""Each of wandb's distributions against SciPy's or a closed form; random trials that no order changes."""

import hashlib
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cnn_jax.tuning.search.distributions import Distribution
from cnn_jax.tuning.search.draws import draw, uniform
from cnn_jax.tuning.search.parameters import ARGUMENTS, read_distribution
from cnn_jax.tuning.sweeps.file import Metric, Parameter, Sweep
from tests.support.helpers import ROOT

LOGARITHMIC = stats.loguniform(1e-4, 0.1)
EXPONENTS = {"min": math.log(1e-4), "max": math.log(0.1)}
INVERSE = {"min": -math.log(0.1), "max": -math.log(1e-4)}  # of log(1/X)
VALUES = {"min": 1e-4, "max": 0.1}
LOG_NORMAL = stats.lognorm(s=0.5, scale=math.exp(-1.0))

CONTINUOUS: dict[str, tuple[dict[str, Any], Any]] = {
    "uniform": ({"min": -1.5, "max": 2.0}, stats.uniform(-1.5, 3.5)),
    "log_uniform": (EXPONENTS, LOGARITHMIC),
    "log_uniform_values": (VALUES, LOGARITHMIC),
    "inv_log_uniform": (INVERSE, LOGARITHMIC),
    "inv_log_uniform_values": (VALUES, LOGARITHMIC),
    "normal": ({"mu": 2.0, "sigma": 3.0}, stats.norm(2.0, 3.0)),
    "log_normal": ({"mu": -1.0, "sigma": 0.5}, LOG_NORMAL),
    "beta": ({"a": 2.0, "b": 5.0}, stats.beta(2.0, 5.0)),
}
ROUNDED: dict[str, tuple[dict[str, Any], Any, float, float]] = {  # arguments, X, and the multiples that X may become
    "q_uniform": ({"min": 0.12, "max": 0.95, "q": 0.1}, stats.uniform(0.12, 0.83), 2, 9),
    "q_log_uniform": ({"min": math.log(16), "max": math.log(250), "q": 16}, stats.loguniform(16, 250), 1, 15),
    "q_log_uniform_values": ({"min": 16, "max": 250, "q": 16}, stats.loguniform(16, 250), 1, 15),
    "q_normal": ({"mu": 2.0, "sigma": 3.0, "q": 2}, stats.norm(2.0, 3.0), -math.inf, math.inf),
    "q_log_normal": ({"mu": 1.0, "sigma": 0.5, "q": 0.25}, stats.lognorm(s=0.5, scale=math.e), 0, math.inf),
    "q_beta": ({"a": 2.0, "b": 5.0, "q": 0.05}, stats.beta(2.0, 5.0), 0, 20),
}
DISCRETE: dict[str, dict[str, Any]] = {
    "constant": {"value": [1, "two", None]},
    "categorical": {"values": [1, True, "1", 1.5, [8, 16], {"a": 1}, None]},
    "int_uniform": {"min": -2, "max": 5},
    **{kind: arguments for kind, (arguments, *_) in ROUNDED.items()},
}
EVERY = {**{kind: arguments for kind, (arguments, _) in CONTINUOUS.items()}, **DISCRETE}
SAMPLE = [uniform(0, number, "x") for number in range(4000)]


def distribution(kind: str, **arguments: Any) -> Distribution:
    return read_distribution("x", {"distribution": kind, **arguments})


def test_every_kind_is_tested() -> None:
    assert set(EVERY) == set(ARGUMENTS)


@pytest.mark.parametrize("kind", CONTINUOUS)
def test_continuous_kinds_are_scipys(kind: str) -> None:
    arguments, reference = CONTINUOUS[kind]
    made = distribution(kind, **arguments)
    values = [made.quantile(u) for u in SAMPLE]
    np.testing.assert_allclose(values, reference.ppf(SAMPLE), rtol=1e-9)
    np.testing.assert_allclose([made.position(value) for value in values], SAMPLE, atol=1e-12)
    assert stats.kstest(values, reference.cdf).pvalue > 0.01
    assert all(type(value) is float for value in values)
    assert made.grid() is None


def test_inverse_log_uniform_is_what_its_name_says() -> None:
    made = distribution("inv_log_uniform", min=1.0, max=4.0)
    logarithms = [math.log(1 / made.quantile(u)) for u in SAMPLE]
    assert stats.kstest(logarithms, stats.uniform(1.0, 3.0).cdf).pvalue > 0.01


@pytest.mark.parametrize("kind", ROUNDED)
def test_rounded_kinds_are_multiples_within_the_bounds(kind: str) -> None:
    arguments, reference, first, last = ROUNDED[kind]
    made, q = distribution(kind, **arguments), arguments["q"]
    steps = np.clip(np.round(reference.ppf(SAMPLE) / q), first, last)
    values = [made.quantile(u) for u in SAMPLE]
    np.testing.assert_allclose(values, steps * q, rtol=1e-12)
    assert {type(value) for value in values} == {type(q)}
    assert all(value == float(repr(round(value, 6))) for value in values)  # 0.3, not 0.30000000000000004
    grid = made.grid()
    assert (grid is None) == math.isinf(last)
    if grid is not None:
        np.testing.assert_allclose(grid, np.arange(first, last + 1) * q, rtol=1e-12)
        assert set(values) == set(grid) or (kind == "q_beta" and set(values) < set(grid))  # 0.9 is rare
        if "min" in arguments and kind != "q_log_uniform":
            assert arguments["min"] <= min(values) <= max(values) <= arguments["max"]


@pytest.mark.parametrize("kind", DISCRETE)
def test_a_position_is_mapped_to_its_value(kind: str) -> None:
    made = distribution(kind, **DISCRETE[kind])
    values = made.grid() or [made.quantile(u) for u in SAMPLE[:200]]
    for value in values:
        position = made.position(value)
        again = made.quantile(position)
        assert 0 < position < 1
        assert again == value
        assert type(again) is type(value)


def test_the_position_is_the_middle_of_its_step() -> None:
    assert distribution("int_uniform", min=1, max=4).position(2) == pytest.approx(0.375)
    assert distribution("categorical", values=["a", "b"], probabilities=[0.2, 0.8]).position("b") == pytest.approx(0.6)
    # 1, 2 and 3 from X uniform in [1, 3]: 1 is what lies below 1.5, 2 what lies between 1.5 and 2.5
    made = distribution("q_uniform", min=1, max=3)
    assert [made.position(value) for value in (1, 2, 3)] == pytest.approx([0.125, 0.5, 0.875])


@pytest.mark.parametrize("kind", ["int_uniform", "categorical"])
def test_whole_numbers_and_choices_are_equally_likely(kind: str) -> None:
    made = distribution(kind, **DISCRETE[kind])
    grid = made.grid()
    assert grid is not None
    drawn = [repr(made.quantile(u)) for u in SAMPLE]
    counts = [drawn.count(repr(value)) for value in grid]
    assert sum(counts) == len(SAMPLE)
    assert stats.chisquare(counts).pvalue > 0.01


def test_probabilities_are_kept() -> None:
    shares = [0.1, 0.0, 0.6, 0.3]
    made = distribution("categorical", values=["a", "b", "c", "d"], probabilities=shares)
    drawn = [made.quantile(u) for u in SAMPLE]
    assert "b" not in drawn
    counts = [drawn.count(value) for value in "acd"]
    assert stats.chisquare(counts, [4000 * share for share in (0.1, 0.6, 0.3)]).pvalue > 0.01


@pytest.mark.parametrize("kind", [kind for kind, arguments in EVERY.items() if "min" in arguments])
def test_bounds_are_kept_exactly(kind: str) -> None:
    made = distribution(kind, **EVERY[kind])
    least, most = made.bounds
    for u in (0.0, 5e-324, 1e-17, 1 - 2**-53, 1.0):
        assert least <= made.quantile(u) <= most


@pytest.mark.parametrize("bounds", [(1e-5, 3e-3), (1e-3, 0.7), (3e-4, 11.0), (7.0, 1e5), (0.1, 0.3)])
def test_rounding_errors_of_logarithms_leave_no_bounds(bounds: tuple[float, float]) -> None:
    made = Distribution("log_uniform_values", min=bounds[0], max=bounds[1])
    for u in (0.0, 2**-60, 2**-53, 1 - 2**-52, 1.0):
        assert bounds[0] <= made.quantile(u) <= bounds[1]


@settings(deadline=None)
@given(
    st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.floats(1e-3, 1e3), st.floats(0, 1),
)  # fmt: skip
def test_no_multiple_leaves_the_bounds(least: float, width: float, q: float, u: float) -> None:
    made = Distribution("q_uniform", min=least, max=least + width, q=q)
    if made.has_multiples:
        value = made.quantile(u)
        assert least <= value <= least + width
        assert made.quantile(made.position(value)) == value


def test_values_that_are_drawn_are_nobodys_property() -> None:
    made = distribution("constant", value=[8, 16])
    made.quantile(0.5).append(32)
    assert made.quantile(0.5) == [8, 16]


def test_a_grid_takes_each_value_once() -> None:
    assert distribution("categorical", values=[3, 1, 3.0, True, "1"]).grid() == (3, 1, True, "1")
    assert distribution("int_uniform", min=0, max=10**6).grid() is None
    assert distribution("q_uniform", min=0.0, max=0.3, q=0.1).grid() == (0.0, 0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        ({"value": 3}, "constant"), ({"value": None}, "constant"), ({"values": [1, 2]}, "categorical"),
        ({"values": [1, 2], "probabilities": [0.5, 0.5]}, "categorical"), ({"min": 1, "max": 8}, "int_uniform"),
        ({"min": 1, "max": 8.0}, "uniform"), ({"min": 0.0, "max": 1}, "uniform"),
        ({"distribution": "categorical_w_probabilities", "values": [1], "probabilities": [1]}, "categorical"),
    ],
)  # fmt: skip
def test_a_distribution_that_is_left_out(block: dict[str, Any], kind: str) -> None:
    assert read_distribution("x", block).kind == kind


def sweep_of(*names: str) -> Sweep:
    made = distribution("uniform", min=0.0, max=1.0)
    parameters = tuple(Parameter((name,), made) for name in names)
    metric = Metric("validation_accuracy", "maximize")
    return Sweep(Path("x.yaml"), {}, "train.py", "random", metric, parameters, None, (), None, None)


def test_draws_depend_on_seed_number_and_name_alone() -> None:
    sweep = sweep_of("config.a", "config.b")
    backwards = [draw(sweep, 7, number) for number in reversed(range(20))]
    assert backwards[::-1] == [draw(sweep, 7, number) for number in range(20)]
    assert draw(sweep_of("config.c", "config.b"), 7, 3)["config.b"] == draw(sweep, 7, 3)["config.b"]
    every = [value for seed in (7, 8) for number in range(20) for value in draw(sweep, seed, number).values()]
    assert len(set(every)) == len(every)


def test_draws_are_the_same_in_every_process() -> None:
    code = "from cnn_jax.tuning.search.draws import uniform; print([uniform(3, n, 'config.a') for n in range(5)])"
    for seed in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert result.stdout.strip() == str([uniform(3, n, "config.a") for n in range(5)])
    digits = int(hashlib.sha256(b"0/0/config.a").hexdigest()[:13], 16)
    assert uniform(0, 0, "config.a") == (digits + 0.5) / 16**13
