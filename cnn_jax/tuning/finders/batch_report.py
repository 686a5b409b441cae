"""What the batch-size finder has found: as a file, a picture and sentences."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_collections

from cnn_jax.cli.text_table import format_table
from cnn_jax.config.tree import to_json
from cnn_jax.runs.directory import write_json
from cnn_jax.runs.environment import describe_environment
from cnn_jax.runtime.sizes import describe_size
from cnn_jax.tuning.finders.batch_search import may_be_recommended, scaled_rate
from cnn_jax.tuning.finders.pictures import plot_batch_sizes


@dataclasses.dataclass(frozen=True)
class BatchFinding:
    """What was found.

    Attributes:
      recommended: the smallest batch with 95 % of the best throughput.
      largest: the largest that fits; `proven` if the next one was seen not to fit, or there is none.
      checked: whether one real step was made with it.
      images_per_second: {batch size: rate}, the median of several calls.
      quartiles: {batch size: (lower, upper)} of these rates.
      memory: {batch size: bytes of a device at the peak}, of all sizes that were compiled.
      budget: bytes of a device that may be used.
      ended: why no larger batch was timed.
      overrides: flags for the recommended size, with the learning rate that belongs to it.
    """

    recommended: int
    largest: int
    proven: bool
    checked: bool
    images_per_second: dict[int, float]
    quartiles: dict[int, tuple[float, float]]
    memory: dict[int, float]
    budget: float
    ended: str
    rule: str
    overrides: tuple[str, ...]
    updates: tuple[int, int]
    picture: Path
    json: Path


def overrides(config: ml_collections.ConfigDict, size: int) -> tuple[str, ...]:
    """Flags for this batch size, with the learning rates that belong to it."""
    flags = [f"--config.batch_size={size}"]
    for key in ("learning_rate", "adam_learning_rate"):
        if key in config.optimizer:
            rate = scaled_rate(config.optimizer.name, config.optimizer[key], config.batch_size, size)
            flags.append(f"--config.optimizer.{key}={rate:.3g}")
    return tuple(flags)


def write(finding: BatchFinding, config: ml_collections.ConfigDict) -> None:
    """Writes the picture and the figures; raises OSError."""
    rates = finding.images_per_second
    known = {size: int(taken) for size, taken in finding.memory.items() if math.isfinite(taken)}
    plot_batch_sizes(
        rates, finding.quartiles, known, finding.budget, finding.recommended, finding.picture, is_noisy(finding)
    )
    content: Mapping[str, Any] = {
        "recommended": finding.recommended,
        "too_noisy_to_tell": is_noisy(finding),
        "largest": finding.largest,
        "proven": finding.proven,
        "checked_by_a_step": finding.checked,
        "images_per_second": {str(size): rate for size, rate in rates.items()},
        "quartiles": {str(size): list(both) for size, both in finding.quartiles.items()},
        "peak_bytes": {str(size): known.get(size) for size in finding.memory},
        "budget_bytes": finding.budget,
        "ended": finding.ended,
        "overrides": list(finding.overrides),
        "config": to_json(config),
        "environment": describe_environment(),
    }
    write_json(finding.json, content)


def report(finding: BatchFinding, config: ml_collections.ConfigDict) -> str:
    """Tables and sentences for people; the last line is what to paste."""
    rows = [("batch", "images/s", "spread", "ms a step", "memory of each device")]
    for size, rate in finding.images_per_second.items():
        spread, time = f"{_spread(finding, size):.0%}", f"{1e3 * size / rate:.3g}"
        rows.append((str(size), f"{rate:,.0f}", spread, time, describe_size(finding.memory[size])))
    lines = format_table(rows, [True] * len(rows[0]))
    lines.append(f"no larger batch was timed: {finding.ended}")
    all_fit = max(finding.memory.values()) <= finding.budget
    bound = (
        " or more" if not finding.proven else ", the most that --max and the training split allow" if all_fit else ""
    )
    lines.append(
        f"largest that fits: {finding.largest}{bound}, with "
        f"{describe_size(finding.memory[finding.largest])} of the {describe_size(finding.budget)} that may be used; "
        + ("a real step was made with it" if finding.checked else "not tried: this device has less than was said")
    )
    lines.append(_recommendation(finding))
    lines.append(_learning_rate(finding, config.batch_size))
    lines.append(f"written: {finding.picture}, {finding.json}")
    noisy = " all the same" if is_noisy(finding) else ""
    return "\n".join(
        [*lines, f"to train with a batch of {finding.recommended}{noisy}, add:", " ".join(finding.overrides)]
    )


def is_noisy(finding: BatchFinding) -> bool:
    """Whether another batch would be recommended if the rates lay elsewhere between their quartiles."""
    least, most = may_be_recommended(finding.quartiles)
    return least != most


def _recommendation(finding: BatchFinding) -> str:
    if not is_noisy(finding):
        return f"recommended: {finding.recommended}, the smallest with 95 % of the best throughput"
    least, most = may_be_recommended(finding.quartiles)
    widest = max(_spread(finding, size) for size in finding.quartiles)
    return (
        f"too noisy to tell: the smallest batch with 95 % of the best throughput is between {least} and {most}, by the "
        f"medians {finding.recommended}; a step's time spreads by up to {widest:.0%}: leave the machine alone, and try "
        f"again"
    )


def _spread(finding: BatchFinding, size: int) -> float:
    """How far the quartiles of the rates lie apart, as a share of the median."""
    low, high = finding.quartiles[size]
    return (high - low) / finding.images_per_second[size]


def _learning_rate(finding: BatchFinding, batch: int) -> str:
    if finding.recommended == batch:
        return "that is the config's own batch: its learning rate stays"
    before, after = finding.updates
    if before == 0:
        return f"learning rate by the {finding.rule} rule, from batch {batch}, which is more than there are images"
    advice = ", so that more epochs, or a warm-up, may be needed" if after < before else ""
    return (
        f"learning rate by the {finding.rule} rule, from batch {batch}; an epoch has then {after:,} "
        f"updates instead of {before:,}{advice}"
    )
