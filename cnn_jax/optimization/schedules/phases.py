"""Where a schedule turns: what a picture of it should mark."""

from collections.abc import Mapping
from typing import Any

from cnn_jax.optimization.schedules.clock import Clock
from cnn_jax.optimization.schedules.cycles import one_cycle_ends
from cnn_jax.optimization.schedules.making import sequence_turns, taken_apart

_MOST = 40


def phases(schedule: Mapping[str, Any], steps_per_epoch: int, num_epochs: int) -> list[tuple[float, str]]:
    """(first update, what begins there) of all but the first phase of a `schedule` block, within training.

    Nothing is marked where there would be more than 40 of a kind.
    """
    block = taken_apart(schedule, steps_per_epoch, num_epochs)
    found = [(block.rise, "warm-up ends")] if block.rise > 0 else []
    found += [(block.rise + start, what) for start, what in _of(block.name, block.clock, block.arguments)]
    joined: dict[float, str] = {}
    for start, what in found:
        if 0 < start < block.clock.steps:
            joined[start] = f"{joined[start]}, {what}" if start in joined else what
    return sorted(joined.items())


def _of(name: str, clock: Clock, arguments: Mapping[str, Any]) -> list[tuple[float, str]]:
    if name == "SequentialLR":
        turns = sequence_turns(clock, arguments["milestones"])
        children = [(start, own, *child) for (start, own), child in zip(turns, arguments["schedulers"], strict=True)]
        found: list[tuple[float, str]] = [(start, child) for start, _, child, _ in children]
        for start, own, child, theirs in children:
            found += [(start + when, what) for when, what in _of(child, own, theirs) if when < own.span]
        return found
    if name == "ChainedScheduler":
        return [mark for child, theirs in arguments["schedulers"] for mark in _of(child, clock, theirs)]
    if name == "MultiStepLR":
        return _few([clock.length(milestone) for milestone in arguments["milestones"]], "drop")
    if name == "OneCycleLR":
        ends = one_cycle_ends(
            clock.length_or_span(arguments["total_steps"]), arguments["pct_start"], arguments["three_phase"]
        )
        return [(end, "peak" if i == 0 else "first rate") for i, end in enumerate(ends[:-1])]
    for key in ("total_iters", "anneal_epochs"):
        if key in arguments:
            return [(clock.length(arguments[key]), "end of the change")]
    if name == "CosineAnnealingLR":
        return [(clock.length_or_span(arguments["T_max"]), "lowest rate")]
    return _repeated(name, clock, arguments)


def _repeated(name: str, clock: Clock, arguments: Mapping[str, Any]) -> list[tuple[float, str]]:
    if name == "StepLR":
        length, times, what = clock.length(arguments["step_size"]), 1, "drop"
    elif name == "CosineAnnealingWarmRestarts":
        length, times, what = clock.length(arguments["T_0"]), arguments["T_mult"], "restart"
    elif name == "CyclicLR":
        up, down = arguments["step_size_up"], arguments["step_size_down"]
        length, times, what = clock.length(up + (up if down is None else down)), 1, "cycle"
    else:
        return []
    starts: list[float] = []
    start = length
    while start < clock.span and len(starts) <= _MOST:
        starts.append(start)
        length *= times
        start += length
    return _few(starts, what)


def _few(starts: list[float], what: str) -> list[tuple[float, str]]:
    return [(start, what) for start in starts] if len(starts) <= _MOST else []
