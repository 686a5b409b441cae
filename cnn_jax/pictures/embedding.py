"""Images as points on a plane, with thumbnails where there is room, and images with their nearest ones in rows."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.pictures.feature_maps import box, gray_or_color
from cnn_jax.pictures.reports import new_figure, save_figure, set_title

_SIDE = 8.0  # inches of the longer side of a plane
_MARGIN = 0.04
_THUMBNAIL = 1 / 24  # of the width of the plane
_MOST_NAMED = 20  # classes with a color of their own
_LONGEST = 24  # characters of a name
_WRONG, _SAME, _OTHER = "magenta", "tab:green", "red"


@dataclasses.dataclass(frozen=True)
class Cloud:
    """N points.

    Attributes:
      points: [N, 2].
      images: uint8 [N, H, W, C].
      labels: [N].
      wrong: bool [N], what is predicted wrongly.
      class_names: of all classes.
    """

    points: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    wrong: np.ndarray
    class_names: Sequence[str]


def plot_plane(cloud: Cloud, axes: tuple[str, str], title: str, seed: int, path: Path) -> Path:
    """Points in the colors of their classes; wrong ones ringed in magenta, every other thumbnail one of them."""
    low, span = cloud.points.min(axis=0), float(np.ptp(cloud.points, axis=0).max()) or 1.0
    points = (cloud.points - low) / span
    width, height = np.maximum(points.max(axis=0), 0.45) + 2 * _MARGIN
    figure, (axis,) = new_figure(1, 1, (_SIDE * width + 2.4, _SIDE * height + 0.9))
    colors = class_colors(len(cloud.class_names))
    axis.scatter(*points.T, s=12, c=colors[cloud.labels], linewidths=0)
    axis.scatter(*points[cloud.wrong].T, s=55, facecolors="none", edgecolors=_WRONG, linewidths=1.2)
    for number in place_squares(points, mixed_order(cloud.wrong, seed), _THUMBNAIL):
        _draw_thumbnail(axis, cloud, number, points[number], colors)
    axis.set(xlim=(-_MARGIN, width - _MARGIN), ylim=(-_MARGIN, height - _MARGIN), aspect="equal")
    axis.set(xlabel=axes[0], ylabel=axes[1])
    axis.set_xticks([])
    axis.set_yticks([])
    _name_classes(axis, cloud, colors)
    set_title(figure, title, 11)
    return save_figure(figure, path)


def place_squares(points: np.ndarray, order: np.ndarray, side: float) -> np.ndarray:
    """Numbers of the points [N, 2] around which squares do not overlap: taken in `order`, where there is room."""
    taken: list[int] = []
    for number in order:
        if not taken or np.abs(points[taken] - points[number]).max(axis=1).min() >= side:
            taken.append(int(number))
    return np.array(taken, int)


def mixed_order(first: np.ndarray, seed: int) -> np.ndarray:
    """Numbers of N in a random order, those where bool [N] is set and others by turns, as long as there are both."""
    mixed = np.random.RandomState(seed).permutation(len(first))
    turn = np.empty(len(first), int)
    turn[mixed[first[mixed]]] = 2 * np.arange(first.sum())
    turn[mixed[~first[mixed]]] = 2 * np.arange((~first).sum()) + 1
    return np.argsort(turn, kind="stable")


def class_colors(count: int) -> np.ndarray:
    """[K, 4]; of many classes neighbours in the list have like colors."""
    import matplotlib

    if count <= 10:
        return np.array([matplotlib.colormaps["tab10"](k) for k in range(count)])
    if count <= _MOST_NAMED:
        return np.array([matplotlib.colormaps["tab20"](k) for k in range(count)])
    return np.array(matplotlib.colormaps["hsv"](np.linspace(0, 0.95, count)))


def _draw_thumbnail(axis: Any, cloud: Cloud, number: int, point: np.ndarray, colors: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    side = 0.9 * _THUMBNAIL
    left, top = point - side / 2
    extent = np.array(box(0, 0, cloud.images.shape[1:])) * side + np.array([left, left, top, top])
    lowest, highest = min(extent[2:]), max(extent[2:])
    axis.imshow(
        **gray_or_color(cloud.images[number]), extent=(extent[0], extent[1], lowest, highest), aspect="auto", zorder=3
    )
    edge = _WRONG if cloud.wrong[number] else colors[cloud.labels[number]]
    corner, width, height = (extent[0], lowest), extent[1] - extent[0], highest - lowest
    axis.add_patch(
        Rectangle(corner, width, height, fill=False, edgecolor=edge, lw=2.2 if cloud.wrong[number] else 1.3, zorder=4)
    )


def _name_classes(axis: Any, cloud: Cloud, colors: np.ndarray) -> None:
    """In a column on the right; no legend, which would leave out names that begin with an underscore."""
    there = np.unique(cloud.labels)
    names = [(shorten(cloud.class_names[k], _LONGEST), colors[k], "o") for k in there]
    names = names if len(cloud.class_names) <= _MOST_NAMED else []
    for i, (name, color, marker) in enumerate([*names, ("wrong", _WRONG, "ring")]):
        height = 0.98 - i * 0.045
        ring = {"markerfacecolor": "none", "markersize": 9} if marker == "ring" else {}
        axis.plot(1.03, height, "o", color=color, transform=axis.transAxes, clip_on=False, **ring)
        axis.text(1.05, height, name, transform=axis.transAxes, va="center", fontsize=9)


@dataclasses.dataclass(frozen=True)
class Near:
    """An image [H, W, C] with lines above it and its file below; whether it is of the class that it should be."""

    image: np.ndarray
    heading: str
    file: str
    same: bool


def plot_neighbors(rows: Sequence[tuple[Near, Sequence[Near]]], title: str, path: Path) -> Path:
    """A row for each image: itself, and behind a gap those nearest to it, the nearest first."""
    unit, headroom, gap, small_print = 1.1, 0.38, 0.35, 0.2  # inches; the others in images
    width = 1 + gap + max(len(near) for _, near in rows)
    pitch = 1 + headroom + small_print
    figure, (axis,) = new_figure(1, 1, (unit * width + 0.3, unit * pitch * len(rows) + 0.8))
    for i, (query, near) in enumerate(rows):
        top = i * pitch + headroom
        _draw_near(axis, query, 0.0, top)
        for j, each in enumerate(near):
            _draw_near(axis, each, 1 + gap + j, top)
    axis.set(xlim=(0, width), ylim=(len(rows) * pitch, 0), aspect="equal")
    axis.axis("off")
    set_title(figure, title, 12)
    return save_figure(figure, path)


def _draw_near(axis: Any, near: Near, left: float, top: float) -> None:
    from matplotlib.patches import Rectangle

    x0, x1, y1, y0 = box(left, top, near.image.shape)
    axis.imshow(**gray_or_color(near.image), extent=(x0, x1, y1, y0))
    color = _SAME if near.same else _OTHER
    axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=color, linewidth=2))
    axis.text(left + 0.5, top - 0.02, near.heading, ha="center", va="bottom", fontsize=7.5, linespacing=1.1)
    axis.text(left + 0.5, top + 1.02, shorten(near.file, 24, end=True), ha="center", va="top", fontsize=6)


def shorten(text: str, longest: int, end: bool = False) -> str:
    """At most so many characters; of a file's name the end is kept."""
    if len(text) <= longest:
        return text
    return f"...{text[len(text) - longest + 3 :]}" if end else f"{text[: longest - 3]}..."
