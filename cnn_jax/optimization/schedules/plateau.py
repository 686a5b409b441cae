"""ReduceLROnPlateau: a factor on every rate, lowered where a metric no longer gets better."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class PlateauState(NamedTuple):
    """What is remembered between values of the metric. All are scalars, of NumPy (float64) or of JAX.

    Attributes:
      factor: rate / base rate.
      best: the best value so far.
      bad_epochs: values in a row that were not better.
      cooldown: values that are still left out of that count.
    """

    factor: Any
    best: Any
    bad_epochs: Any
    cooldown: Any


def plateau_arguments(schedule: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments of ReduceLROnPlateau in a config's `schedule` block; None of any other schedule."""
    if schedule["name"] != "ReduceLROnPlateau":
        return None
    return {
        key: value for key, value in schedule.items() if key not in ("name", "unit", "warmup", "warmup_start_factor")
    }


def plateau_start(arguments: Mapping[str, Any]) -> PlateauState:
    """The state before the first value."""
    worst = np.inf if arguments["mode"] == "min" else -np.inf
    return PlateauState(np.float64(1), np.float64(worst), np.int32(0), np.int32(0))


def plateau_step(state: PlateauState, value: Any, arguments: Mapping[str, Any], base: float) -> PlateauState:
    """The state after one more value of the metric, as PyTorch's scheduler.step(value) has it; a NaN is not better.

    Pure, and fit for `jit` with a state of JAX arrays. A NumPy state is compared in float64, as PyTorch does.

    Args:
      base: the rate that the factor multiplies; min_lr and eps are rates.
    """
    xp: Any = jnp if any(isinstance(leaf, jax.Array) for leaf in (*state, value)) else np
    best = xp.asarray(state.best)
    value = xp.asarray(value, best.dtype)  # else a value would differ from its own rounding in `best`
    better = _is_better(value, best, arguments)
    in_cooldown = state.cooldown > 0
    bad = xp.where(better | in_cooldown, 0, state.bad_epochs + 1)
    reduce = bad > arguments["patience"]
    old = xp.asarray(state.factor)
    new = xp.maximum(old * arguments["factor"], arguments["min_lr"] / base)
    enough = (old - new) * base > arguments["eps"]
    return PlateauState(
        xp.where(reduce & enough, new, old).astype(old.dtype),
        xp.where(better, value, best),
        xp.where(reduce, 0, bad).astype(xp.int32),
        xp.where(reduce, arguments["cooldown"], state.cooldown - in_cooldown).astype(xp.int32),
    )


def _is_better(value: Any, best: Any, arguments: Mapping[str, Any]) -> Any:
    threshold = arguments["threshold"]
    relative = arguments["threshold_mode"] == "rel"
    if arguments["mode"] == "min":
        return value < (best * (1 - threshold) if relative else best - threshold)
    return value > (best * (1 + threshold) if relative else best + threshold)
