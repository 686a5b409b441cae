"""PyTorch's schedulers that follow one curve, in closed form.

Each takes the base rate b, a clock and its own arguments, and returns the rate as a function of t, the updates made so
far. In the formulas t and all durations are in the clock's units. Where PyTorch steps once a unit these agree with it
at whole units; in between they are smooth where the formula is.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.config.expressions import function
from cnn_jax.errors import InputError
from cnn_jax.optimization.schedules.clock import Clock, Schedule, count, divided, power, reached, real, share, units

Factor = str | Callable[[Any], Any]
_MOST_FACTORS = 20_000_000  # 80 MB, as part of the compiled step


def constant(base: float, clock: Clock) -> Schedule:
    """b"""
    return lambda t: jnp.full_like(real(t), base)


def lambda_lr(base: float, clock: Clock, *, lr_lambda: Factor) -> Schedule:
    """LambdaLR: b * lr_lambda(t); after training it stays where it is.

    The factors are computed beforehand, in float64: a `floor(t / 30)` must fall exactly where it should.
    """
    _check_size(clock.steps)
    return _looked_up(base * values(lr_lambda, np.arange(clock.steps + 1) / clock.unit), count)


def multiplicative(base: float, clock: Clock, *, lr_lambda: Factor) -> Schedule:
    """MultiplicativeLR: b * lr_lambda(1) * ... * lr_lambda(floor(t))."""
    _check_size(clock.steps // clock.unit)
    factors = values(lr_lambda, np.arange(1.0, clock.steps // clock.unit + 1))
    with np.errstate(all="ignore"):  # rates that are not finite are refused where a training is built
        products = np.cumprod(np.concatenate([[1.0], factors]))
    return _looked_up(base * products, lambda t: count(t) // clock.unit)


def step(base: float, clock: Clock, *, step_size: float, gamma: float) -> Schedule:
    """StepLR: b * gamma ^ floor(t / step_size)."""
    return lambda t: base * power(gamma, divided(t, clock.length(step_size))[0])


def multistep(base: float, clock: Clock, *, milestones: Sequence[float], gamma: float) -> Schedule:
    """MultiStepLR: b * gamma ^ #{milestones m <= t}; a milestone given twice counts twice."""
    lengths = [clock.length(milestone) for milestone in milestones]

    def schedule(t: jax.Array | int) -> jax.Array:
        drops = sum((real(reached(t, length)) for length in lengths), start=jnp.zeros_like(real(t)))
        return base * power(gamma, drops)

    return schedule


def constant_factor(base: float, clock: Clock, *, factor: float, total_iters: float) -> Schedule:
    """ConstantLR: b * factor while t < total_iters, then b."""
    return lambda t: jnp.where(reached(t, clock.length(total_iters)), base, base * factor)


def linear(base: float, clock: Clock, *, start_factor: float, end_factor: float, total_iters: float) -> Schedule:
    """LinearLR: b * (start_factor + (end_factor - start_factor) * min(t, total_iters) / total_iters)."""
    length = clock.length(total_iters)
    return lambda t: base * (start_factor + (end_factor - start_factor) * share(t, length))


def exponential(base: float, clock: Clock, *, gamma: float) -> Schedule:
    """ExponentialLR: b * gamma ^ t."""
    return lambda t: base * power(gamma, units(t, clock.unit))


def polynomial(base: float, clock: Clock, *, total_iters: float, power: float) -> Schedule:
    """PolynomialLR: b * (1 - min(t, total_iters) / total_iters) ^ power."""
    length = clock.length(total_iters)
    # What remains is exact, where 1 - t / length near 0 is not; a power below 1 would magnify the difference.
    return lambda t: base * (jnp.maximum(length - real(t), 0) / length) ** power


def cosine(base: float, clock: Clock, *, T_max: float | None, eta_min: float) -> Schedule:
    """CosineAnnealingLR: eta_min + (b - eta_min) (1 + cos(pi t / T_max)) / 2; it rises again after T_max.

    Loshchilov & Hutter 2017, equation 5, without its restarts.
    """
    length = max(clock.length_or_span(T_max), 1.0)
    return lambda t: half_cosine(base, eta_min, divided(t, 2 * length)[1] / length)


def swa(base: float, clock: Clock, *, swa_lr: float | None, anneal_epochs: float, anneal_strategy: str) -> Schedule:
    """SWALR: (1 - a) b + a swa_lr with a = q or (1 - cos(pi q)) / 2, q = min(1, t / anneal_epochs).

    Izmailov et al. 2018 average weights along such a rate. It starts from the rate that it finds, which is b where
    nothing comes before it. swa_lr=None is half of b.
    """
    target = base / 2 if swa_lr is None else swa_lr
    length = clock.length(anneal_epochs)
    form = half_cosine if anneal_strategy == "cos" else straight
    return lambda t: form(base, target, share(t, length))


def half_cosine(start: float, end: float, q: jax.Array) -> jax.Array:
    """From start (q=0) to end (q=1), level at both."""
    return end + (start - end) * (1 + jnp.cos(math.pi * q)) / 2


def straight(start: float, end: float, q: jax.Array) -> jax.Array:
    return start + (end - start) * q


def values(lr_lambda: Factor, t: np.ndarray) -> np.ndarray:
    """The factors at times [N], float64."""
    if isinstance(lr_lambda, str):
        return np.broadcast_to(function(lr_lambda)(t), t.shape)
    return np.array([float(lr_lambda(time)) for time in t.tolist()])


def _check_size(factors: int) -> None:
    if factors > _MOST_FACTORS:
        raise InputError(
            f"config.schedule: lr_lambda would be computed {factors} times for this training; at most "
            f"{_MOST_FACTORS} are, so lower config.num_epochs or take another schedule"
        )


def _looked_up(rates: np.ndarray, index: Callable[[jax.Array | int], jax.Array]) -> Schedule:
    with np.errstate(over="ignore"):
        table = rates.astype(np.float32)
    return lambda t: jnp.asarray(table)[jnp.clip(index(t), 0, len(table) - 1)]
