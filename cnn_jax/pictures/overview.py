"""An evaluation at a glance, as one wide picture: for a report, a slide, a README."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.pictures.reports import CURVES, new_figure, save_figure, set_title

_SIZE = (13, 5.2)  # inches; half as wide on a page, its letters can still be read
_FONT = 12
_NUMBERED = 12  # classes whose counts and names fit
_HEADROOM = 0.42  # above an example, in widths
_LONGEST = 10  # characters of a name


@dataclasses.dataclass(frozen=True)
class Example:
    """A picture [H, W, C] and what the model says of it."""

    image: np.ndarray
    label: str
    prediction: str
    probability: float


def grid(class_names: Sequence[str]) -> tuple[int, int]:
    """(columns, rows) of examples that there is room for, below headings with such names."""
    return (6, 4) if max(map(len, class_names)) <= 2 else (4, 3)


def plot_overview(
    examples: Sequence[Example], rows: Sequence[Mapping[str, Any]], confusion: np.ndarray, class_names: Sequence[str],
    title: str, path: str | Path,
) -> Path:  # fmt: skip
    """Predictions, accuracy by epoch, and the confusion matrix side by side.

    Args:
      examples: as many as fit the `grid`; what is wrong is red.
      rows: of a `metrics.jsonl`.
      confusion: [K, K], rows are labels.
      class_names: K of them.
      title: which run, and how good it is.
      path: of the picture.
    """
    figure, (left, middle, right) = new_figure(1, 3, _SIZE, width_ratios=(1.3, 0.9, 1))
    _draw_examples(left, examples, *grid(class_names))
    _draw_curves(middle, rows)
    _draw_confusion(right, confusion, class_names)
    for axis in (left, middle, right):
        axis.title.set_fontsize(_FONT)
        axis.tick_params(labelsize=_FONT - 1)
    set_title(figure, title, _FONT + 4)
    return save_figure(figure, path)


def _draw_examples(axis: Any, examples: Sequence[Example], columns: int, rows: int) -> None:
    pitch, gap = 1 + _HEADROOM, " " if columns > 4 else "\n"
    for i, example in enumerate(examples):
        column, top = i % columns, (i // columns + 1) * pitch - 1
        height, width = np.array(example.image.shape[:2]) / max(example.image.shape[:2]) * 0.94
        middle, bottom = column + 0.5, top + 0.94
        wrong = example.label != example.prediction
        text = f"{_short(example.prediction)}{gap}({example.probability:.0%})"
        color = "tab:red" if wrong else "black"
        axis.text(middle, top - 0.05, text, ha="center", va="bottom", fontsize=_FONT - 2, color=color)
        axis.imshow(
            example.image[..., 0] if example.image.shape[-1] == 1 else example.image, cmap="gray", vmin=0, vmax=255,
            interpolation="nearest", extent=(middle - width / 2, middle + width / 2, bottom, bottom - height),
        )  # fmt: skip
    axis.set(xlim=(0, columns), ylim=(rows * pitch, 0), aspect="equal")
    axis.set_title("predictions: the surest mistakes (red), then others")
    axis.axis("off")


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."


def _draw_curves(axis: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for split, color in CURVES.items():
        points = [(row["epoch"], row["accuracy"]) for row in rows if row["split"] == split and "accuracy" in row]
        if points:
            axis.plot(*zip(*points, strict=True), color=color, marker=".", label=split.replace("_", ", "))
    if axis.lines:
        axis.legend(fontsize=_FONT - 1)
    axis.set_title("accuracy by epoch")
    axis.grid(alpha=0.3)
    axis.xaxis.get_major_locator().set_params(integer=True)


def _draw_confusion(axis: Any, confusion: np.ndarray, class_names: Sequence[str]) -> None:
    from matplotlib.colors import PowerNorm

    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", norm=PowerNorm(0.4, vmin=0, vmax=1), aspect="auto")
    count = len(class_names)
    if count <= _NUMBERED:
        for i, j in zip(*np.nonzero(confusion), strict=True):
            color = "white" if shares[i, j] > 0.3 else "black"
            axis.text(j, i, f"{confusion[i, j]}", ha="center", va="center", color=color, fontsize=_FONT - 2)
        names = [_short(name) for name in class_names]
        turn = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 2 else {}
        axis.set_xticks(range(count), names, **turn)
        axis.set_yticks(range(count), names)
    axis.set_xlabel("predicted", fontsize=_FONT)
    axis.set_ylabel("label", fontsize=_FONT)
    axis.set_title("confusion matrix")
