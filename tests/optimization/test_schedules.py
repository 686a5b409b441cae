"""Every scheduler is PyTorch's: recorded curves, live ones where torch is installed, and what float32 must not lose."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax.config.keys import SCHEDULES
from cnn_jax.config.tree import default_config, override
from cnn_jax.errors import InputError
from cnn_jax.optimization.schedules import (
    PlateauState,
    check_rates,
    make_momentum,
    make_schedule,
    plateau_arguments,
    plateau_start,
    plateau_step,
)
from tests.support.helpers import ROOT

BASE, MOMENTUM, TOLERANCE = 0.4, 0.7, 1e-6
WARM_UP = {"warmup": 20, "warmup_start_factor": 0.1}
Curves = list[tuple[dict[str, Any], np.ndarray]]


def block(name: str, **arguments: Any) -> dict[str, Any]:
    """A validated `schedule` block; what is not given has its default."""
    config = default_config(schedule=name)
    config.optimizer.learning_rate = BASE
    config = override(config, [(f"schedule.{key}", value) for key, value in arguments.items()])
    return dict(config.schedule)


def read_curves(path: Path) -> Curves:
    with np.load(path, allow_pickle=False) as stored:
        return [(json.loads(str(name)), value) for name, value in zip(stored["names"], stored["values"], strict=True)]


@pytest.fixture(scope="module")
def recorded() -> Curves:
    """See tests/tools/make_schedule_fixtures.py."""
    return read_curves(ROOT / "tests/fixtures/torch_schedules.npz")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Curves:
    """Curves of arguments that are drawn anew; torch is here or in the interpreter CNN_JAX_TORCH_PYTHON names."""
    python = os.environ.get("CNN_JAX_TORCH_PYTHON", sys.executable)
    if subprocess.run(
        [python, "-c", "import importlib.util as u; assert u.find_spec('torch')"], capture_output=True
    ).returncode:
        pytest.skip("torch is not installed (CNN_JAX_TORCH_PYTHON may name an interpreter that has it)")
    path = tmp_path_factory.mktemp("torch") / "curves.npz"
    subprocess.run([python, str(ROOT / "tests/tools/make_schedule_fixtures.py"), str(path), "1"], check=True)
    return read_curves(path)


def assert_curves(curves: Curves, name: str, steps_per_epoch: int) -> None:
    """The rates and momenta of one scheduler's cases, compiled as one program, at whole units."""
    cases = [(case, expected) for case, expected in curves if case["name"] == name]
    assert len(cases) >= 3
    unit = "steps" if steps_per_epoch == 1 else "epochs"
    blocks = [block(unit=unit, **case) for case, _ in cases]
    count = len(cases[0][1][0])
    assert count >= 100
    rates = [make_schedule(one, BASE, steps_per_epoch, count) for one in blocks]
    momenta = [make_momentum(one, steps_per_epoch, count) or (lambda t: jnp.full(t.shape, MOMENTUM)) for one in blocks]
    t = jnp.arange(count) * steps_per_epoch
    ours = jax.jit(lambda t: [(rate(t), momentum(t)) for rate, momentum in zip(rates, momenta, strict=True)])(t)
    for (case, expected), (rate, momentum) in zip(cases, ours, strict=True):
        peak = np.abs(expected[0]).max()
        np.testing.assert_allclose(rate, expected[0], rtol=0, atol=TOLERANCE * peak, err_msg=str(case))
        np.testing.assert_allclose(momentum, expected[1], rtol=0, atol=TOLERANCE, err_msg=str(case))


CURVES = [name for name in SCHEDULES if name not in ("constant", "ReduceLROnPlateau")]


@pytest.mark.parametrize("name", CURVES)
def test_recorded_curves(recorded: Curves, name: str) -> None:
    assert_curves(recorded, name, steps_per_epoch=1)


@pytest.mark.parametrize("name", CURVES)
def test_epochs_are_steps_of_pytorch(recorded: Curves, name: str) -> None:
    """PyTorch's schedulers are stepped once an epoch; only OneCycleLR means updates, whatever the unit."""
    cases = [case for case in recorded if "OneCycleLR" not in str(case[0])]
    if name != "OneCycleLR":
        assert_curves(cases, name, steps_per_epoch=7)


