"""PyTorch's schedulers that go up and down, with the momentum that two of them move against the rate."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from cnn_jax.optimization.schedules.clock import Clock, Schedule, divided, power, real, units
from cnn_jax.optimization.schedules.curves import half_cosine, straight


def warm_restarts(base: float, clock: Clock, *, T_0: float, T_mult: int, eta_min: float) -> Schedule:
    """CosineAnnealingWarmRestarts (Loshchilov & Hutter 2017, equation 5): falls of T_0, T_0 T_mult, ... units."""
    length = clock.length(T_0)
    starts, lengths = [0.0], [length]
    while T_mult > 1 and starts[-1] + lengths[-1] < 2**31:
        starts.append(starts[-1] + lengths[-1])
        lengths.append(lengths[-1] * T_mult)

    def schedule(t: jax.Array | int) -> jax.Array:
        if T_mult == 1:
            return half_cosine(base, eta_min, divided(t, length)[1] / length)
        q = real(t) / length
        for start, own in zip(starts[1:], lengths[1:], strict=True):
            q = jnp.where(real(t) >= start, (real(t) - start) / own, q)
        return half_cosine(base, eta_min, q)

    return schedule


def cyclic(
    base: float, clock: Clock, *,
    base_lr: float | None, step_size_up: float, step_size_down: float | None, mode: str, gamma: float,
    cycle_momentum: bool, base_momentum: float, max_momentum: float,
) -> Schedule:  # fmt: skip
    """CyclicLR (Smith 2017) with b as its max_lr: base_lr + (b - base_lr) * height; base_lr=None is a tenth of b."""
    low = base / 10 if base_lr is None else base_lr
    height = _height(clock, step_size_up, step_size_down, mode, gamma)
    return lambda t: low + (base - low) * height(t)


def cyclic_momentum(
    clock: Clock, *,
    base_lr: float | None, step_size_up: float, step_size_down: float | None, mode: str, gamma: float,
    cycle_momentum: bool, base_momentum: float, max_momentum: float,
) -> Schedule:  # fmt: skip
    """max_momentum - (max_momentum - base_momentum) * height: low where CyclicLR's rate is high."""
    height = _height(clock, step_size_up, step_size_down, mode, gamma)
    return lambda t: max_momentum - (max_momentum - base_momentum) * height(t)


def _height(
    clock: Clock, step_size_up: float, step_size_down: float | None, mode: str, gamma: float
) -> Callable[[jax.Array | int], jax.Array]:
    """A triangle between 0 and 1: up in step_size_up, down in step_size_down (None: as long).

    triangular2 halves it at each new cycle, exp_range scales it by gamma ^ t.
    """
    up = clock.length(step_size_up)
    down = up if step_size_down is None else clock.length(step_size_down)

    def height(t: jax.Array | int) -> jax.Array:
        cycles, passed = divided(t, up + down)
        triangle = jnp.where(passed <= up, passed / up, (up + down - passed) / down)
        if mode == "triangular2":
            return triangle * 0.5**cycles
        return triangle * power(gamma, units(t, clock.unit)) if mode == "exp_range" else triangle

    return height


def one_cycle(
    base: float, clock: Clock, *,
    total_steps: float | None, pct_start: float, anneal_strategy: str, cycle_momentum: bool, base_momentum: float,
    max_momentum: float, div_factor: float, final_div_factor: float, three_phase: bool,
) -> Schedule:  # fmt: skip
    """OneCycleLR (Smith & Topin 2018) with b as its max_lr: from b / div_factor to b to b / div / final_div_factor."""
    total = clock.length_or_span(total_steps)
    first, last = base / div_factor, base / div_factor / final_div_factor
    turns = (first, base, first, last) if three_phase else (first, base, last)
    return _through(turns, one_cycle_ends(total, pct_start, three_phase), anneal_strategy)


def one_cycle_momentum(
    clock: Clock, *,
    total_steps: float | None, pct_start: float, anneal_strategy: str, cycle_momentum: bool, base_momentum: float,
    max_momentum: float, div_factor: float, final_div_factor: float, three_phase: bool,
) -> Schedule:  # fmt: skip
    """From max_momentum to base_momentum, where the rate is highest, and back; it stays there in a third phase."""
    total = clock.length_or_span(total_steps)
    turns = (max_momentum, base_momentum, max_momentum) + (max_momentum,) * three_phase
    return _through(turns, one_cycle_ends(total, pct_start, three_phase), anneal_strategy)


def one_cycle_ends(total: float, pct_start: float, three_phase: bool) -> tuple[float, ...]:
    """The updates at which OneCycleLR's phases end, as PyTorch counts them."""
    rise = pct_start * total - 1
    return (rise, 2 * pct_start * total - 2, total - 1.0) if three_phase else (rise, total - 1.0)


def _through(turns: tuple[float, ...], ends: tuple[float, ...], anneal_strategy: str) -> Schedule:
    """From turns[0] to turns[1] until ends[0], from there to turns[2] until ends[1], ..."""
    form = half_cosine if anneal_strategy == "cos" else straight
    phases = list(zip((0.0, *ends), ends, turns, turns[1:], strict=False))

    def schedule(t: jax.Array | int) -> jax.Array:
        value: jax.Array | None = None
        for start, end, low, high in reversed(phases):
            piece = form(low, high, jnp.clip((real(t) - start) / (end - start if end != start else 1.0), 0, 1))
            value = piece if value is None else jnp.where(real(t) <= end, piece, value)
        assert value is not None
        return value

    return schedule
