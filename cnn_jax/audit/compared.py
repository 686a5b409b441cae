"""How the splits of a set differ, how well its test split measures, and what the crop cuts away of its pictures."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from cnn_jax.audit.findings import Finding, count_classes
from cnn_jax.audit.quality import Entry, Record
from cnn_jax.runs.noise import wilson_interval

# A difference is told where chance makes it once in a thousand times, all classes together, and where it matters: a
# class's share by half, or a measure's distribution by a fifth (Kolmogorov & Smirnov's statistic) and one of its
# quartiles by a tenth.
_CHANCE = 0.001
_LEAST_RATIO, _LEAST_STATISTIC, _LEAST_SHIFT = 1.5, 0.2, 0.1
# Of a class whose accuracy is 90 %, the 95 % interval is no wider than so many points from 36 images on.
_WIDEST_INTERVAL, _TYPICAL_ACCURACY = 0.2, 0.9
_MUCH_CUT, _CUT_OF = 1 / 3, 0.1  # more than a third of one picture in ten

# What is measured, its unit, and how it is written.
_MEASURES: dict[str, tuple[Callable[[Record], float], str, str]] = {
    "size": (lambda record: float(np.sqrt(record.height * record.width)), "root of width x height", ".0f"),
    "shape": (lambda record: record.width / record.height, "width / height", ".2f"),
    "brightness": (lambda record: 255 * float(np.mean(record.means)), "mean of 0..255", ".0f"),
}
_QUARTILES = (0.25, 0.5, 0.75)


def compare_splits(entries: Sequence[Entry]) -> dict[str, dict[str, float]]:
    """{split: {"images", and the medians of "size", "shape", "brightness"}}, of pictures that can be read."""
    return {
        split: {"images": len(records)}
        | {name: float(np.median([measure(record) for record in records])) for name, (measure, *_) in _MEASURES.items()}
        for split, records in _by_split(entries).items()
    }


def split_findings(entries: Sequence[Entry], class_names: Sequence[str]) -> list[Finding]:
    """Splits that are not of one kind, and classes of test that are too small to measure."""
    counts = count_classes(entries, len(class_names))
    counts = {split: of_split for split, of_split in counts.items() if of_split.sum()}
    shares = [
        line for one, other in itertools.combinations(counts, 2)
        for line in _class_shares(class_names, (one, counts[one]), (other, counts[other]))
    ]  # fmt: skip
    few = []
    for name, count in zip(class_names, counts.get("test", np.zeros(len(class_names), np.int64)).tolist(), strict=True):
        low, high = wilson_interval(round(_TYPICAL_ACCURACY * count), count) if count else (0.0, 0.0)
        if high - low > _WIDEST_INTERVAL:
            right = round(_TYPICAL_ACCURACY * count)
            few.append(f"{name}: {count} in test; {right} right would mean anything from {low:.0%} to {high:.0%}")
    return [
        Finding("class shares differ between splits", about=tuple(shares)),
        Finding("pictures differ between splits", about=tuple(_measures(_by_split(entries)))),
        Finding("few test images", about=tuple(few)),
    ]


def cut_away(entries: Sequence[Entry], data: ml_collections.ConfigDict) -> dict[str, float] | None:
    """{"median", "ninth_decile", "more_than_a_third"} of the shares of area that `data.resize=crop` cuts away.

    None where nothing is cropped. The network's input is a square where the config leaves it open.
    """
    records = [entry.record for entry in entries if not entry.record.fault]
    if data.resize != "crop" or not records:
        return None
    height, width = data.image_size or (1, 1)
    shapes = np.array([record.width / record.height for record in records]) / (width / height)
    shares = 1 - np.minimum(shapes, 1 / shapes) * data.center_crop**2
    if shares.max() < 0.005:
        return None
    return {
        "median": float(np.median(shares)),
        "ninth_decile": float(np.quantile(shares, 1 - _CUT_OF)),
        "more_than_a_third": float((shares > _MUCH_CUT).mean()),
    }


def crop_finding(cut: Mapping[str, Any] | None) -> Finding:
    if cut is None or cut["ninth_decile"] <= _MUCH_CUT:
        return Finding("much is cropped away")
    line = (
        f"half of the pictures lose {cut['median']:.0%} of their area or more, one in ten {cut['ninth_decile']:.0%} or "
        f"more; {cut['more_than_a_third']:.0%} lose over a third"
    )
    return Finding("much is cropped away", about=(line,))


def _by_split(entries: Sequence[Entry]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for entry in entries:
        if not entry.record.fault:
            found.setdefault(entry.split, []).append(entry.record)
    return found


def _class_shares(class_names: Sequence[str], one: tuple[str, np.ndarray], other: tuple[str, np.ndarray]) -> list[str]:
    """A line for each class whose shares differ (Fisher's exact test, Bonferroni's correction)."""
    from scipy.stats import fisher_exact

    (first, a), (second, b) = one, other
    lines = []
    for name, x, y in zip(class_names, a.tolist(), b.tolist(), strict=True):
        p, q = x / a.sum(), y / b.sum()
        if max(p, q) < _LEAST_RATIO * min(p, q) or not x or not y:  # what is missing is told elsewhere
            continue
        if fisher_exact([[x, a.sum() - x], [y, b.sum() - y]]).pvalue < _CHANCE / len(class_names):
            lines.append(f"{name}: {p:.1%} of {first}, {q:.1%} of {second}")
    return lines


def _measures(records: Mapping[str, Sequence[Record]]) -> list[str]:
    from scipy.stats import ks_2samp

    lines = []
    for name, (measure, unit, form) in _MEASURES.items():
        values = {split: np.array([measure(record) for record in of_split]) for split, of_split in records.items()}
        quartiles = {split: np.quantile(of_split, _QUARTILES) for split, of_split in values.items()}
        for one, other in itertools.combinations(values, 2):
            result = ks_2samp(values[one], values[other], method="asymp")
            shift = np.abs(np.log(np.maximum(quartiles[one], 1e-3) / np.maximum(quartiles[other], 1e-3))).max()
            if result.statistic >= _LEAST_STATISTIC and result.pvalue < _CHANCE and shift >= _LEAST_SHIFT:
                low_to_high = {
                    split: ", ".join(format(value, form) for value in quartiles[split]) for split in (one, other)
                }
                lines.append(
                    f"{name} ({unit}), quartiles: {low_to_high[one]} in {one}; {low_to_high[other]} in {other}"
                )
    return lines
