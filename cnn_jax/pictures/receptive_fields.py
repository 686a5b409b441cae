"""Receptive fields drawn: over an image, and as they grow in training."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnn_jax.pictures.reports import new_figure, save_figure, set_title


class Drawn(NamedTuple):
    """A field over an image.

    Attributes:
      title: a line or two.
      box: top, left, bottom, right of what can be seen.
      values: [H, W], how much each pixel counts; not negative.
      level: above which a pixel belongs to the effective field.
    """

    title: str
    box: tuple[int, int, int, int]
    values: np.ndarray
    level: float


def plot_fields(image: np.ndarray, fields: Sequence[Drawn], title: str, path: str | Path) -> Path:
    """Fields over an image [H, W, C] in 0..255: a frame around what can be seen, light where it is seen.

    The line goes around the effective field.
    """
    columns = min(4, len(fields))
    rows = -(-len(fields) // columns)
    figure, axes = new_figure(rows, columns, (2.9 * columns, 3.3 * rows + 0.6))
    set_title(figure, title)
    gray = image.mean(-1) / 255
    height, width = gray.shape
    for axis, field in zip(axes, fields, strict=False):
        axis.imshow(0.25 + 0.5 * gray, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        share = np.sqrt(field.values / max(float(field.values.max()), 1e-30))
        axis.imshow(share, cmap="inferno", alpha=np.clip(1.6 * share, 0, 0.75), interpolation="nearest", vmin=0, vmax=1)
        seen = (field.values > field.level).astype(float)
        if 0 < seen.sum() < seen.size:
            _outline(axis, seen)
        top, left, bottom, right = field.box
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        axis.plot(*(np.array(corners).T - 0.5), color="deepskyblue", linewidth=2, clip_on=False)
        axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        axis.set_title(field.title, fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    for axis in axes[len(fields) :]:
        axis.axis("off")
    return save_figure(figure, path)


def _outline(axis: object, seen: np.ndarray) -> None:
    """A line along the borders of pixels."""
    padded = np.pad(seen, 1)
    lines = []
    for row, column in zip(*np.nonzero(padded[:, 1:] != padded[:, :-1]), strict=True):
        lines.append(((column - 0.5, row - 1.5), (column - 0.5, row - 0.5)))
    for row, column in zip(*np.nonzero(padded[1:] != padded[:-1]), strict=True):
        lines.append(((column - 1.5, row - 0.5), (column - 0.5, row - 0.5)))
    from matplotlib.collections import LineCollection

    axis.add_collection(LineCollection(lines, colors="white", linewidths=1))  # type: ignore[attr-defined]


def plot_growth(
    labels: Sequence[str], sizes: dict[str, Sequence[tuple[float, float]]], largest: dict[str, float], title: str,
    path: str | Path,
) -> Path:  # fmt: skip
    """Effective sizes with two standard errors on both sides, in the course of the training.

    Args:
      labels: when, N of them.
      sizes: of each layer N times (size, standard error).
      largest: of each layer the side of what it can see: a dashed line.
    """
    figure, axes = new_figure(1, 1, (8, 4.2))
    places = np.arange(len(labels))
    for name, values in sizes.items():
        means, errors = np.array(values).T
        line = axes[0].errorbar(places, means, 2 * errors, marker="o", capsize=3, label=name)
        axes[0].axhline(largest[name], color=line[0].get_color(), linestyle="--", linewidth=1)
    axes[0].set(ylabel="pixels", ylim=(0, None), title=title)
    axes[0].set_xticks(places, labels)
    axes[0].grid(alpha=0.3)
    axes[0].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return save_figure(figure, path)
