"""Schedules: warm-up, defaults, what is refused, and what float32 must not lose."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.config.keys import SCHEDULES
from cnn_jax.errors import InputError
from cnn_jax.optimization.schedules import (
    check_rates,
    make_momentum,
    make_schedule,
)
from tests.support.schedules import BASE, schedule_block

TOLERANCE = 1e-6
WARM_UP = {"warmup": 20, "warmup_start_factor": 0.1}


def test_what_none_means() -> None:
    """T_max and total_steps: all that is left, after the warm-up or until the next scheduler's turn."""
    shared = {"unit": "steps", "warmup": 30}
    t = jnp.arange(150)
    for name, key in (("CosineAnnealingLR", "T_max"), ("OneCycleLR", "total_steps")):
        whole = make_schedule(schedule_block(name, **shared), BASE, 150, 1)(t)
        np.testing.assert_array_equal(
            whole, make_schedule(schedule_block(name, **shared, **{key: 120}), BASE, 150, 1)(t)
        )
    turns = [
        schedule_block(
            "SequentialLR", unit="steps", milestones=(50,), warmup=20,
            schedulers=(("CosineAnnealingLR", {"T_max": first}), ("CosineAnnealingLR", {"T_max": second})),
        )
        for first, second in ((None, None), (50, 80))
    ]  # fmt: skip
    np.testing.assert_array_equal(*(make_schedule(one, BASE, 150, 1)(t) for one in turns))


def test_warm_up_comes_before_any_schedule() -> None:
    """It rises to the first rate, and the schedule's own time begins after it; the momentum waits."""
    cycled = ("CyclicLR", "OneCycleLR")
    alone, warmed = ([schedule_block(name, unit="steps", **own) for name in SCHEDULES] for own in ({}, WARM_UP))
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
    schedule = make_schedule(schedule_block(name, warmup=1), BASE, 10, 30)
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
        first, second = (
            make_schedule(schedule_block(name, **own), base, 10, 10, peak=BASE) for base in (BASE, BASE / 8)
        )
        np.testing.assert_allclose(second(t), first(t) / 8, rtol=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
def test_defaults_fit_a_training_of_30_epochs(name: str) -> None:
    rates = np.asarray(make_schedule(schedule_block(name), BASE, 10, 30)(jnp.arange(300)))
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
    schedule = make_schedule(schedule_block(name, **arguments), BASE, steps_per_epoch, 1_000_001 // steps_per_epoch + 1)
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
    block = schedule_block("StepLR", unit="steps", step_size=2**20 + 1, gamma=0.5)
    schedule = make_schedule(block, BASE, 1, 2**25)
    np.testing.assert_allclose(schedule(jnp.asarray(n)), BASE * 0.5 ** (n // (2**20 + 1)), rtol=1e-6)
    milestone = make_schedule(
        schedule_block("MultiStepLR", unit="steps", milestones=(2**24 + 7,), gamma=0.5), BASE, 1, 2**25
    )
    np.testing.assert_allclose(milestone(jnp.asarray(n)), BASE * 0.5 ** (n >= 2**24 + 7), rtol=1e-6)


def test_a_function_instead_of_text() -> None:
    def factor(t: float) -> float:
        return 1.0 if t < 3 else 0.25

    for name, text in (("LambdaLR", "1 if t < 3 else 0.25"), ("MultiplicativeLR", "1 if t < 3 else 0.25")):
        by_text, by_function = schedule_block(name), schedule_block(name) | {"lr_lambda": factor}
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
        check_rates(make_schedule(schedule_block(name, **arguments), BASE, 10, 10), name, 100)


def test_rates_are_looked_at_to_the_very_end() -> None:
    for count in (1, 65_536, 65_537, 200_000):
        text = f"0 - (t == {count - 1})"
        schedule = make_schedule(schedule_block("LambdaLR", unit="steps", lr_lambda=text), BASE, count, 1)
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
        make_schedule(schedule_block(name, unit=unit), BASE, 10, epochs)
    assert make_schedule(schedule_block("MultiplicativeLR"), BASE, 100_000, 20)(0) == np.float32(BASE)
