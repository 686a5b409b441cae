"""The pictures of an evaluation: the confusion matrix, and mistakes as the pictures that they are."""

import dataclasses
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.pictures.reports import new_figure, save_figure, set_title

_COLUMNS = 6
_PANEL = 2.1  # inches
_HEADING, _SMALL_PRINT = 27, 38  # characters that fit a panel
_NONE = "-"  # of what is not defined
WHOLE = (0.0, 0.0, 1.0, 1.0)
_NUMBERED, _NAMED = 30, 60  # up to so many classes


@dataclasses.dataclass(frozen=True)
class Panel:
    """A picture [H, W, C] with a heading and, below it, its file.

    `part` is what is framed: (top, left, height, width) in shares of the picture's height and width.
    """

    image: np.ndarray
    heading: str
    file: str
    part: tuple[float, float, float, float] = WHOLE


def plot_confusion(confusion: np.ndarray, class_names: Sequence[str], title: str, path: str | Path) -> Path:
    """A confusion matrix [K, K] (rows: labels): shares of each row as colours, counts as numbers.

    Recall and how many images there are stand beside each row, precision and how many were predicted above each
    column; "-" where there are none.
    """
    from matplotlib.colors import PowerNorm

    count = len(class_names)
    side = float(np.clip(0.55 * count + 2, 5, 24))
    figure, axes = new_figure(1, 1, (side + 2.5, side + 1.2))
    axis = axes[0]
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    # The power makes a few mistakes in a thousand visible.
    image = axis.imshow(shares, cmap="Blues", norm=PowerNorm(0.4, vmin=0, vmax=1))
    if count <= _NUMBERED:
        for i, j in np.ndindex(count, count):
            if confusion[i, j]:
                color = "white" if shares[i, j] > 0.3 else "black"
                axis.text(j, i, f"{confusion[i, j]}", ha="center", va="center", color=color, fontsize=8)
    if count <= _NAMED:
        _name_classes(axis, confusion, class_names)
    axis.set(xlabel="predicted", ylabel="label")
    set_title(figure, title)
    figure.colorbar(image, ax=axis, fraction=0.046, label="share of the label's images (not linear)")
    return save_figure(figure, path)


def _name_classes(axis: Any, confusion: np.ndarray, class_names: Sequence[str]) -> None:
    count = len(class_names)
    turned = max(map(len, class_names)) > 2
    turn = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    axis.set_xticks(range(count), class_names, **turn)
    axis.set_yticks(range(count), class_names)
    hits = confusion.diagonal()
    recall, precision = axis.secondary_yaxis("right"), axis.secondary_xaxis("top")
    recall.set_yticks(range(count), _ratios(hits, confusion.sum(axis=1)), fontsize=8)
    recall.set_ylabel(f"recall, of so many images ({confusion.sum():,} in all)")
    precision.set_xticks(range(count), _ratios(hits, confusion.sum(axis=0)), fontsize=8)
    precision.set_xlabel("precision, of so many predictions")
    for label in precision.get_xticklabels():
        label.set_rotation(0 if label.get_text() == _NONE else 90)
    for beside in (recall, precision):
        beside.tick_params(length=0)


def _ratios(hits: np.ndarray, totals: np.ndarray) -> list[str]:
    return [f"{hit / total:.0%} of {total:,}" if total else _NONE for hit, total in zip(hits, totals, strict=True)]


def plot_mistakes(panels: Sequence[Panel], title: str, path: str | Path) -> Path:
    """Pictures that were classified wrongly, in rows of six; where there are none, the title alone."""
    columns = int(np.clip(len(panels), 3, _COLUMNS))
    rows = -(-len(panels) // columns)
    figure, axes = new_figure(max(1, rows), columns, (columns * _PANEL, rows * (_PANEL + 0.85) + 0.8))
    figure.get_layout_engine().set(h_pad=0.1)  # a file's name belongs to the picture above it
    for axis in axes:
        axis.axis("off")
    for axis, panel in zip(axes, panels, strict=False):
        _draw(axis, panel)
    set_title(figure, title)
    return save_figure(figure, path)


def _draw(axis: Any, panel: Panel) -> None:
    from matplotlib.patches import Rectangle

    height, width = panel.image.shape[:2]
    axis.imshow(panel.image[..., 0] if panel.image.shape[-1] == 1 else panel.image, cmap="gray", vmin=0, vmax=255)
    top, left, tall, wide = panel.part
    if min(tall, wide) < 1:
        corner = (left * width - 0.5, top * height - 0.5)
        for color, line, thickness in (("black", "-", 2.5), ("yellow", "-", 1.2)):
            axis.add_patch(
                Rectangle(corner, wide * width, tall * height, fill=False, color=color, ls=line, lw=thickness)
            )
    axis.set_title(_folded(panel.heading, _HEADING, 4), fontsize=9)
    file = _folded(panel.file, _SMALL_PRINT, 2)
    axis.text(0.5, -0.03, file, transform=axis.transAxes, ha="center", va="top", fontsize=6.5)


def _folded(text: str, width: int, lines: int) -> str:
    """In lines of this width; of a text that needs more of them the end is kept, where a file's own name stands."""
    folded = [piece for line in text.split("\n") for piece in textwrap.wrap(line, width) or [""]]
    kept = folded[-lines:]
    return "\n".join(kept if kept == folded else ["..." + kept[0][3:], *kept[1:]])
