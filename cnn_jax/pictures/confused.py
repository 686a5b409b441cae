"""The pairs of classes that are mixed up: how often, with intervals, and images of each."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.pictures.embedding import shorten
from cnn_jax.pictures.feature_maps import box, gray_or_color
from cnn_jax.pictures.reports import new_figure, save_figure, set_title

_LONGEST = 22  # characters of a class


@dataclasses.dataclass(frozen=True)
class Pair:
    """Images of a class that were taken for another.

    Attributes:
      label, prediction: names.
      count, support: so many of so many images of the class.
      interval: 95 % interval of that share.
      images: some of them, [H, W, C] each.
    """

    label: str
    prediction: str
    count: int
    support: int
    interval: tuple[float, float]
    images: Sequence[np.ndarray]


def plot_confused(pairs: Sequence[Pair], most: int, title: str, path: Path) -> Path:
    """A row for each pair: the share of the class as a bar with its interval, and at most `most` images."""
    figure, (bars, images) = new_figure(1, 2, (13, 0.95 * len(pairs) + 0.9), width_ratios=(1, 1.15))
    _draw_bars(bars, pairs)
    for row, pair in enumerate(pairs):
        for column, image in enumerate(pair.images[:most]):
            x0, x1, y1, y0 = box(column, row, image.shape)
            images.imshow(**gray_or_color(image), extent=(x0, x1, y1, y0))
    images.set(xlim=(0, most), ylim=(len(pairs), 0), aspect="equal", anchor="W")
    images.axis("off")
    images.set_title("the surest of these mistakes", fontsize=10, loc="left")
    set_title(figure, title, 13)
    return save_figure(figure, path)


def _draw_bars(axis: Any, pairs: Sequence[Pair]) -> None:
    places = np.arange(len(pairs)) + 0.5
    shares = np.array([pair.count / pair.support for pair in pairs])
    low, high = np.array([pair.interval for pair in pairs]).T
    axis.barh(places, shares, height=0.5, color="tab:orange")
    spans = np.maximum([shares - low, high - shares], 0)
    axis.errorbar(shares, places, xerr=spans, fmt="none", ecolor="black", capsize=3, lw=1)
    names = [
        f"{shorten(pair.label, _LONGEST)}\ntaken for {shorten(pair.prediction, _LONGEST)}\n"
        f"{pair.count:,} of {pair.support:,}"
        for pair in pairs
    ]
    axis.set_yticks(places, names, fontsize=8)
    axis.set(ylim=(len(pairs), 0), xlim=(0, min(1.0, float(high.max()) * 1.08)))
    axis.set_title("share of the class, with 95 % intervals", fontsize=10)
    axis.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
    axis.grid(alpha=0.3, axis="x")
