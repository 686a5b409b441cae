"""The finders' pictures."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnn_jax.pictures.reports import new_figure, save_figure
from cnn_jax.tuning.finders.lr_curve import LABELS, Reading

_MARKS = {"valley": "tab:green", "steepest": "tab:orange", "minimum": "tab:purple"}


def plot_lr_sweeps(
    rates: np.ndarray, losses: Mapping[int, np.ndarray], readings: Mapping[int, Reading],
    suggestions: Mapping[str, float], divergence: float | None, path: str | Path,
) -> Path:  # fmt: skip
    """Loss over the rate for each seed: points as measured, lines smoothed; suggestions and divergence as marks."""
    figure, (axis,) = new_figure(1, 1, (9, 5))
    for color, (seed, found) in zip(_shades(len(losses)), losses.items(), strict=True):
        axis.plot(rates[: len(found)], found, ".", color=color, alpha=0.25, markersize=4)
        smoothed = [np.nan if value is None else value for value in readings[seed].smoothed]
        axis.plot(rates[: len(found)], smoothed, color=color, linewidth=1.8, label=f"seed {seed}, smoothed")
    for name, rate in suggestions.items():
        label = f"{LABELS.get(name, name)}: {rate:.2g}"
        axis.axvline(rate, color=_MARKS[name], linestyle="--", label=label)
    if divergence is not None:
        axis.axvline(divergence, color="tab:red", linestyle=":", linewidth=2, label=f"divergence: {divergence:.2g}")
    finite = np.concatenate([found[np.isfinite(found)] for found in losses.values()])
    if len(finite):  # what blows up would leave no room for the rest
        first = float(np.median([found[0] for found in losses.values() if np.isfinite(found[0])] or [finite[0]]))
        low, high = float(finite.min()), min(float(finite.max()), max(1.6 * first, first + 1e-3))
        axis.set_ylim(low - 0.05 * (high - low) - 1e-9, high + 0.05 * (high - low) + 1e-9)
    axis.set(xscale="log", xlabel="learning rate", ylabel="training loss before the step")
    axis.xaxis.set_major_formatter("{x:g}")
    title = "learning-rate sweep: " + ("a step at each rate" if suggestions else "nothing can be suggested")
    axis.set_title(title)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="lower left")
    return save_figure(figure, path)


def plot_batch_sizes(
    rates: Mapping[int, float], quartiles: Mapping[int, tuple[float, float]], memory: Mapping[int, int], limit: float,
    chosen: int, path: str | Path, too_noisy: bool = False,
) -> Path:  # fmt: skip
    """Images a second, and bytes of a device, over the batch size.

    Args:
      rates: {batch size: images a second}.
      quartiles: {batch size: (lower, upper)} of these.
      memory: {batch size: bytes at the peak} of all that were compiled.
      limit: bytes that may be used.
      chosen: the batch size that is recommended.
      path: of the picture.
      too_noisy: whether the rates do not tell that batch from others.
    """
    figure, (speed, room) = new_figure(1, 2, (11, 4.2))
    sizes = list(rates)
    speed.plot(sizes, list(rates.values()), marker="o", color="tab:blue", label="median")
    low, high = ([quartiles[size][i] for size in sizes] for i in (0, 1))
    speed.fill_between(sizes, low, high, color="tab:blue", alpha=0.2, label="quartiles")
    speed.axhline(0.95 * max(rates.values()), color="tab:gray", linestyle=":", label="95 % of the best")
    marked = f"by the medians: {chosen}, too noisy to tell" if too_noisy else f"recommended: {chosen}"
    speed.axvline(chosen, color="tab:green", linestyle="--", label=marked)
    speed.set(xscale="log", ylabel="images / s", title="throughput")
    speed.set_ylim(bottom=0)
    known = sorted(memory)
    room.plot(known, [memory[size] / 1e9 for size in known], marker="o", color="tab:orange", label="by the compiler")
    room.axhline(limit / 1e9, color="tab:red", linestyle=":", label="what may be used")
    room.set(xscale="log", yscale="log", ylabel="GB of each device", title="memory at the peak of a step")
    room.yaxis.set_major_formatter("{x:g}")
    for axis in (speed, room):
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_xlabel("batch size")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    return save_figure(figure, path)


def _shades(count: int) -> list[tuple[float, ...]]:
    from matplotlib import colormaps

    return [colormaps["Blues"](share) for share in np.linspace(0.95, 0.55, count)]
