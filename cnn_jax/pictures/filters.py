"""Pictures of filters: what classic ones make of an image, what its borders do, and the kernels of a network."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.pictures.reports import new_figure, save_figure, set_title

_COLUMNS = 4
_SIGNED = "RdBu_r"  # blue below 0, red above
_KERNELS_A_ROW = 8
_HEADING = {"fontsize": 8, "pad": 3}


@dataclasses.dataclass(frozen=True)
class Filtered:
    """An image after a filter; one that keeps the brightness is shown as an image, others by their signs.

    Attributes:
      kernel: [h, w]; None: there is none to show.
      image: [H, W, C], in 0..255 or of either sign.
    """

    name: str
    kernel: np.ndarray | None
    image: np.ndarray
    is_signed: bool


def plot_filtered(tiles: Sequence[Filtered], title: str, path: str | Path) -> Path:
    """Each filter beside what it makes of the image."""
    rows = -(-len(tiles) // _COLUMNS)
    size = (12.4, 2.15 * rows + 0.5)
    margins = {"left": 0.01, "right": 0.99, "bottom": 0.01, "top": 1 - 0.65 / size[1], "wspace": 0.08, "hspace": 0.16}
    figure, axes = new_figure(rows, 2 * _COLUMNS, size, margins, width_ratios=(0.45, 1) * _COLUMNS)
    for axis in axes:
        axis.axis("off")
    for number, tile in enumerate(tiles):
        beside, main = axes[2 * number : 2 * number + 2]
        if tile.kernel is not None:
            _show_signed(beside, tile.kernel)
        _show(main, tile.image, tile.is_signed)
        main.set_title(tile.name, **_HEADING)
    set_title(figure, title)
    return save_figure(figure, path)


def plot_borders(tiles: Sequence[tuple[str, np.ndarray]], title: str, path: str | Path) -> Path:
    """Images [H, W, C] in 0..255 of any size in a row, one pixel of each as large as of the others."""
    height, width = np.max([image.shape[:2] for _, image in tiles], axis=0)
    size = (12.4, min(12.4 / len(tiles) * height / width, 8.0) + 0.65)
    margins = {"left": 0.01, "right": 0.99, "bottom": 0.01, "top": 1 - 0.65 / size[1], "wspace": 0.06}
    figure, axes = new_figure(1, len(tiles), size, margins)
    for axis, (name, image) in zip(axes, tiles, strict=True):
        _show(axis, image, False)
        down, across = (height - image.shape[0]) / 2, (width - image.shape[1]) / 2
        axis.set(xlim=(-0.5 - across, width - 0.5 - across), ylim=(height - 0.5 - down, -0.5 - down))
        axis.set_title(name, **_HEADING)
        axis.axis("off")
    set_title(figure, title)
    return save_figure(figure, path)


def plot_kernels(
    kernels: np.ndarray, responses: np.ndarray, headings: Sequence[tuple[str, bool]], title: str, path: str | Path
) -> Path:
    """Kernels [h, w, in, N], each with its response [S, S, N] on its right and a heading, bold or gray.

    Each is drawn to its own scale: of three channels as colors around gray, of others their mean by its sign.
    """
    count = kernels.shape[-1]
    columns = min(_KERNELS_A_ROW, count)
    rows = -(-count // columns)
    wide, tall = 2.15, 1.3  # of a cell, in sides of a tile
    side = 1.7 * columns
    size = (max(7.0, side), side * tall * rows / (wide * columns) + 0.45)
    margins = {"left": 0.0, "right": 1.0, "bottom": 0.0, "top": 1 - 0.45 / size[1]}
    figure, (axis,) = new_figure(1, 1, size, margins)
    for number, (heading, is_close) in enumerate(headings):
        row, column = divmod(number, columns)
        left, top = wide * column + 0.05, tall * row + 0.28
        for offset, image, options in (
            (0.0, *_kernel_image(kernels[..., number])),
            (1.0, responses[..., number], {"cmap": "magma", "vmin": 0}),
        ):
            extent = (left + offset, left + offset + 0.97, top + 0.97, top)
            axis.imshow(image, extent=extent, interpolation="nearest", **options)
        axis.text(
            left + 1, top - 0.05, heading, ha="center", va="bottom", fontsize=6.5,
            color="black" if is_close else "gray", fontweight="bold" if is_close else "normal",
        )  # fmt: skip
    axis.set(xlim=(0, wide * columns), ylim=(tall * rows, 0), aspect="equal")
    axis.axis("off")
    set_title(figure, title, 11)
    return save_figure(figure, path)


def _show(axis: Any, image: np.ndarray, is_signed: bool) -> None:
    if is_signed:
        _show_signed(axis, image.mean(-1))
        return
    shown = np.clip(np.round(image), 0, 255).astype(np.uint8)
    axis.imshow(
        shown if shown.shape[-1] == 3 else shown[..., 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest"
    )


def _show_signed(axis: Any, values: np.ndarray) -> None:
    limit = float(np.abs(values).max()) or 1.0
    axis.imshow(values, cmap=_SIGNED, vmin=-limit, vmax=limit, interpolation="nearest")


def _kernel_image(kernel: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """[h, w, in] as an image, and how it is drawn."""
    limit = float(np.abs(kernel).max()) or 1.0
    if kernel.shape[-1] == 3:
        return 0.5 + kernel / (2 * limit), {}
    return kernel.mean(-1), {"cmap": _SIGNED, "vmin": -limit, "vmax": limit}
