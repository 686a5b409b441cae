"""Maps of attribution over the gray image, with the raw scale of each method."""

import dataclasses
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.pictures.reports import new_figure, save_figure, set_title

_FOR, _AGAINST, _STRONG = (0.84, 0.10, 0.11), (0.13, 0.40, 0.80), (0.95, 0.55, 0.0)
_DARKEST, _LIGHTEST = 0.2, 0.85  # of the gray image, so that colours can be seen on black and on white
_LABEL = 1.9  # the width of the text before a row, in pictures
_GAP = 0.06
_LINE = 24  # characters of that text


@dataclasses.dataclass(frozen=True)
class MapColumn:
    """The maps of one method.

    Attributes:
      title, unit: for people.
      maps: [R, H, W], one for each row, raw.
      sign: see `Method` of `analysis.attribution.methods`.
    """

    title: str
    unit: str
    maps: np.ndarray
    sign: str


def scale_of(column: MapColumn) -> float:
    """The value with the full colour, the same for all rows: the largest magnitude."""
    return float(np.abs(column.maps).max())


def plot_attribution(
    rows: Sequence[str], images: np.ndarray, columns: Sequence[MapColumn], title: str, path: str | Path
) -> Path:
    """A row for each image and class: the image, then a map of each method over the gray image.

    Red speaks for the class, blue against it; orange is a magnitude; a pixel without colour has the value 0. Each
    method has one scale for all rows, from 0 (or minus the largest value) to the largest, drawn below. A map that is
    positive nowhere is said to be so.

    Args:
      rows: a text for each of R rows.
      images: [R, H, W, C] in 0..255.
    """
    gray = _DARKEST + (_LIGHTEST - _DARKEST) * images.mean(axis=-1) / 255
    tall = images.shape[1] / images.shape[2] + _GAP
    width, height = _LABEL + (1 + len(columns)) * (1 + _GAP), len(rows) * tall
    margins = {"left": 0.005, "right": 0.995, "bottom": 0.005, "top": 1 - 0.5 / (1.3 * height + 1.6)}
    figure, [axis] = new_figure(1, 1, (1.3 * width, 1.3 * (height + 0.85) + 0.5), margins)
    for i, (text, image) in enumerate(zip(rows, images, strict=True)):
        top = i * tall
        lines = "\n".join(textwrap.fill(line, _LINE) for line in text.split("\n"))
        axis.text(_LABEL - 0.12, top + tall / 2, lines, ha="right", va="center", fontsize=9)
        _draw(axis, _shown(image), _LABEL, top, tall - _GAP)
        for j, column in enumerate(columns, start=1):
            left = _LABEL + j * (1 + _GAP)
            _draw(axis, _blend(gray[i], column.maps[i], column), left, top, tall - _GAP)
            if column.maps[i].max() <= 0:
                axis.text(left + 0.5, top + tall / 2, "no positive\nevidence", ha="center", va="center", fontsize=8,
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})  # fmt: skip
    for j, name in enumerate(["image", *[column.title for column in columns]]):
        axis.text(_LABEL + j * (1 + _GAP) + 0.5, -0.06, name, ha="center", va="bottom", fontsize=9)
    for j, column in enumerate(columns, start=1):
        _draw_scale(axis, column, _LABEL + j * (1 + _GAP), height + 0.04)
    axis.set(xlim=(0, width), ylim=(height + 0.5, -0.35), aspect="equal")
    axis.axis("off")
    set_title(figure, title, 12)
    return save_figure(figure, path)


def _draw(axis: Any, pixels: np.ndarray, left: float, top: float, tall: float) -> None:
    axis.imshow(pixels, extent=(left, left + 1, top + tall, top), interpolation="nearest")


def _draw_scale(axis: Any, column: MapColumn, left: float, top: float) -> None:
    """The colours from the lowest to the highest value, as they look over a medium gray."""
    scale = scale_of(column)
    low = -scale if column.sign == "signed" else 0.0
    values = np.linspace(low, scale, 64)[None]
    _draw(axis, _blend(np.full(values.shape, 0.5), values, column), left, top, 0.1)
    for place, value, side in ((left, low, "left"), (left + 1, scale, "right")):
        axis.text(place, top + 0.13, f"{value:.2g}", ha=side, va="top", fontsize=7.5)
    axis.text(left + 0.5, top + 0.27, column.unit, ha="center", va="top", fontsize=7.5)


def _shown(image: np.ndarray) -> np.ndarray:
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def _blend(gray: np.ndarray, values: np.ndarray, column: MapColumn) -> np.ndarray:
    """RGB [H, W, 3]: the more colour, the larger the magnitude."""
    opacity = np.clip(np.abs(values) / (scale_of(column) or 1.0), 0, 1)[..., None]
    color = np.where(values[..., None] > 0, _STRONG if column.sign == "magnitude" else _FOR, _AGAINST)
    return np.asarray((1 - opacity) * gray[..., None] + opacity * color)
