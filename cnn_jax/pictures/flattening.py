"""How maps become a vector, and what its entries add to the score of a class."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.pictures.feature_maps import box, colors_of, gray_or_color
from cnn_jax.pictures.reports import new_figure, save_figure, set_title

_COLORS = ("tab:red", "tab:blue", "tab:green", "tab:orange", "tab:purple", "tab:cyan")
MOST_MAPS = len(_COLORS)


@dataclasses.dataclass(frozen=True)
class Step:
    """From maps to a vector.

    Attributes:
      image: [H, W, C], drawn where there are no maps.
      maps: [H, W, M], at most `MOST_MAPS`; None where the image itself is flattened, or the step is another.
      numbers: of these maps, [M].
      lines: the vector as lines [places or 1, maps].
      headings: of the maps and of the vector.
    """

    image: np.ndarray
    maps: np.ndarray | None
    numbers: np.ndarray
    lines: np.ndarray
    headings: tuple[str, str]


def plot_flattening(step: Step, terms: Sequence[tuple[str, float]], heading: str, title: str, path: Path) -> Path:
    """The maps, the vector with marks at what they gave, and bars of the largest terms (what, w x) of a score."""
    figure, axes = new_figure(1, 3, (13.5, max(5.0, 0.3 * len(terms) + 1.6)), width_ratios=(0.8, 1, 1.1))
    _draw_source(axes[0], step)
    _draw_vector(axes[1], step)
    _draw_terms(axes[2], terms)
    for axis, text in zip(axes, (*step.headings, heading), strict=True):
        axis.set_title(text, fontsize=10, pad=14)  # above the marks
    set_title(figure, title, 13)
    return save_figure(figure, path)


def _draw_source(axis: Any, step: Step) -> None:
    from matplotlib.patches import Rectangle

    axis.axis("off")
    if step.maps is None:
        axis.imshow(**gray_or_color(step.image))
        return
    columns = 2
    rows = -(-len(step.numbers) // columns)
    colors = colors_of((float(step.maps.min()), float(step.maps.max())))
    for i, number in enumerate(step.numbers):
        x0, x1, y1, y0 = box(i % columns, i // columns * 1.15 + 0.15, step.maps.shape, 0.8)
        axis.imshow(step.maps[..., i], extent=(x0, x1, y1, y0), **colors)
        axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=_COLORS[i], linewidth=3))
        axis.text((x0 + x1) / 2, y0 - 0.04, f"map {number}", ha="center", va="bottom", fontsize=9, color=_COLORS[i])
    axis.set(xlim=(0, columns), ylim=(rows * 1.15 + 0.05, 0), aspect="equal")


def _draw_vector(axis: Any, step: Step) -> None:
    lines = step.lines
    # An image keeps its shape; what stands for maps has none.
    is_image = step.maps is None and len(lines) > 1
    aspect = lines.shape[1] / len(lines) * step.image.shape[0] / step.image.shape[1] if is_image else "auto"
    axis.imshow(lines, aspect=aspect, **colors_of((float(lines.min()), float(lines.max()))))
    axis.set_yticks(range(len(lines)) if 1 < len(lines) <= 20 else [])
    axis.tick_params(labelsize=7, pad=7)
    axis.set_xlabel("map" if step.maps is not None else "entry of the row" if is_image else "entry", fontsize=9)
    axis.set_ylabel("row" if is_image else "place, row by row" if len(lines) > 1 else "", fontsize=9)
    for i, number in enumerate(step.numbers if step.maps is not None else ()):
        for place, marker in ((-0.5, "v"), (len(lines) - 0.5, "^")):  # outside, so that they hide nothing
            axis.plot(number, place, marker=marker, color=_COLORS[i], markersize=7, clip_on=False)


def _draw_terms(axis: Any, terms: Sequence[tuple[str, float]]) -> None:
    values = np.array([value for _, value in terms])
    axis.barh(range(len(terms)), values, color=np.where(values < 0, "tab:red", "tab:blue"))
    axis.set_yticks(range(len(terms)), [name for name, _ in terms], fontsize=8)
    axis.axvline(0, color="black", linewidth=0.8)
    for i, value in enumerate(values):
        axis.text(value, i, f" {value:+.3g} ", ha="left" if value >= 0 else "right", va="center", fontsize=8)
    axis.margins(x=0.18)
    axis.invert_yaxis()
    axis.grid(alpha=0.3, axis="x")
