"""What `cnn_jax show-schedule` draws: a config's rate and momentum over its training."""

import os
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from cnn_jax import data
from cnn_jax.errors import InputError
from cnn_jax.optimization.optimizers import has_momentum
from cnn_jax.optimization.schedules import (
    check_rates,
    length_notes,
    make_momentum,
    make_schedule,
    phases,
    plateau_arguments,
)
from cnn_jax.pictures.reports import plot_schedule

_MOST_POINTS = 20_000


def count_steps_per_epoch(config: ml_collections.ConfigDict) -> int:
    """Updates in an epoch of the config's training images; raises InputError where they do not fill one batch."""
    examples = len(data.load(config.data).train)
    if config.batch_size > examples:
        raise InputError(f"config.batch_size={config.batch_size}: there are only {examples} training images")
    return examples // config.batch_size


def draw_schedule(config: ml_collections.ConfigDict, steps_per_epoch: int, path: str | Path) -> str:
    """Draws the schedule of a validated config into a PNG, and says in a few lines what it does.

    Raises:
      InputError: a rate is below 0 or not finite, or the path names no picture.
    """
    import jax.numpy as jnp

    path = Path(path)
    if not path.suffix or os.path.isdir(path):
        raise InputError(f"--output={path}: it must name a picture, as in {path / 'schedule.png'}")
    base, epochs, block = config.optimizer.learning_rate, config.num_epochs, config.schedule
    num_steps = steps_per_epoch * epochs
    schedule = make_schedule(block, base, steps_per_epoch, epochs)
    idle = check_rates(schedule, block.name, num_steps)
    notes = [*length_notes(block, steps_per_epoch, epochs), *([idle] if idle else [])]
    # The curve is drawn at every step, or at so many that no picture could show more.
    steps = np.unique(np.linspace(0, num_steps - 1, min(num_steps, _MOST_POINTS)).round().astype(np.int32))
    rates = np.asarray(schedule(jnp.asarray(steps)))
    momentum = make_momentum(block, steps_per_epoch, epochs)
    momenta = (
        None if momentum is None or not has_momentum(config.optimizer) else np.asarray(momentum(jnp.asarray(steps)))
    )
    marks = [(step / steps_per_epoch, what) for step, what in phases(block, steps_per_epoch, epochs)]
    title = f"{block.name}, {epochs} epochs of {steps_per_epoch:,} steps"
    try:
        plot_schedule(steps / steps_per_epoch, rates, momenta, marks, title, path)
    except (OSError, ValueError) as error:  # matplotlib: a file type that it does not know
        raise InputError(f"--output={path}: the picture cannot be written ({error})") from error
    said = [*_lines(steps, rates, momenta, steps_per_epoch), *_plateau_line(block), *notes]
    return "\n".join([*said, f"written: {path}"])


def _lines(steps: np.ndarray, rates: np.ndarray, momenta: np.ndarray | None, steps_per_epoch: int) -> list[str]:
    top = int(rates.argmax())
    lines = [
        f"rate: first {rates[0]:.3g}, peak {rates[top]:.3g} (epoch {steps[top] / steps_per_epoch:.3g}), "
        f"last {rates[-1]:.3g}"
    ]
    if momenta is not None:
        lines.append(f"momentum: first {momenta[0]:.3g}, lowest {momenta.min():.3g}, last {momenta[-1]:.3g}")
    return lines


def _plateau_line(block: Any) -> list[str]:
    arguments = plateau_arguments(block)
    if arguments is None:
        return []
    return [
        f"this is the rate before any reduction: it becomes {arguments['factor']:g} of itself when "
        f"{arguments['metric']} has not been better for more than {arguments['patience']} epochs"
    ]
