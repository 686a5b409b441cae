"""One figure over several runs of a config."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from cnn_jax.pictures.reports import new_figure, save_figure

_MOST_NAMES = 40


class _Spread(Protocol):
    @property
    def mean(self) -> float: ...

    @property
    def interval(self) -> tuple[float, float] | None: ...


Panel = tuple[str, Sequence[float], Sequence[tuple[float, float] | None], _Spread]


def plot_repeat(runs: Sequence[str], panels: Sequence[Panel], title: str, path: str | Path) -> Path:
    """A point for each run, their mean, and its interval.

    Args:
      runs: names.
      panels: (figure, value of each run, interval of each by itself or None, mean and interval of all).
      title: of the picture.
      path: where it is written.
    """
    width = min(max(0.45 * len(runs) + 2.5, 5), 14)
    figure, axes = new_figure(1, len(panels), (width * len(panels), 4.2))
    for axis, (name, values, intervals, spread) in zip(axes, panels, strict=True):
        if spread.interval is not None:
            axis.axhspan(*spread.interval, color="tab:blue", alpha=0.15, linewidth=0, label="95 % interval of the mean")
        axis.axhline(spread.mean, color="tab:blue", label=f"mean {spread.mean:.4f}")
        for i, (value, interval) in enumerate(zip(values, intervals, strict=True)):
            if interval is not None:
                label = "95 % interval of one run (binomial)" if i == 0 else None
                axis.plot([i, i], interval, color="tab:gray", linewidth=1, label=label)
            axis.plot([i], [value], "o", color="tab:orange", label=name if i == 0 else None)
        every = -(-len(runs) // _MOST_NAMES)
        axis.set_xticks(range(0, len(runs), every), runs[::every], rotation=45, ha="right")
        axis.set(ylabel=name, xlim=(-0.6, len(runs) - 0.4))
        axis.grid(alpha=0.3, axis="y")
        axis.legend(fontsize=8, loc="best")
    figure.suptitle(title)
    return save_figure(figure, path)
