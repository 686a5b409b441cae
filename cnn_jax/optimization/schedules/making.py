"""From a config's `schedule` block to functions of the step: units, warm-up, and schedulers made of schedulers.

A composition means what PyTorch 2.13 makes of it. There, SequentialLR sets the rate back to the base rate where a
child's turn begins, but for MultiplicativeLR and SWALR, which go on from the rate of one unit before; ChainedScheduler
lets every child multiply the rate that it finds. `config.schedule_keys` refuses what would mean another thing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.config.schedule_keys import SCHEDULES, warmup_is_all
from cnn_jax.errors import InputError
from cnn_jax.optimization.schedules import curves, cycles
from cnn_jax.optimization.schedules.clock import Clock, Schedule, count, reached, share

Child = tuple[str, Mapping[str, Any]]
_CHUNK = 65_536
_NOTHING = 1e-7  # of the peak: what float32 makes of a 0


def plateau(base: float, clock: Clock, **arguments: Any) -> Schedule:
    """ReduceLROnPlateau: b; what it does to b depends on the metric and is a factor in the optimizer's state."""
    return curves.constant(base, clock)


def sequential(base: float, clock: Clock, *, schedulers: Sequence[Child], milestones: Sequence[float]) -> Schedule:
    """SequentialLR: scheduler i from milestones[i - 1] on, where its own time begins."""
    turns = sequence_turns(clock, milestones)
    parts: list[Schedule] = []
    for i, ((name, arguments), (_, own)) in enumerate(zip(schedulers, turns, strict=True)):
        first = base
        if i > 0 and name in ("MultiplicativeLR", "SWALR"):
            with jax.ensure_compile_time_eval():
                first = float(parts[-1](_last_unit(turns[i - 1][1])))
        if name == "SWALR" and arguments["swa_lr"] is None:
            arguments = {**arguments, "swa_lr": base / 2}
        if i > 0 and name == "MultiplicativeLR":
            first *= float(curves.values(arguments["lr_lambda"], np.zeros(1))[0])
        parts.append(SCHEDULES[name].load()(first, own, **arguments))
    return _one_after_another(parts, [start for start, _ in turns])


def chained(base: float, clock: Clock, *, schedulers: Sequence[Child]) -> Schedule:
    """ChainedScheduler: b times every scheduler's factor."""
    factors = [SCHEDULES[name].load()(1.0, clock, **arguments) for name, arguments in schedulers]

    def schedule(t: jax.Array | int) -> jax.Array:
        rate = base * factors[0](t)
        for factor in factors[1:]:
            rate = rate * factor(t)
        return rate

    return schedule


MOMENTA: dict[str, Callable[..., Schedule]] = {
    "CyclicLR": cycles.cyclic_momentum,
    "OneCycleLR": cycles.one_cycle_momentum,
}


def make_schedule(
    schedule: Mapping[str, Any], base: float, steps_per_epoch: int, num_epochs: int, peak: float | None = None
) -> Schedule:
    """The rate as a function of the updates made so far, of a config's `schedule` block.

    Warm-up is LinearLR from warmup_start_factor to 1 on the schedule's own first rate; the schedule's time begins after
    it. Where a schedule reduces on a plateau, this is the rate before any reduction.

    Args:
      base: the base rate.
      peak: the base rate for which the schedule's own rates (eta_min, base_lr, swa_lr) are meant, if it is another;
        the curve is that one in proportion.
    """
    block = taken_apart(schedule, steps_per_epoch, num_epochs)
    scale = 1.0 if peak is None else base / peak
    main = SCHEDULES[block.name].load()(base if peak is None else peak, block.clock, **block.arguments)
    if block.rise > 0:
        main = _warmed_up(main, block.rise, block.start_factor)
    return main if scale == 1 else lambda t: scale * main(t)


def make_momentum(schedule: Mapping[str, Any], steps_per_epoch: int, num_epochs: int) -> Schedule | None:
    """The momentum as a function of the updates made so far, where the schedule cycles it, else None.

    It stays at its first value while a warm-up or an earlier scheduler of a SequentialLR lasts, and at its last one
    when a later one's turn has come.
    """
    block = taken_apart(schedule, steps_per_epoch, num_epochs)
    momentum = _momentum(block.name, block.clock, block.arguments)
    if momentum is None or block.rise == 0:
        return momentum
    return _one_after_another([_held(momentum, 0), momentum], [0.0, block.rise])


