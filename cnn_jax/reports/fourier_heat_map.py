"""The Fourier heat map of a run: errors, and changes of some layers, under waves of each frequency."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnn_jax.analysis.effort import affordable_images, images_at_once
from cnn_jax.analysis.frequency.heat_map import HeatMap, fourier_heat_map, frequency_grid, published_norm
from cnn_jax.analysis.frequency.strides import Stride
from cnn_jax.models.table import make_table
from cnn_jax.pictures.frequency import Nyquist, plot_heat_maps
from cnn_jax.reports.section import Picture
from cnn_jax.reports.subject import Subject, draw_sample

_BUDGET = 1.5e11  # multiply-adds: about ten seconds on two cores
_MOST_LAYERS = 5
_GRIDS = (16, 8)  # frequencies down and across, the finer one where it can be afforded
_LEAST_IMAGES, _ENOUGH_IMAGES = 32, 100


def draw_heat_map(
    subject: Subject, strides: Sequence[Stride], nyquists: Sequence[Nyquist]
) -> tuple[dict[str, Any], Picture]:
    """{"figures", "lead"}, and the picture."""
    shape = subject.run.image_shape
    step, images = _plan(shape, make_table(subject.model, shape).multiply_adds, len(subject.sample))
    sample, norm = draw_sample(subject.sample, images, subject.seed), published_norm(*shape[:2])
    found = fourier_heat_map(
        subject.apply, subject.variables, sample.images, sample.labels, norm, choose_layers(subject.layers, strides),
        step, subject.key("frequency"), False, images_at_once(subject.layers, shape),
        lambda share: subject.advance(0.4 * share),
    )  # fmt: skip
    figures = _figures(found, norm, step, (shape[0], shape[1]))
    maps = [(f"wrong images (without a wave {figures['error_without']:.1%})", found.wrong / len(sample))]
    maps += [(f"change of {name}", values / max(found.lengths[name], 1e-12)) for name, values in found.changes.items()]
    spread = 255 * norm / np.sqrt(shape[0] * shape[1])
    title = (
        f"Fourier heat map: waves of L2 norm {norm:.3g} for pixels in 0 to 1, {spread:.0f} of 255 gray levels at the "
        f"mean, {len(sample)} images"
    )
    file = plot_heat_maps(found.rows, found.columns, (shape[0], shape[1]), maps, nyquists, title,
                          subject.picture("frequency_heat_map"))  # fmt: skip
    reading = (
        "Each point is a wave, with so many periods down and across, added to all images with a random sign for each "
        "image and channel before they are normalised; nothing is clipped (Yin et al. 2019). Slow waves stand in the "
        "middle. The first map is the share of wrong images, the others the mean L2 change of a layer's output as a "
        "share of the mean length of that output. Bright in the middle: slow changes of brightness disturb most; a "
        "bright rim: fine patterns do. Circles: what the grid after a stride of so many pixels can hold."
    )
    return {"figures": figures, "lead": _sentences(figures)}, Picture(file, "Fourier heat map", reading)


def _plan(image_shape: Sequence[int], cost: float, most: int) -> tuple[int, int]:
    """(step between frequencies, images) within the budget."""
    step, images = 1, most
    for side in _GRIDS:
        step = -(-max(image_shape[:2]) // side)
        waves = len(frequency_grid(image_shape[0], step)) * len(frequency_grid(image_shape[1], step)) // 2 + 2
        images = affordable_images(_BUDGET, cost, waves, _LEAST_IMAGES, most)
        if images >= min(_ENOUGH_IMAGES, most):
            break
    return step, images


def choose_layers(layers: Mapping[str, Any], strides: Sequence[Stride]) -> list[str]:
    """The first, those after each stride (of many the first and the last ones), and the last."""
    names, after = list(layers), [each.layer for each in strides]
    places = np.linspace(0, len(after) - 1, min(len(after), _MOST_LAYERS - 2)).round().astype(int)
    return list(dict.fromkeys([names[0], *(after[place] for place in places), names[-1]]))


def _figures(found: HeatMap, norm: float, step: int, size: tuple[int, int]) -> dict[str, Any]:
    place = np.unravel_index(found.wrong.argmax(), found.wrong.shape)
    # The same radius as of the passes: half of what the grid of the image holds.
    half = min(size) / 4
    radius = min(size) * np.hypot(found.rows[:, None] / size[0], found.columns[None, :] / size[1])
    return {
        "images": found.images, "norm": norm, "clipped": False, "step": step, "wrong_without": found.wrong_without,
        "error_without": found.wrong_without / found.images, "rows": found.rows.tolist(),
        "columns": found.columns.tolist(), "wrong": found.wrong.tolist(), "half": half,
        "mean_error_below_half": float(found.wrong[radius < half].mean() / found.images),
        "mean_error_from_half": float(found.wrong[radius >= half].mean() / found.images),
        "worst": {
            "down": int(found.rows[place[0]]), "across": int(found.columns[place[1]]),
            "error": int(found.wrong[place]) / found.images,
        },
        "changes": {name: np.round(values, 6).tolist() for name, values in found.changes.items()},
        "lengths": dict(found.lengths),
    }  # fmt: skip


def _sentences(figures: Mapping[str, Any]) -> tuple[str, ...]:
    worst, half = figures["worst"], figures["half"]
    return (
        f"Waves of L2 norm {figures['norm']:.3g} make {figures['mean_error_below_half']:.1%} of "
        f"{figures['images']:,} images wrong at the mean below radius {half:g}, and "
        f"{figures['mean_error_from_half']:.1%} from there on; without a wave {figures['error_without']:.1%} are. The "
        f"worst is that of {abs(worst['down'])} down and {abs(worst['across'])} across: {worst['error']:.1%}.",
    )
