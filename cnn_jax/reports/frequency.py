"""What the images hold at each frequency, which of it the network uses, and which waves disturb it."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.effort import affordable_images, images_at_once
from cnn_jax.analysis.frequency.band_pass import EVERYTHING, band_pass, count_correct
from cnn_jax.analysis.frequency.spectrum import Spectrum, measure_spectrum, share_beyond, spectral_slope
from cnn_jax.analysis.frequency.strides import Stride, find_strides, share_folded
from cnn_jax.models.table import make_table
from cnn_jax.pictures.frequency import Curve, Nyquist, plot_accuracy, plot_parts, plot_spectrum
from cnn_jax.reports.fourier_heat_map import draw_heat_map
from cnn_jax.reports.section import Picture, Section, Table
from cnn_jax.reports.subject import Subject, draw_sample
from cnn_jax.runs.noise import wilson_interval

_BUDGET = 1.5e11  # multiply-adds: about ten seconds on two cores
_LEAST_IMAGES = 50
# Of half the shorter side; the corners of a square lie at 1.41.
_RADII = (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 1, 1.2)
_CIRCLES = "Circles and dotted lines: the highest frequency that the grid after a stride of so many pixels can hold."


def analyze(subject: Subject) -> Section:
    strides = find_strides(subject.layers, subject.run.image_shape)
    nyquists = circles(strides, subject.run.image_shape)
    spectrum, figures, of_spectrum = _spectrum(subject, nyquists)
    subject.advance(0.1)
    steps, table = _strides(subject, strides, spectrum)
    subject.advance(0.1)
    parts, of_parts = _accuracy(subject, nyquists)
    heat, of_heat = draw_heat_map(subject, strides, nyquists)
    lead = (*_on_parts(parts), *heat["lead"], *_on_spectrum(figures, steps))
    every = {"spectrum": figures, "strides": steps, "accuracy": parts, "heat_map": heat["figures"]}
    tables = () if table is None else (table,)
    return Section("Frequency", lead, every, tables, (*of_parts, of_heat, of_spectrum), _limits(parts))


def circles(strides: Sequence[Stride], image_shape: Sequence[int]) -> list[Nyquist]:
    """One for each stride in all, of grids that hold a wave at least."""
    side = min(image_shape[:2])
    return [Nyquist(total, side / (2 * total)) for total in dict.fromkeys(each.total for each in strides)
            if total <= side / 2]  # fmt: skip


def _batches(subject: Subject, images: np.ndarray) -> Iterator[np.ndarray]:
    at_once = images_at_once(subject.layers, subject.run.image_shape)
    return (images[start : start + at_once] for start in range(0, len(images), at_once))


def _spectrum(subject: Subject, nyquists: Sequence[Nyquist]) -> tuple[Spectrum, dict[str, Any], Picture]:
    images = subject.sample.images
    spectrum = measure_spectrum(batch / np.float32(255) for batch in _batches(subject, images))
    slope, interval, first = spectral_slope(spectrum.profiles, subject.seed)
    figures = {
        "images": len(images), "slope": slope, "slope_interval_95": list(interval), "power_at_radius_1": first,
        "radii": spectrum.radii.tolist(), "power": spectrum.radial.tolist(),
    }  # fmt: skip
    low, high = interval
    title = (
        f"Power of {len(images):,} images of {subject.split}: it goes as radius^{slope:.2f} "
        f"(95 % interval {low:.2f} to {high:.2f})"
    )
    file = plot_spectrum(
        spectrum.power, spectrum.radial, (slope, first), nyquists, title, subject.picture("frequency_spectrum")
    )
    return (
        spectrum,
        figures,
        Picture(
            file,
            "Power spectrum",
            "Left the power of each wave, slow ones in the middle; a cross comes from opposite borders that do not fit "
            "together. Right its mean at each radius: a straight line means a power law, and natural images fall as "
            f"radius^-2 or so. {_CIRCLES}",
        ),
    )


def _strides(
    subject: Subject, strides: Sequence[Stride], spectrum: Spectrum
) -> tuple[list[dict[str, Any]], Table | None]:
    if not strides:
        return [], None
    few = draw_sample(subject.sample, _LEAST_IMAGES, subject.seed).images
    folded = share_folded(subject.apply, subject.variables, lambda: _batches(subject, few), strides)
    figures: list[dict[str, Any]] = [
        {"layer": each.layer, "after": each.before or "image", "step": each.step, "stride": each.total,
         "maps": list(each.size), "images_beyond": share_beyond(spectrum.power, each.total), "folded": share,
         "images": len(few)}
        for each, share in zip(strides, folded, strict=True)
    ]  # fmt: skip
    rows = tuple(
        (each["layer"], each["after"], each["step"], each["stride"], "x".join(map(str, each["maps"])),
         each["images_beyond"], each["folded"])
        for each in figures
    )  # fmt: skip
    return figures, Table(
        "Strides and what folds",
        ("first coarser layer", "what enters", "step", "stride in all", "maps", "share of images", "share that folds"),
        rows,
        "A grid of every second pixel holds no wave shorter than four pixels: it looks like a longer one there "
        "(aliasing). The share of images is that of their power, without the mean, that this stride cannot hold; the "
        "share that folds is the same of the maps that enter, unless the layer itself smooths them first.",
    )


def _accuracy(subject: Subject, nyquists: Sequence[Nyquist]) -> tuple[dict[str, Any], tuple[Picture, ...]]:
    shape, radii = subject.run.image_shape, choose_radii(subject.run.image_shape)
    cost = make_table(subject.model, shape).multiply_adds
    if 3 * len(radii) * _LEAST_IMAGES * cost > _BUDGET:
        radii = radii[::2]
    between = list(itertools.pairwise(radii))
    bands = [(0.0, EVERYTHING), *((0.0, r) for r in radii), *((r, EVERYTHING) for r in radii), *between]
    most = len(subject.sample)
    sample = draw_sample(
        subject.sample, affordable_images(_BUDGET, cost, len(bands), _LEAST_IMAGES, most), subject.seed
    )
    counts = count_correct(
        subject.apply, subject.variables, sample.images, sample.labels, bands,
        images_at_once(subject.layers, shape), lambda share: subject.advance(0.4 * share),
    )  # fmt: skip
    results = [_share(int(count), len(sample)) for count in counts]
    lows, highs, inner = (results[1:][start : start + len(radii)] for start in (0, len(radii), 2 * len(radii)))
    figures = {
        "images": len(sample), "whole": results[0],
        "largest_class": float(np.bincount(sample.labels).max() / len(sample)),
        "low_pass": [{"below": r} | each for r, each in zip(radii, lows, strict=True)],
        "high_pass": [{"from": r} | each for r, each in zip(radii, highs, strict=True)],
        "band_pass": [{"from": low, "below": high} | each for (low, high), each in
                      zip(between, inner, strict=True)],
        "half": min(radii, key=lambda r: abs(r - min(shape[:2]) / 4)),
    }  # fmt: skip
    return figures, (_draw_accuracy(subject, figures, nyquists), _draw_parts(subject, radii))


def choose_radii(image_shape: Sequence[int]) -> list[float]:
    """From 1 to near the corner, denser where most of the power is: whole ones, or halves where there are few."""
    side = min(image_shape[:2])
    steps = 2 if side < 16 else 1
    return sorted({max(1.0, round(steps * share * side / 2) / steps) for share in _RADII})


def _share(correct: int, count: int) -> dict[str, Any]:
    return {"correct": correct, "accuracy": correct / count, "interval_95": list(wilson_interval(correct, count))}


def _draw_accuracy(subject: Subject, figures: Mapping[str, Any], nyquists: Sequence[Nyquist]) -> Picture:
    low, high, band = (figures[name] for name in ("low_pass", "high_pass", "band_pass"))
    curves = [
        _curve("low", "low pass: waves below the radius", low, [each["below"] for each in low]),
        _curve("high", "high pass: waves from the radius on", high, [each["from"] for each in high]),
        _curve("band", "band pass: between two radii", band, [(each["from"] + each["below"]) / 2 for each in band]),
    ]
    file = plot_accuracy(
        curves, figures["whole"]["accuracy"], figures["largest_class"], nyquists,
        f"Accuracy on a part of the frequencies, {figures['images']:,} images of {subject.split}, 95 % intervals",
        subject.picture("frequency_accuracy"),
    )  # fmt: skip
    return Picture(
        file,
        "Accuracy by frequency",
        "The network is given images from which all other waves were taken away. Where low pass rises to the dashed "
        "line, finer detail adds nothing; where high pass stays up, the network can do without coarse shapes. Filtered "
        "images are unlike those of the training, so that a fall also shows that they are unusual. The radius is "
        "strict, as in Wang et al. 2020; nothing is clipped.",
    )


def _curve(kind: str, label: str, results: Sequence[Mapping[str, Any]], radii: Sequence[float]) -> Curve:
    return Curve(
        kind, label, radii, [each["accuracy"] for each in results], [tuple(each["interval_95"]) for each in results]
    )


def _draw_parts(subject: Subject, radii: Sequence[float]) -> Picture:
    image = jnp.asarray(subject.sample.images[:1])
    shown = [radii[i] for i in np.unique(np.linspace(0, len(radii) - 1, 6).round().astype(int))]
    low = [(f"below {r:g}", np.asarray(band_pass(image, 0, r))[0]) for r in shown]
    high = [(f"from {r:g}", np.asarray(band_pass(image, r, EVERYTHING))[0] + 128) for r in shown]
    file = plot_parts(
        (("low pass", low), ("high pass", high)), f"What each part of {subject.sample.name(0)[-40:]} looks like",
        subject.picture("frequency_parts"),
    )  # fmt: skip
    return Picture(
        file,
        "Low and high frequencies of an image",
        "The upper and the lower image of a column add up to the whole. High pass has a mean of 0 and is shown on "
        "gray. Low frequencies are plains and shapes, high ones edges and texture.",
    )


def _on_parts(figures: Mapping[str, Any]) -> tuple[str, ...]:
    half = figures["half"]
    low = next(each for each in figures["low_pass"] if each["below"] == half)
    high = next(each for each in figures["high_pass"] if each["from"] == half)
    return (
        f"Of {figures['images']:,} images {_with_interval(figures['whole'])} are right; from the waves below "
        f"radius {half:g} alone {_with_interval(low)}, from the others alone {_with_interval(high)} "
        f"(the largest class: {figures['largest_class']:.1%}).",
    )


def _limits(figures: Mapping[str, Any]) -> tuple[str, ...]:
    """What it gets wrong of images without fine detail, where that is beyond noise: for a model card."""
    low = next(each for each in figures["low_pass"] if each["below"] == figures["half"])
    if low["interval_95"][1] >= figures["whole"]["interval_95"][0]:
        return ()
    return (
        f"Of images without detail (waves below radius {figures['half']:g} alone), {_with_interval(low)} are right, "
        f"and not {figures['whole']['accuracy']:.1%}.",
    )


def _on_spectrum(spectrum: Mapping[str, Any], strides: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    low, high = spectrum["slope_interval_95"]
    said = f"The power of the images goes as radius^{spectrum['slope']:.2f} (95 % interval {low:.2f} to {high:.2f})."
    if not strides:
        return said, "The network keeps the grid of the image everywhere: nothing folds."
    worst = max(strides, key=lambda each: each["folded"])
    return said, (
        f"At {worst['layer']}, {worst['folded']:.1%} of the power of what enters lies beyond what its grid "
        "holds: the most of all strides."
    )


def _with_interval(result: Mapping[str, Any]) -> str:
    low, high = result["interval_95"]
    return f"{result['accuracy']:.1%} ({low:.1%} to {high:.1%})"
