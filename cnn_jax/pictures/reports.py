"""The pictures that commands write. They take arrays and rows, and know no other room."""

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

CURVES = {"train": "tab:blue", "validation": "tab:orange", "validation_ema": "tab:red", "validation_swa": "tab:red"}


def plot_curves(rows: Sequence[Mapping[str, Any]], title: str, training: str, path: str | Path) -> Path:
    """Loss, accuracy and learning rate by epoch.

    Args:
      rows: of a `metrics.jsonl`.
      title: which run this is.
      training: what the losses of training hold that those of evaluation do not, as "dropout"; perhaps nothing.
      path: of the picture.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    # Of a log that others wrote in, what can be drawn.
    rows = [{name: value for name, value in row.items() if name == "split" or _is_number(value)} for row in rows]
    rates = [(row["epoch"], row["learning_rate"]) for row in rows if row["split"] == "train" and "learning_rate" in row]
    height = 4.4
    margins = {"left": 0.055, "right": 0.985, "bottom": 0.2, "wspace": 0.2}
    figure, axes = new_figure(1, 3 if rates else 2, (13, height), margins)
    set_title(figure, f"{title}\ntrain: with {training}" if training else title)
    lines = figure.get_suptitle().count("\n") + 1
    figure.subplots_adjust(top=1 - (0.21 * lines + 0.45) / height)
    for axis, name in zip(axes[:2], ("loss", "accuracy"), strict=True):
        draw_splits(axis, rows, name)
        tested = [row[name] for row in rows if row["split"] == "test" and name in row]
        for value in tested:
            axis.axhline(value, color="tab:green", linestyle=":", label="test")
        axis.set_title(", ".join([name, *(f"test {value:.4f}" for value in tested)]), fontsize=10)
    _legend_below(figure, axes[:2])
    losses = [row["loss"] for row in rows if row["split"] != "test" and "loss" in row]
    if losses and min(losses) > 0 and max(losses) > 20 * min(losses):
        axes[0].set_yscale("log")
        axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes[0].yaxis.set_major_formatter("{x:g}")
        axes[0].yaxis.set_minor_formatter(NullFormatter())
    for axis in axes[2:]:
        axis.plot(*zip(*rates, strict=True), color="tab:gray", marker=".")
        axis.ticklabel_format(axis="y", scilimits=(-2, 3))  # short numbers, which stay beside their axis
        axis.set_title("learning rate at the end of the epoch", fontsize=10)
    for axis in axes:
        number_epochs(axis, rows)
    return save_figure(figure, path)


def draw_splits(axis: Any, rows: Sequence[Mapping[str, Any]], name: str) -> None:
    """A figure by epoch, a curve for each split that has it; that of averaged weights hides none below it."""
    for split, color in CURVES.items():
        points = [(row["epoch"], row[name]) for row in rows if row["split"] == split and name in row]
        label = re.sub("_(ema|swa)$", ", averaged weights", split)
        if points:
            axis.plot(
                *zip(*points, strict=True), color=color, label=label, marker="." if label == split else "x",
                linestyle="-" if label == split else "--",
            )  # fmt: skip


def number_epochs(axis: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """A horizontal axis of all epochs of a log, in whole ones, be it a single one."""
    epochs = [row["epoch"] for row in rows] or [0]
    low, high = min(epochs), max(epochs)
    beside = 0.04 * (high - low) or 0.5
    axis.set_xlim(low - beside, high + beside)
    axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axis.set_xlabel("epoch")
    axis.grid(alpha=0.3)


def _legend_below(figure: Any, axes: Sequence[Any]) -> None:
    """One for these axes, where it covers no curve."""
    named = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if named:
        figure.legend(named.values(), named, loc="lower center", ncols=len(named), frameon=False)


def plot_schedule(
    epochs: np.ndarray, rates: np.ndarray, momenta: np.ndarray | None, marks: Sequence[tuple[float, str]], title: str,
    path: str | Path,
) -> Path:  # fmt: skip
    """Rates [N] and, below them, momenta [N] over epochs [N]; marks are (epoch, what begins there)."""
    curves = [("learning rate", rates, "tab:blue")]
    if momenta is not None:
        curves.append(("momentum", momenta, "tab:orange"))
    figure, axes = new_figure(len(curves), 1, (9, 3.6 * len(curves)))
    for axis, (name, values, color) in zip(axes, curves, strict=True):
        axis.plot(epochs, values, color=color)
        for epoch, _ in marks:
            axis.axvline(epoch, color="tab:gray", linestyle=":", linewidth=1)
        axis.set(xlabel="epoch", ylabel=name)
        axis.grid(alpha=0.3)
    named = marks if len(marks) <= 12 else ()
    axes[0].set_ylim(0, max(float(rates.max()), 1e-30) * (1.35 if named else 1.05))  # names stand above the curve
    top = axes[0].get_xaxis_transform()
    for epoch, what in named:
        axes[0].text(epoch, 0.98, f" {what}", transform=top, rotation=90, ha="right", va="top", fontsize=8)
    axes[0].set_title(title)
    return save_figure(figure, path)


def plot_gallery(title: str, rows: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]]]], path: str | Path) -> Path:
    """Rows of pictures: (label, groups), a group being (heading, images [N, H, W, C] in 0..255)."""
    gap, headroom = 0.35, 0.3  # between groups and above each row, in pictures
    widths = [sum(len(images) for _, images in groups) + gap * (len(groups) - 1) for _, groups in rows]
    width, height = max(widths), len(rows) * (1 + headroom)
    figure, axes = new_figure(1, 1, (0.75 * width + 2.0, 0.75 * height + 0.5))
    axis = axes[0]
    for i, (label, groups) in enumerate(rows):
        left, top = 0.0, i * (1 + headroom) + headroom
        axis.text(-0.15, top + 0.5, label, ha="right", va="center", fontsize=9, fontweight="bold")
        for heading, images in groups:
            axis.text(left + len(images) / 2, top - 0.04, heading, ha="center", va="bottom", fontsize=7)
            for image in images:
                shown = np.clip(np.round(image), 0, 255).astype(np.uint8)
                axis.imshow(
                    shown[..., 0] if shown.shape[-1] == 1 else shown, cmap="gray", vmin=0, vmax=255,
                    interpolation="nearest", extent=(left + 0.02, left + 0.98, top + 0.98, top + 0.02),
                )  # fmt: skip
                left += 1
            left += gap
    axis.set(xlim=(-2.6, width), ylim=(height, 0), aspect="equal", title=title)
    axis.axis("off")
    return save_figure(figure, path)


def new_figure(
    rows: int, columns: int, size: tuple[float, float], margins: Mapping[str, float] | None = None,
    width_ratios: Sequence[float] | None = None,
) -> tuple[Any, list[Any]]:  # fmt: skip
    """A figure of `size` inches and its axes. Without margins matplotlib finds them: as long again as drawing."""
    # Figure without pyplot: no global state, no window system.
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matplotlib.rcParams["text.parse_math"] = False  # a class may be called $x$
    figure = Figure(figsize=size, layout=None if margins else "constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=dict(margins or {}), width_ratios=width_ratios)
    return figure, list(axes.reshape(-1))


def set_title(figure: Any, title: str, points: float | None = None) -> None:
    """A title above all axes, in lines that fit the figure; the size of its letters follows the figure's."""
    points = points or float(np.clip(0.8 * figure.get_figwidth(), 11, 20))
    characters = int(figure.get_figwidth() * 72 / (0.55 * points))
    figure.suptitle("\n".join(textwrap.fill(line, characters) for line in title.split("\n")), fontsize=points)


def save_figure(figure: Any, path: str | Path) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