def check_rates(schedule: Schedule, name: str, num_steps: int) -> str | None:
    """Refuses a schedule that gives a rate below 0, or one that is not finite, at any step of training.

    Returns:
      A line for people, where the rate is 0 for more than a hundredth of training at its end.
    """
    peak, last = 0.0, 0
    size = max(min(num_steps, _CHUNK), 1)
    rates_from = jax.jit(lambda first: jax.vmap(schedule)(jnp.minimum(first + jnp.arange(size), num_steps - 1)))
    for first in range(0, num_steps, size):
        with np.errstate(over="ignore"):  # of constants that float32 does not hold
            rates = np.asarray(rates_from(first))
        wrong = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
        if wrong.size:
            raise InputError(
                f"config.schedule: '{name}' with these arguments gives a rate of {rates[wrong[0]]:g} at step "
                f"{first + wrong[0]} of {num_steps}; a rate must be finite and at least 0"
            )
        peak = max(peak, float(rates.max()))
        acts = np.flatnonzero(rates > _NOTHING * peak)
        last = min(first + int(acts[-1]), num_steps - 1) if acts.size else last
    if num_steps - 1 - last <= max(num_steps / 100, 1):
        return None
    return f"schedule: {name}: the rate is 0 from step {last + 1} of {num_steps} on: nothing is learned any more"


class Block(NamedTuple):
    """A `schedule` block taken apart: the clock is that of the time after the warm-up, which has `rise` updates."""

    name: str
    clock: Clock
    rise: float
    start_factor: float
    arguments: dict[str, Any]


def taken_apart(schedule: Mapping[str, Any], steps_per_epoch: int, num_epochs: int) -> Block:
    """The block, with its durations in updates.

    Raises:
      InputError: there are more updates than int32 holds, or all of them are warm-up.
    """
    arguments = dict(schedule)
    name, warmup = arguments.pop("name"), arguments.pop("warmup", 0.0)
    start_factor = arguments.pop("warmup_start_factor", 0.01)
    unit = steps_per_epoch if arguments.pop("unit", "epochs") == "epochs" else 1
    steps = steps_per_epoch * num_epochs
    if steps >= 2**31:
        raise InputError(
            f"config.num_epochs={num_epochs}: with {steps_per_epoch} steps each that is {steps} steps; at most "
            f"{2**31 - 1} can be counted"
        )
    rise = float(round(Clock(unit, steps, steps).length(warmup)))
    if rise >= max(steps, 1):
        raise InputError(warmup_is_all(warmup, f"{num_epochs} epochs, {steps} steps", name))
    return Block(name, Clock(unit, max(steps - rise, 0.0), steps), rise, start_factor, arguments)


def _warmed_up(main: Schedule, rise: float, start_factor: float) -> Schedule:
    def warm(t: jax.Array | int) -> jax.Array:
        return main(0) * (start_factor + (1 - start_factor) * share(t, rise))

    return _one_after_another([warm, main], [0.0, rise])


def _momentum(name: str, clock: Clock, arguments: Mapping[str, Any]) -> Schedule | None:
    if name != "SequentialLR":
        return MOMENTA[name](clock, **arguments) if arguments.get("cycle_momentum") else None
    turns = sequence_turns(clock, arguments["milestones"])
    for i, (child, own) in enumerate(arguments["schedulers"]):
        start, turn = turns[i]
        momentum = _momentum(child, turn, own)
        if momentum is not None:  # at most one of them cycles it
            parts, starts = [_held(momentum, 0), momentum], [0.0, start]
            if i + 1 < len(turns):
                parts, starts = [*parts, _held(momentum, _last_unit(turn))], [*starts, turns[i + 1][0]]
            return _one_after_another(parts, starts)
    return None


def _held(schedule: Schedule, step: int) -> Schedule:
    return lambda t: jnp.broadcast_to(schedule(step), jnp.shape(t))


def sequence_turns(clock: Clock, milestones: Sequence[float]) -> list[tuple[float, Clock]]:
    """For each child of a SequentialLR, when its turn begins, and the clock of that turn."""
    starts = [0.0, *(float(round(clock.length(milestone))) for milestone in milestones)]
    ends = [*starts[1:], max(clock.span, starts[-1])]
    return [(start, Clock(clock.unit, end - start, clock.steps)) for start, end in zip(starts, ends, strict=True)]


def _last_unit(turn: Clock) -> int:
    """The update at which PyTorch, which steps once a unit, sets a rate for the last time in a turn."""
    return max(round(turn.span) - turn.unit, 0)


def _one_after_another(parts: Sequence[Schedule], starts: Sequence[float]) -> Schedule:
    """parts[i] from starts[i] on, with its own time; starts are whole numbers of updates."""

    def schedule(t: jax.Array | int) -> jax.Array:
        value = parts[0](t)
        for part, start in zip(parts[1:], starts[1:], strict=True):
            value = jnp.where(reached(t, start), part(jnp.maximum(count(t) - int(start), 0)), value)
        return value

    return schedule