@pytest.mark.parametrize("name", CURVES)
def test_live_curves(live: Curves, name: str) -> None:
    assert_curves(live, name, steps_per_epoch=1)


def test_what_none_means() -> None:
    """T_max and total_steps: all that is left, after the warm-up or until the next scheduler's turn."""
    shared = {"unit": "steps", "warmup": 30}
    t = jnp.arange(150)
    for name, key in (("CosineAnnealingLR", "T_max"), ("OneCycleLR", "total_steps")):
        whole = make_schedule(block(name, **shared), BASE, 150, 1)(t)
        np.testing.assert_array_equal(whole, make_schedule(block(name, **shared, **{key: 120}), BASE, 150, 1)(t))
    turns = [
        block(
            "SequentialLR", unit="steps", milestones=(50,), warmup=20,
            schedulers=(("CosineAnnealingLR", {"T_max": first}), ("CosineAnnealingLR", {"T_max": second})),
        )
        for first, second in ((None, None), (50, 80))
    ]  # fmt: skip
    np.testing.assert_array_equal(*(make_schedule(one, BASE, 150, 1)(t) for one in turns))


def test_warm_up_comes_before_any_schedule() -> None:
    """It rises to the first rate, and the schedule's own time begins after it; the momentum waits."""
    cycled = ("CyclicLR", "OneCycleLR")
    alone, warmed = ([block(name, unit="steps", **own) for name in SCHEDULES] for own in ({}, WARM_UP))
    pairs = [
        (make_schedule(a, BASE, 100, 1), make_schedule(b, BASE, 120, 1)) for a, b in zip(alone, warmed, strict=True)
    ]
    for a, b in zip(alone, warmed, strict=True):
        first, second = make_momentum(a, 100, 1), make_momentum(b, 120, 1)
        assert (first is not None) == (second is not None) == (a["name"] in cycled)
        if first is not None and second is not None:
            pairs.append((first, second))
    curves = jax.jit(lambda t: [(first(t), second(t)) for first, second in pairs])(jnp.arange(120))
    for name, (own, ours) in zip([*SCHEDULES, *cycled], curves, strict=True):
        np.testing.assert_allclose(ours[20:], own[:100], rtol=1e-6, atol=1e-9, err_msg=name)
    for name, (own, ours) in zip(SCHEDULES, curves, strict=False):
        np.testing.assert_allclose(ours[:20], own[0] * (0.1 + 0.9 * np.arange(20) / 20), rtol=1e-6, err_msg=name)
    for own, ours in curves[len(SCHEDULES) :]:
        np.testing.assert_allclose(ours[:20], own[0], rtol=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_step_at_a_time_is_the_curve(name: str) -> None:
    """A number, an array of no dimension and a whole array of steps give the same rates, compiled or not."""
    schedule = make_schedule(block(name, warmup=1), BASE, 10, 30)
    curve = np.asarray(schedule(jnp.arange(300)))
    compiled = jax.jit(schedule)
    for t in (0, 1, 10, 77, 299):
        assert schedule(t).dtype == jnp.float32
        assert schedule(t).shape == ()
        for one in (schedule(t), schedule(jnp.int32(t)), compiled(t)):
            np.testing.assert_allclose(one, curve[t], rtol=1e-6, atol=1e-9)


def test_other_base_rates_follow_in_proportion() -> None:
    """What a schedule's own rates are meant for is the config's base rate."""
    t = jnp.arange(100)
    for name, own in (
        ("CosineAnnealingLR", {"eta_min": 0.1}),
        ("CyclicLR", {"base_lr": 0.1}),
        ("SWALR", {"swa_lr": 0.2}),
    ):
        first, second = (make_schedule(block(name, **own), base, 10, 10, peak=BASE) for base in (BASE, BASE / 8))
        np.testing.assert_allclose(second(t), first(t) / 8, rtol=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
def test_defaults_fit_a_training_of_30_epochs(name: str) -> None:
    rates = np.asarray(make_schedule(block(name), BASE, 10, 30)(jnp.arange(300)))
    assert np.isfinite(rates).all()
    assert rates.min() >= 0
    assert 0.3 * BASE < rates.max() <= BASE * 1.000001
    if name in ("CosineAnnealingLR", "OneCycleLR"):
        assert rates[-1] < 0.001 * BASE
        assert rates[-1] == rates.min()


# What float32 must not lose: curves against their formulas in float64, at steps up to a million.


def far(steps_per_epoch: int) -> np.ndarray:
    """Whole epochs and their neighbours, near the start and near a million."""
    epochs = np.concatenate([np.arange(60), 1_000_000 // steps_per_epoch - np.arange(40)])
    return np.unique((epochs[:, None] * steps_per_epoch + [-1, 0, 1]).clip(0))


FORMULAS: list[tuple[str, dict[str, Any], Any]] = [
    ("StepLR", {"step_size": 7, "gamma": 0.999}, lambda n, d: 0.999 ** (n // (7 * d))),
    ("StepLR", {"step_size": 41, "gamma": 0.999}, lambda n, d: 0.999 ** (n // (41 * d))),
    ("ExponentialLR", {"gamma": 0.9999}, lambda n, d: 0.9999 ** (n / d)),
    ("CosineAnnealingLR", {"T_max": 5}, lambda n, d: (1 + np.cos(np.pi * (n % (10 * d)) / (5 * d))) / 2),
    ("CosineAnnealingWarmRestarts", {"T_0": 3}, lambda n, d: (1 + np.cos(np.pi * (n % (3 * d)) / (3 * d))) / 2),
    ("PolynomialLR", {"total_iters": 59, "power": 0.3},
     lambda n, d: (np.maximum(59 * d - n, 0) / (59 * d)) ** 0.3),
    ("CyclicLR", {"base_lr": 0.0, "step_size_up": 4, "mode": "exp_range", "gamma": 0.99999},
     lambda n, d: (1 - np.abs(n % (8 * d) - 4 * d) / (4 * d)) * 0.99999 ** (n / d)),
    ("LambdaLR", {"lr_lambda": "0.5 ** (t // 7 % 9)"}, lambda n, d: 0.5 ** (n // (7 * d) % 9)),
    ("MultiplicativeLR", {"lr_lambda": "0.9999"}, lambda n, d: 0.9999 ** (n // d)),
]  # fmt: skip


@pytest.mark.parametrize("steps_per_epoch", [1, 781])
@pytest.mark.parametrize(("name", "arguments", "formula"), FORMULAS)
def test_far_steps(name: str, arguments: dict[str, Any], formula: Any, steps_per_epoch: int) -> None:
    n = far(steps_per_epoch)
    schedule = make_schedule(block(name, **arguments), BASE, steps_per_epoch, 1_000_001 // steps_per_epoch + 1)
    ours = jax.jit(schedule)(jnp.asarray(n, jnp.int32))
    np.testing.assert_allclose(
        ours, BASE * formula(n.astype(np.float64), steps_per_epoch), rtol=0, atol=BASE * TOLERANCE
    )


def test_compiled_steps_drop_exactly_when_they_should() -> None:
    """XLA divides by a rounded reciprocal; 41, 47, 55 and other lengths would drop one step late."""
    lengths = (1, 2, 7, 29, 41, 47, 55, 61, 82, 83, 94, 97, 99, 17.5, 2.25)
    schedules = [make_schedule({"name": "StepLR", "step_size": length, "gamma": 0.97, "unit": "steps"}, 1.0, 1, 1)
                 for length in lengths]  # fmt: skip
    drops = jax.jit(lambda t: [schedule(t) for schedule in schedules])(jnp.arange(1000))
    for length, rates in zip(lengths, drops, strict=True):
        expected = 0.97 ** np.floor_divide(np.arange(1000), length)
        np.testing.assert_allclose(rates, expected, rtol=1e-3, err_msg=f"step_size {length}")


def test_beyond_what_float32_counts() -> None:
    n = 2**24 + np.arange(20)
    schedule = make_schedule(block("StepLR", unit="steps", step_size=2**20 + 1, gamma=0.5), BASE, 1, 2**25)
    np.testing.assert_allclose(schedule(jnp.asarray(n)), BASE * 0.5 ** (n // (2**20 + 1)), rtol=1e-6)
    milestone = make_schedule(block("MultiStepLR", unit="steps", milestones=(2**24 + 7,), gamma=0.5), BASE, 1, 2**25)
    np.testing.assert_allclose(milestone(jnp.asarray(n)), BASE * 0.5 ** (n >= 2**24 + 7), rtol=1e-6)


def test_a_function_instead_of_text() -> None:
    def factor(t: float) -> float:
        return 1.0 if t < 3 else 0.25

    for name, text in (("LambdaLR", "1 if t < 3 else 0.25"), ("MultiplicativeLR", "1 if t < 3 else 0.25")):
        by_text, by_function = block(name), block(name) | {"lr_lambda": factor}
        rates = [make_schedule(one, BASE, 5, 6)(jnp.arange(30)) for one in (by_text | {"lr_lambda": text}, by_function)]
        np.testing.assert_array_equal(*rates)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("LambdaLR", {"lr_lambda": "1 - t"}, "'LambdaLR' with these arguments gives a rate of -0.04 at step 11 of 100"),
        ("LambdaLR", {"lr_lambda": "1 / (5 - t)"}, "a rate of inf at step 50"),
        ("LambdaLR", {"lr_lambda": "log(3 - t)"}, "a rate of -0.0421442 at step 21"),
        ("LambdaLR", {"lr_lambda": "9 ** 9 ** 9 ** 9"}, "a rate of inf at step 0"),
        ("MultiplicativeLR", {"lr_lambda": "sqrt(3.5 - t)"}, "a rate of nan at step 40"),
        ("ExponentialLR", {"gamma": 1e30}, "a rate of inf at step 13"),
        ("OneCycleLR", {"div_factor": 1e-300}, "a rate of inf at step 0"),
    ],
)
def test_rates_that_cannot_be(name: str, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words.replace(".", r"\.")):
        check_rates(make_schedule(block(name, **arguments), BASE, 10, 10), name, 100)


def test_rates_are_looked_at_to_the_very_end() -> None:
    for count in (1, 65_536, 65_537, 200_000):
        text = f"0 - (t == {count - 1})"
        schedule = make_schedule(block("LambdaLR", unit="steps", lr_lambda=text), BASE, count, 1)
        with pytest.raises(InputError, match=f"at step {count - 1} of {count};"):
            check_rates(schedule, "LambdaLR", count)
        check_rates(schedule, "LambdaLR", count - 1)


@pytest.mark.parametrize(
    ("name", "unit", "epochs", "words"),
    [
        (
            "constant",
            "steps",
            2**28,
            "num_epochs=268435456: with 10 steps each that is 2684354560 steps; at most 214748",
        ),
        (
            "LambdaLR",
            "epochs",
            2**27,
            "lr_lambda would be computed 1342177280 times for this training; at most 20000000",
        ),
        ("MultiplicativeLR", "steps", 2**27, "lr_lambda would be computed 1342177280 times"),
    ],
)
def test_trainings_that_are_too_long(name: str, unit: str, epochs: int, words: str) -> None:
    """Refused at once: neither an overflow nor a table that fills the memory."""
    with pytest.raises(InputError, match=words):
        make_schedule(block(name, unit=unit), BASE, 10, epochs)
    assert make_schedule(block("MultiplicativeLR"), BASE, 100_000, 20)(0) == np.float32(BASE)


# ReduceLROnPlateau


def test_recorded_plateaus(recorded: Curves) -> None:
    assert_plateaus(recorded)


def test_live_plateaus(live: Curves) -> None:
    assert_plateaus(live)


def assert_plateaus(curves: Curves) -> None:
    cases = [(case, values) for case, values in curves if case["name"] == "ReduceLROnPlateau"]
    assert len(cases) >= 20
    assert sum(np.unique(rates).size > 2 for _, (_, rates) in cases) > 10
    for case, (metrics, rates) in cases:
        arguments = plateau_arguments(block(**case))
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
    arguments = plateau_arguments(block("ReduceLROnPlateau", patience=1, factor=0.5, cooldown=1, threshold=0.0))
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
        assert (plateau_arguments(block(name)) is None) == (name != "ReduceLROnPlateau")
    found = plateau_arguments(block("ReduceLROnPlateau"))
    assert found is not None
    assert set(found) == {
        "mode", "metric", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps",
    }  # fmt: skip
    rates = make_schedule(block("ReduceLROnPlateau"), BASE, 10, 10)(jnp.arange(100))
    np.testing.assert_allclose(rates, BASE, rtol=1e-6)
