"""Curves of shares by how far pictures are moved, and the layers that do not move along."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cnn_jax.pictures.reports import new_figure, save_figure, set_title


class Curve(NamedTuple):
    """Shares and their intervals at some amounts."""

    label: str
    amounts: Sequence[float]
    values: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]


class Panel(NamedTuple):
    """Curves over one kind of amount; `unmoved` is the amount that changes nothing."""

    amount: str
    curves: Sequence[Curve]
    unmoved: float = 0.0


_COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red")
_MARKERS = "osD^"


def plot_moved(
    panels: Sequence[Panel], chance: float | None, title: str, path: str | Path, share: str = "accuracy"
) -> Path:
    """Curves with bands of 95 %, a panel for each kind of movement, and what guessing gives as a dotted line."""
    figure, axes = new_figure(1, len(panels), (4.2 * len(panels) + 0.6, 4.2))
    set_title(figure, title)
    for axis, panel in zip(axes, panels, strict=True):
        for curve, color, marker in zip(panel.curves, _COLORS, _MARKERS, strict=False):
            axis.fill_between(curve.amounts, curve.lows, curve.highs, color=color, alpha=0.2, linewidth=0)
            axis.plot(curve.amounts, curve.values, color=color, marker=marker, markersize=4, label=curve.label)
        if all(float(amount).is_integer() for curve in panel.curves for amount in curve.amounts):
            axis.xaxis.get_major_locator().set_params(integer=True)
        axis.axvline(panel.unmoved, color="tab:gray", linewidth=0.8)
        if chance is not None:
            axis.axhline(chance, color="black", linestyle=":", label="guessing")
        axis.set(xlabel=panel.amount, ylim=(0, 1.02))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="best")
    axes[0].set_ylabel(share)
    return save_figure(figure, path)


def plot_layers(
    names: Sequence[str], errors: Mapping[str, Sequence[float | None]], marked: str | None, title: str, path: str | Path
) -> Path:
    """Errors of each layer as points on a line of its own, the first layer on top; one layer's name is bold."""
    figure, axes = new_figure(1, 1, (8, 1.6 + 0.22 * len(names)))
    set_title(figure, title)
    axis = axes[0]
    for (label, values), color, marker in zip(errors.items(), _COLORS, _MARKERS, strict=False):
        known = [(value, row) for row, value in enumerate(values) if value is not None]
        axis.plot(*zip(*known, strict=True), color=color, marker=marker, markersize=5, linewidth=1, label=label)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    for text in axis.get_yticklabels():
        if text.get_text() == marked:
            text.set_fontweight("bold")
    axis.set(xlabel="error", ylim=(len(names) - 0.5, -0.5), xlim=(-0.02, None))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return save_figure(figure, path)
