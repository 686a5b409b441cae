"""Durations of a schedule beside the length of training: what would never come, in a line for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from cnn_jax.optimization.schedules.clock import Clock
from cnn_jax.optimization.schedules.making import Block, sequence_turns, taken_apart

# Of each scheduler the duration in which something has to come about, and what does not if it is longer than its time.
_WITHIN = {
    "ConstantLR": ("total_iters", "its factor acts to the end"),
    "LinearLR": ("total_iters", "its change is cut off"),
    "PolynomialLR": ("total_iters", "its fall is cut off"),
    "CosineAnnealingLR": ("T_max", "its fall is cut off"),
    "CosineAnnealingWarmRestarts": ("T_0", "its first fall is cut off"),
    "CyclicLR": ("step_size_up", "its first rise is cut off"),
    "OneCycleLR": ("total_steps", "its cycle is cut off"),
    "SWALR": ("anneal_epochs", "its way to swa_lr is cut off"),
}


def length_notes(schedule: Mapping[str, Any], steps_per_epoch: int, num_epochs: int) -> list[str]:
    """A line for each duration of a `schedule` block that reaches beyond its time, or ends long before it.

    Training is not wrong by that, and some mean it; but often the durations are those of a longer training, or are
    meant in the other unit.
    """
    block = taken_apart(schedule, steps_per_epoch, num_epochs)
    unit = schedule.get("unit", "epochs")
    notes = [f"schedule: {name}: {note}" for name, note in _of(block, unit)]
    if block.name == "ReduceLROnPlateau" and block.arguments["patience"] + 1 >= num_epochs:
        notes.append(
            f"schedule: ReduceLROnPlateau: patience={block.arguments['patience']} cannot run out before the last of "
            f"{num_epochs} epochs: the rate never falls"
        )
    return notes


def _of(block: Block, unit: str) -> Iterator[tuple[str, str]]:
    if block.name == "SequentialLR":
        milestones = block.arguments["milestones"]
        turns = sequence_turns(block.clock, milestones)
        for i, ((name, arguments), (start, turn)) in enumerate(zip(block.arguments["schedulers"], turns, strict=True)):
            if start >= block.clock.span:
                after = f"comes after its {_time(block.clock, unit)}"
                yield "SequentialLR", f"milestone {milestones[i - 1]:g} {after}: {name} never begins"
            else:
                within = Clock(turn.unit, min(turn.span, block.clock.span - start), turn.steps)
                yield from _one(name, within, arguments, unit)
        return
    children = block.arguments["schedulers"] if block.name == "ChainedScheduler" else ((block.name, block.arguments),)
    for name, arguments in children:
        yield from _one(name, block.clock, arguments, unit)


def _one(name: str, clock: Clock, arguments: Mapping[str, Any], unit: str) -> Iterator[tuple[str, str]]:
    if name == "MultiStepLR":
        never = [f"{when:g}" for when in arguments["milestones"] if clock.length(when) >= clock.span]
        if never:
            come = "milestone {} comes" if len(never) == 1 else "milestones {} come"
            yield name, f"{come.format(', '.join(never))} after its {_time(clock, unit)}: no drop there"
    if name == "StepLR" and clock.length(arguments["step_size"]) >= clock.span:
        yield name, f"step_size={arguments['step_size']:g} is not within its {_time(clock, unit)}: the rate never drops"
    key, what = _WITHIN.get(name, ("", ""))
    duration = arguments.get(key)
    if duration is None:
        return
    if clock.length(duration) > clock.span:
        yield name, f"{key}={duration:g} is longer than its {_time(clock, unit)}: {what}"
    elif name == "OneCycleLR" and clock.length(duration) < clock.span:
        yield name, f"{key}={duration:g} ends before its {_time(clock, unit)}: the rest has the cycle's last rate"


def _time(clock: Clock, unit: str) -> str:
    length = clock.span / clock.unit
    return f"{length:.4g} {unit.removesuffix('s') if length == 1 else unit}"
