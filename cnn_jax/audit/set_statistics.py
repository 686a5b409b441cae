"""Figures of a whole set of pictures, from the records of all of them; JSON values."""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.audit.findings import count_classes
from cnn_jax.audit.quality import Entry

_BINS = 12
_SIZES_NAMED = 5


def class_table(entries: Sequence[Entry], class_names: Sequence[str]) -> list[dict[str, Any]]:
    """{"class": name, "images": {split: count}} of every class, unreadable files counted."""
    counts = count_classes(entries, len(class_names))
    return [
        {"class": name, "images": {split: int(of_split[k]) for split, of_split in counts.items()}}
        for k, name in enumerate(class_names)
    ]


def statistics(entries: Sequence[Entry], class_names: Sequence[str]) -> dict[str, Any]:
    """Sizes, formats, colors and class balance.

    `mean` and `std` are of pixels in [0, 1] of each channel, over all readable pictures, each with the same weight
    whatever its size.
    """
    records = [entry.record for entry in entries if not entry.record.fault]
    train = count_classes(entries, len(class_names))["train"]
    there = train[train > 0]
    figures: dict[str, Any] = {
        "readable": len(records),
        "imbalance": float(there.max() / there.min()) if len(there) else None,
        "modes": _tally(record.mode for record in records),
        "formats": _tally(record.format for record in records),
        "extensions": _tally(entry.extension or "none" for entry in entries),
        "gray": sum(not record.colored for record in records),
        "turned_by_exif": sum(record.orientation != 1 for record in records),
    }
    if not records:
        return figures
    heights, widths = np.array([(record.height, record.width) for record in records]).T
    means = np.array([record.means for record in records]).mean(axis=0)
    squares = np.array([record.squares for record in records]).mean(axis=0)
    sizes = collections.Counter((record.width, record.height) for record in records).most_common(_SIZES_NAMED)
    return figures | {
        "mean": means.tolist(),
        "std": np.sqrt(np.maximum(squares - means**2, 0)).tolist(),
        "sizes": [{"width": width, "height": height, "images": count} for (width, height), count in sizes],
        "different_sizes": len({(record.width, record.height) for record in records}),
        "width": _histogram(widths),
        "height": _histogram(heights),
        "aspect": _histogram(widths / heights),
    }


def _tally(values: Any) -> dict[str, int]:
    return dict(collections.Counter(values).most_common())


def _histogram(values: np.ndarray) -> dict[str, Any]:
    """{"median", "edges" [n + 1], "counts" [n]}; the bins grow geometrically, as sizes and their ratios do."""
    low, high = float(values.min()), float(values.max())
    median = float(np.median(values))
    if low == high:
        return {"median": median, "edges": [low, high], "counts": [len(values)]}
    edges = np.geomspace(low, high, _BINS + 1)
    edges[0], edges[-1] = low, high  # rounding must not leave the extremes outside
    counts, _ = np.histogram(values, edges)
    return {"median": median, "edges": edges.tolist(), "counts": counts.tolist()}
