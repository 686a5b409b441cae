"""What layers give out for an image, as a strip of maps for each."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.pictures.reports import new_figure, save_figure, set_title

_UNIT = 0.66  # inches of a map
_HEADROOM = 0.26  # above a strip, in maps
_LABEL = 3.6  # width of what is said of a strip, in maps
_FLAT = 0.34  # height of a vector's strip
_SIGNED, _POSITIVE = "RdBu_r", "viridis"


@dataclasses.dataclass(frozen=True)
class Strip:
    """A layer's row.

    Attributes:
      label: what is said of it, lines.
      maps: [H, W, M], those that are drawn; None of a vector.
      numbers: of the maps, [M].
      vector: [D], where there are no maps.
      limits: the lowest and the highest value of all maps of the layer, one scale for all.
    """

    label: str
    maps: np.ndarray | None
    numbers: np.ndarray
    vector: np.ndarray | None
    limits: tuple[float, float]


def plot_strips(image: np.ndarray, caption: str, strips: Sequence[Strip], most: int, title: str, path: Path) -> Path:
    """A row for each layer below the image [H, W, C]; zero is dark where nothing is below it, else white."""
    heights = [1.0] + [_FLAT if strip.maps is None else 1.0 for strip in strips]
    tops = np.cumsum([_HEADROOM] + [height + _HEADROOM for height in heights])[:-1]
    width, height = most + _LABEL, float(tops[-1] + heights[-1])
    figure, (axis,) = new_figure(1, 1, (_UNIT * width + 0.3, _UNIT * height + 0.65))
    axis.imshow(**gray_or_color(image), extent=box(0, tops[0], image.shape))
    axis.text(1.15, tops[0] + 0.5, caption, ha="left", va="center", fontsize=9)
    axis.text(-0.15, tops[0] + 0.5, "image", ha="right", va="center", fontsize=8)
    for strip, top in zip(strips, tops[1:], strict=True):
        _draw_strip(axis, strip, top, most)
    axis.set(xlim=(-_LABEL, most), ylim=(height, 0), aspect="equal")
    axis.axis("off")
    set_title(figure, title, 12)
    return save_figure(figure, path)


def _draw_strip(axis: Any, strip: Strip, top: float, most: int) -> None:
    colors = colors_of(strip.limits)
    if strip.vector is not None:
        axis.imshow(strip.vector[None], extent=(0, most, top + _FLAT, top), aspect="auto", **colors)
        axis.text(-0.15, top + _FLAT / 2, strip.label, ha="right", va="center", fontsize=7, linespacing=1.1)
        return
    assert strip.maps is not None
    axis.text(-0.15, top + 0.5, strip.label, ha="right", va="center", fontsize=7, linespacing=1.1)
    for i, number in enumerate(strip.numbers):
        each = strip.maps[..., i]
        extent = box(i, top, each.shape)
        axis.imshow(each, extent=extent, **colors)
        axis.text(i + 0.5, extent[3] - 0.03, str(number), ha="center", va="bottom", fontsize=6)


def gray_or_color(image: np.ndarray) -> dict[str, Any]:
    """Arguments of `imshow` for an image [H, W, C] of 0 to 255."""
    pixels = np.clip(np.round(image), 0, 255).astype(np.uint8)
    if pixels.shape[-1] not in (1, 3):
        pixels = pixels[..., :1]
    return {"X": pixels[..., 0] if pixels.shape[-1] == 1 else pixels, "cmap": "gray", "vmin": 0, "vmax": 255,
            "interpolation": "nearest"}  # fmt: skip


def colors_of(limits: tuple[float, float]) -> dict[str, Any]:
    """Of `imshow`: with values below zero red above and blue below it, white at zero; else from dark to bright."""
    low, high = limits
    if low < 0:
        edge = max(-low, high)
        return {"cmap": _SIGNED, "vmin": -edge, "vmax": edge, "interpolation": "nearest"}
    return {"cmap": _POSITIVE, "vmin": 0, "vmax": high if high > 0 else 1, "interpolation": "nearest"}


def box(left: float, top: float, shape: tuple[int, ...], side: float = 0.96) -> tuple[float, float, float, float]:
    """The extent, in a unit square, of a picture of this height and width, the longer of which is `side`."""
    height, width = side * np.array(shape[:2]) / max(shape[:2])
    middle, center = left + 0.5, top + 0.5
    return middle - width / 2, middle + width / 2, center + height / 2, center - height / 2
