"""Durations and counts: what a schedule measures time with.

A step is a whole number, and most durations are a whole number of steps. Quotients and remainders of whole numbers are
taken as whole numbers: in float32, XLA divides by a rounded reciprocal, and t / length may fall short of a whole one.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

Schedule = Callable[[jax.Array | int], jax.Array]


@dataclasses.dataclass(frozen=True)
class Clock:
    """What the durations of one scheduler count.

    Attributes:
      unit: updates in one unit: 1, or the steps of an epoch.
      span: updates from the scheduler's start to its end, which is that of training or of its turn.
      steps: updates in the whole training.
    """

    unit: int
    span: float
    steps: int

    def length(self, duration: float) -> float:
        """A duration in updates; what is a whole number but for rounding (0.1 * 30) is one."""
        length = duration * self.unit
        return float(round(length)) if math.isclose(length, round(length), rel_tol=1e-9) else length

    def length_or_span(self, duration: float | None) -> float:
        """A duration in updates; None is all there is."""
        return self.span if duration is None else self.length(duration)


def count(t: jax.Array | int) -> jax.Array:
    return jnp.asarray(t, jnp.int32)


def real(t: jax.Array | int) -> jax.Array:
    return jnp.asarray(t, jnp.float32)


def reached(t: jax.Array | int, length: float) -> jax.Array:
    """Whether t >= length."""
    return count(t) >= min(math.ceil(length), 2**31 - 1)


def divided(t: jax.Array | int, length: float) -> tuple[jax.Array, jax.Array]:
    """floor(t / length) and what is left, both as floats."""
    if length.is_integer():
        whole = min(int(length), 2**31 - 1)
        return real(count(t) // whole), real(count(t) % whole)
    guess = jnp.floor(real(t) / length)
    times = guess + ((guess + 1) * length <= real(t)) - (guess * length > real(t))
    return times, jnp.maximum(real(t) - times * length, 0)


def units(t: jax.Array | int, unit: int) -> jax.Array:
    """t in units; whole numbers of units are exact."""
    whole, rest = divided(t, float(unit))
    return whole + rest / unit


def share(t: jax.Array | int, length: float) -> jax.Array:
    """t / length, at most 1; of no length all has passed."""
    return jnp.clip(real(t) / length, 0, 1) if length > 0 else jnp.ones_like(real(t))


def power(gamma: float, n: jax.Array) -> jax.Array:
    """gamma ^ n; the float32 next to gamma, a little off, would be far off after thousands of factors."""
    rounded = float(np.float32(gamma))
    return rounded**n * jnp.exp((math.log(gamma) - math.log(rounded)) * n) if rounded > 0 else 0.0**n
