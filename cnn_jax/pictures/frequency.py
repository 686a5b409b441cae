"""Pictures of frequencies: spectra, accuracy by radius, parts of an image, Fourier heat maps."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.pictures.reports import new_figure, save_figure, set_title

_COLORS = {"low": "tab:blue", "high": "tab:red", "band": "tab:green"}
_PANELS_A_ROW = 3


@dataclasses.dataclass(frozen=True)
class Nyquist:
    """What a grid holds: of every `stride`-th pixel, up to `radius` waves over the shorter side."""

    stride: int
    radius: float


@dataclasses.dataclass(frozen=True)
class Curve:
    """Accuracy of a part of the frequencies: `low` below, `high` from, `band` around a radius.

    Attributes:
      accuracy: [M].
      interval: [M, 2].
    """

    kind: str
    label: str
    radii: Sequence[float]
    accuracy: Sequence[float]
    interval: Sequence[tuple[float, float]]


def plot_spectrum(
    power: np.ndarray, radial: np.ndarray, line: tuple[float, float], nyquists: Sequence[Nyquist], title: str,
    path: str | Path,
) -> Path:  # fmt: skip
    """The power [H, W], and its means [R + 1] at radius 0 to R with the line of (slope, power at radius 1)."""
    height, width = power.shape
    figure, (plane, axis) = new_figure(1, 2, (11, 4.6))
    extent = _extent(np.arange(height) - height // 2, np.arange(width) - width // 2)
    shown = plane.imshow(np.log10(np.maximum(power, 1e-12)), cmap="magma", extent=extent)
    plane.set(title="power of each wave, log10", xlabel="waves across", ylabel="waves down")
    figure.colorbar(shown, ax=plane, fraction=0.046)
    _draw_circles(plane, nyquists, height, width)
    radii = np.arange(1, len(radial))
    axis.loglog(radii, radial[1:], "o-", color="tab:blue", markersize=3, label="mean at each radius")
    axis.loglog(radii, line[1] * radii ** line[0], "--", color="black", label=f"radius^{line[0]:.2f}")
    for each in nyquists:
        axis.axvline(each.radius, color="tab:gray", linestyle=":")
        axis.text(each.radius, 1.0, f" stride {each.stride}", transform=axis.get_xaxis_transform(), rotation=90,
                  va="top", ha="right", fontsize=7)  # fmt: skip
    axis.yaxis.set_major_formatter("{x:g}")
    ticks = [tick for tick in (1, 2, 4, 8, 16, 32, 64, 128) if tick <= radii[-1]]
    axis.set_xticks(ticks, map(str, ticks))
    axis.minorticks_off()
    axis.set(xlabel="radius: waves over the shorter side", title="power by radius")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    set_title(figure, title)
    return save_figure(figure, path)


def plot_accuracy(
    curves: Sequence[Curve], whole: float, chance: float, nyquists: Sequence[Nyquist], title: str, path: str | Path
) -> Path:
    """Accuracy by radius with its intervals; lines for the whole image and for the largest class."""
    figure, (axis,) = new_figure(1, 1, (9, 4.8))
    for curve in curves:
        low, high = np.transpose(curve.interval)
        color = _COLORS[curve.kind]
        axis.plot(curve.radii, curve.accuracy, "o-", color=color, markersize=4, label=curve.label)
        axis.fill_between(curve.radii, low, high, color=color, alpha=0.15, linewidth=0)
    axis.axhline(whole, color="black", linestyle="--", label="the whole image")
    axis.axhline(chance, color="tab:gray", linestyle="--", label="always the largest class")
    for each in nyquists:
        axis.axvline(each.radius, color="tab:gray", linestyle=":")
        axis.text(each.radius, 1.06, f"stride {each.stride} ", rotation=90, va="top", ha="right", fontsize=7)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set(ylim=(-0.02, 1.07), xlabel="radius: waves over the shorter side", ylabel="accuracy")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    set_title(figure, title)
    return save_figure(figure, path)


def plot_parts(rows: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]]]], title: str, path: str | Path) -> Path:
    """Rows of images [H, W, C] in 0..255, each with a heading; (label, images)."""
    columns = max(len(images) for _, images in rows)
    height, width = rows[0][1][0][1].shape[:2]
    cell = 1.6
    size = (cell * columns + 0.7, (cell * height / width + 0.3) * len(rows) + 0.55)
    margins = {"left": 0.6 / size[0], "right": 0.995, "bottom": 0.01, "top": 1 - 0.65 / size[1], "wspace": 0.05}
    figure, axes = new_figure(len(rows), columns, size, margins)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
    for row, (label, images) in enumerate(rows):
        axes[row * columns].set_ylabel(label, fontsize=9)
        for axis, (heading, image) in zip(axes[row * columns :], images, strict=False):
            shown = np.clip(np.round(image), 0, 255).astype(np.uint8)
            axis.imshow(shown if shown.shape[-1] == 3 else shown[..., 0], cmap="gray", vmin=0, vmax=255,
                        interpolation="nearest")  # fmt: skip
            axis.set_title(heading, fontsize=8, pad=3)
    set_title(figure, title)
    return save_figure(figure, path)


def plot_heat_maps(
    rows: np.ndarray, columns: np.ndarray, size: tuple[int, int], maps: Sequence[tuple[str, np.ndarray]],
    nyquists: Sequence[Nyquist], title: str, path: str | Path,
) -> Path:  # fmt: skip
    """Shares [R, C] at frequencies rows [R] and columns [C] of images of a size, each with a heading."""
    across = min(_PANELS_A_ROW, len(maps))
    down = -(-len(maps) // across)
    figure, axes = new_figure(down, across, (4.2 * across, 3.8 * down + 0.5))
    for axis in axes[len(maps) :]:
        axis.axis("off")
    for axis, (heading, values) in zip(axes, maps, strict=False):
        shown = axis.imshow(values, cmap="viridis", vmin=0, extent=_extent(rows, columns), interpolation="nearest")
        figure.colorbar(shown, ax=axis, fraction=0.046, format=_percent)
        _draw_circles(axis, nyquists, *size)
        axis.set_title(heading, fontsize=9)
        axis.set(xlabel="waves across", ylabel="waves down")
    set_title(figure, title)
    return save_figure(figure, path)


def _percent(value: float, position: int) -> str:
    return f"{value:.0%}" if value == 0 or value >= 0.1 else f"{value:.1%}"


def _extent(rows: np.ndarray, columns: np.ndarray) -> tuple[float, float, float, float]:
    """(left, right, bottom, top) of an array at these frequencies."""
    steps = [each[1] - each[0] if len(each) > 1 else 1 for each in (rows, columns)]
    (top, bottom), (left, right) = (
        (each[0] - step / 2, each[-1] + step / 2) for each, step in zip((rows, columns), steps, strict=True)
    )
    return left, right, bottom, top


def _draw_circles(axis: Any, nyquists: Sequence[Nyquist], height: int, width: int) -> None:
    """An ellipse where images are not square."""
    from matplotlib.patches import Ellipse

    for each in nyquists:
        for color, thickness in (("black", 2.4), ("white", 1.0)):
            circle = Ellipse((0, 0), width / each.stride, height / each.stride, fill=False, color=color, lw=thickness)
            axis.add_patch(circle)
        axis.annotate(
            f"{each.stride}", (0, -height / (2 * each.stride)), color="white", fontsize=7, ha="center", va="center",
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "black", "linewidth": 0},
        )  # fmt: skip
