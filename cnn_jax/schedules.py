"""Learning rates as functions of the step: PyTorch's schedulers in closed form, with its argument names.

Each builder takes (base, steps_per_epoch, num_steps) and its own arguments, and returns a function from the number of
updates made so far to the rate, fit for `jit`. Durations count epochs, or steps with unit="steps". In epochs the curves
are smooth, and at the ends of epochs what PyTorch's are when stepped once an epoch; one_cycle is stepped every update.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

Schedule = Callable[[jax.Array | int], jax.Array]


def constant(base: float, steps_per_epoch: int, num_steps: int) -> Schedule:
    """b"""
    return lambda step: jnp.float32(base)


def step(base: float, steps_per_epoch: int, num_steps: int, *, step_size: float, gamma: float, unit: str) -> Schedule:
    """StepLR: b * gamma ^ floor(t / step_size)."""
    length = _in_steps(step_size, unit, steps_per_epoch)

    def schedule(t: jax.Array | int) -> jax.Array:
        # XLA divides by multiplying with a rounded 1 / length, which may fall short of a whole number.
        guess = jnp.floor(_float(t) / length)
        drops = guess + ((guess + 1) * length <= _float(t)) - (guess * length > _float(t))
        return base * gamma**drops

    return schedule


def multistep(
    base: float, steps_per_epoch: int, num_steps: int, *, milestones: Sequence[float], gamma: float, unit: str
) -> Schedule:
    """MultiStepLR: b * gamma ^ #{milestones m <= t}; a milestone given twice counts twice."""
    steps = jnp.array([_in_steps(milestone, unit, steps_per_epoch) for milestone in milestones], jnp.float32)
    return lambda t: base * gamma ** (steps <= _float(t)).sum()


def exponential(base: float, steps_per_epoch: int, num_steps: int, *, gamma: float, unit: str) -> Schedule:
    """ExponentialLR: b * gamma ^ t."""
    length = _in_steps(1.0, unit, steps_per_epoch)
    return lambda t: base * jnp.exp(math.log(gamma) * (_float(t) / length))


def cosine(
    base: float, steps_per_epoch: int, num_steps: int, *, T_max: float | None, eta_min: float, unit: str
) -> Schedule:
    """CosineAnnealingLR: eta_min + (b - eta_min) (1 + cos(pi t / T_max)) / 2; it rises again after T_max."""
    length = num_steps if T_max is None else _in_steps(T_max, unit, steps_per_epoch)
    return lambda t: eta_min + (base - eta_min) * (1 + jnp.cos(math.pi * (_float(t) / length))) / 2


def warmup_cosine(
    base: float, steps_per_epoch: int, num_steps: int, *,
    warmup: float, warmup_start_factor: float, T_max: float | None, eta_min: float, unit: str,
) -> Schedule:  # fmt: skip
    """SequentialLR of LinearLR(warmup_start_factor, 1, warmup) and CosineAnnealingLR, which stays at its end."""
    rise = _in_steps(warmup, unit, steps_per_epoch)
    fall = num_steps - rise if T_max is None else _in_steps(T_max, unit, steps_per_epoch)

    def schedule(t: jax.Array | int) -> jax.Array:
        warm = base * (warmup_start_factor + (1 - warmup_start_factor) * _float(t) / max(rise, 1))
        share = jnp.clip((_float(t) - rise) / max(fall, 1), 0, 1)
        return jnp.where(_float(t) < rise, warm, eta_min + (base - eta_min) * (1 + jnp.cos(math.pi * share)) / 2)

    return schedule


def one_cycle(
    base: float, steps_per_epoch: int, num_steps: int, *,
    total_steps: float | None, pct_start: float, anneal_strategy: str, div_factor: float, final_div_factor: float,
    three_phase: bool, unit: str,
) -> Schedule:  # fmt: skip
    """OneCycleLR (Smith & Topin 2018) with the base rate as its max_lr; the momentum is left alone."""
    total = num_steps if total_steps is None else _in_steps(total_steps, unit, steps_per_epoch)
    first, last = base / div_factor, base / div_factor / final_div_factor
    rise = pct_start * total - 1
    if three_phase:
        phases = [(0.0, rise, first, base), (rise, 2 * pct_start * total - 2, base, first)]
        phases.append((phases[-1][1], total - 1.0, first, last))
    else:
        phases = [(0.0, rise, first, base), (rise, total - 1.0, base, last)]

    def schedule(t: jax.Array | int) -> jax.Array:
        rate: jax.Array | None = None
        for start, end, low, high in reversed(phases):
            share = jnp.clip((_float(t) - start) / (end - start if end != start else 1.0), 0, 1)
            if anneal_strategy == "cos":
                piece = high + (low - high) * (1 + jnp.cos(math.pi * share)) / 2
            else:
                piece = low + (high - low) * share
            rate = piece if rate is None else jnp.where(_float(t) <= end, piece, rate)
        assert rate is not None
        return rate

    return schedule


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "StepLR": step,
    "MultiStepLR": multistep,
    "ExponentialLR": exponential,
    "CosineAnnealingLR": cosine,
    "warmup_cosine": warmup_cosine,
    "OneCycleLR": one_cycle,
}


def make_schedule(schedule: Mapping[str, Any], base: float, steps_per_epoch: int, num_epochs: int) -> Schedule:
    """The schedule of a config's `schedule` block, for a base learning rate."""
    arguments = {key: value for key, value in schedule.items() if key != "name"}
    return SCHEDULES[schedule["name"]](base, steps_per_epoch, steps_per_epoch * num_epochs, **arguments)


def _in_steps(duration: float, unit: str, steps_per_epoch: int) -> float:
    return duration * steps_per_epoch if unit == "epochs" else duration


def _float(t: jax.Array | int) -> jax.Array:
    return jnp.asarray(t, jnp.float32)
