"""An evaluation at a glance, as one wide picture: for a report, a slide, a README."""

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.pictures.reports import draw_splits, new_figure, number_epochs, save_figure, set_title

_SIZE = (13, 5.2)  # inches; half as wide on a page, its letters can still be read
_FONT = 12
_NUMBERED = 12  # classes whose counts and names fit
_SHARE = 0.41  # of the width, for the examples
_ROOM = {6: (1.08, 0.49, 9), 4: (1.46, 0.74, 16)}  # by columns: width and headroom in images, characters of a line
_SHORTEST, _LONGEST = 6, 22  # characters of a name at the matrix


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
    figure, (middle, right) = new_figure(1, 2, _SIZE, width_ratios=(0.9, 1))
    set_title(figure, title, _FONT + 4)
    # The examples have a place of their own, whatever the names at the matrix take.
    lines = figure.get_suptitle().count("\n") + 1
    left = figure.add_axes((0.01, 0.02, _SHARE - 0.02, 0.922 - 0.05 * lines), anchor="N")
    figure.get_layout_engine().set(rect=(_SHARE, 0, 1 - _SHARE, 1))
    _draw_examples(left, examples, *grid(class_names))
    _draw_curves(middle, rows)
    _draw_confusion(right, confusion, class_names)
    for axis in (left, middle, right):
        axis.title.set_fontsize(_FONT)
        axis.tick_params(labelsize=_FONT - 1)
    if max(map(len, class_names)) > _SHORTEST:
        right.tick_params(labelsize=_FONT - 3)
    return save_figure(figure, path)


def _draw_examples(axis: Any, examples: Sequence[Example], columns: int, rows: int) -> None:
    wide, headroom, characters = _ROOM[columns]
    tall = 1 + headroom
    for i, example in enumerate(examples):
        height, width = np.array(example.image.shape[:2]) / max(example.image.shape[:2]) * 0.94
        middle, top = (i % columns + 0.5) * wide, (i // columns + 1) * tall - 1
        color = "tab:red" if example.label != example.prediction else "black"
        text = axis.text(
            middle, top - 0.04, _heading(example, characters), ha="center", va="bottom", color=color,
            fontsize=_FONT - 2 if columns > 4 else _FONT - 3,
        )  # fmt: skip
        excess = text.get_window_extent().width / (0.97 * axis.bbox.width / columns)  # of a name in capitals
        text.set_fontsize(text.get_fontsize() / max(1, excess))
        axis.imshow(
            example.image[..., 0] if example.image.shape[-1] == 1 else example.image, cmap="gray", vmin=0, vmax=255,
            interpolation="nearest", extent=(middle - width / 2, middle + width / 2, top + height, top),
        )  # fmt: skip
    axis.set(xlim=(0, columns * wide), ylim=(rows * tall, 0), aspect="equal")
    wrong = sum(example.label != example.prediction for example in examples)
    kinds = ["the surest mistakes (red)"] * (wrong > 0) + ["others"] * (0 < wrong < len(examples))
    axis.set_title(f"predictions{': ' if kinds else ''}{', then '.join(kinds)}")
    axis.axis("off")


def _heading(example: Example, characters: int) -> str:
    """What is predicted, how surely, and of a mistake the label, in four lines at most."""
    sure, wrong = f" ({example.probability:.0%})", example.label != example.prediction
    lines = _folded("", example.prediction, sure, characters, 2 if wrong else 3)
    return "\n".join(lines + (_folded("label: ", example.label, "", characters, 2) if wrong else []))


def _folded(before: str, name: str, after: str, characters: int, most: int) -> list[str]:
    """In so many lines at most; a name that needs more of them is cut."""
    lengths = range(len(name), 3, -1)
    cut = (textwrap.wrap(f"{before}{_short(name, length)}{after}", characters) for length in lengths)
    return next((lines for lines in cut if len(lines) <= most), [f"{before}{name}{after}"])


def _short(name: str, characters: int) -> str:
    return name if len(name) <= characters else f"{name[: characters - 3].rstrip()}..."


def _draw_curves(axis: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    draw_splits(axis, rows, "accuracy")
    if axis.lines:
        columns = 2 if len(axis.lines) <= 2 else 1
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=columns, fontsize=_FONT - 2, frameon=False)
    axis.set_title("accuracy by epoch")
    number_epochs(axis, rows)
    axis.xaxis.label.set_fontsize(_FONT)


def _draw_confusion(axis: Any, confusion: np.ndarray, class_names: Sequence[str]) -> None:
    from matplotlib.colors import PowerNorm

    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", norm=PowerNorm(0.4, vmin=0, vmax=1), aspect="auto")
    count = len(class_names)
    if count <= _NUMBERED:
        for i, j in zip(*np.nonzero(confusion), strict=True):
            color = "white" if shares[i, j] > 0.3 else "black"
            axis.text(j, i, f"{confusion[i, j]}", ha="center", va="center", color=color, fontsize=_FONT - 2)
        names = [_short(name, _LONGEST) for name in class_names]
        turn = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 2 else {}
        axis.set_xticks(range(count), names, **turn)
        axis.set_yticks(range(count), names)
    axis.set_xlabel("predicted", fontsize=_FONT)
    axis.set_ylabel("label", fontsize=_FONT)
    axis.set_title("confusion matrix")
