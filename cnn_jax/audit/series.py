"""Series, as of one person or one film: by their names, and by the groups that the data themselves part."""

import itertools
import os
import re
from collections.abc import Mapping, Sequence

import numpy as np

from cnn_jax.audit.findings import Finding
from cnn_jax.audit.quality import Entry

# A name, or that of a folder of frames, and a running number: p17_003.jpg, film4/0012.png. A number alone says nothing.
PATTERN = r"([^/]*\D)\d+\)?\.\w+$"
# Names of a class (cat_001) or of a camera (IMG_0001) are one for many pictures: a class with series has several.
_LEAST_SERIES, _LARGEST_SERIES = 3, 50
_NAMED_AT_MOST = 5


def series_findings(
    entries: Sequence[Entry], groups: Mapping[str, np.ndarray] | None, in_folders: bool
) -> list[Finding]:
    """Where nobody said what belongs together, series by their names; else groups that stand in several splits.

    Args:
      entries: of all pictures.
      groups: int64 [N] by split, as `Source` has them.
      in_folders: whether `data.group` sees folders, too; of a manifest it sees the names of files alone.
    """
    if groups is None:
        return [Finding("series", about=tuple(_named_series(entries, in_folders)))]
    found = {split: set(of_split.tolist()) for split, of_split in groups.items()}
    about = []
    for first, second in itertools.combinations(found, 2):
        both = len(found[first] & found[second])
        if both:
            about.append(f"{both:,} of {len(found[first] | found[second]):,} groups stand in {first} and in {second}")
    return [Finding("groups across splits", about=tuple(about))]


def _named_series(entries: Sequence[Entry], in_folders: bool) -> list[str]:
    """A line for all of them, where most pictures belong to one, and some class has several."""
    series: dict[str, list[Entry]] = {}
    pattern = re.compile(PATTERN)
    for entry in entries:
        found = pattern.search(entry.name if in_folders else os.path.basename(entry.name))
        if found is not None:
            series.setdefault(found[1], []).append(entry)
    series = {name: members for name, members in series.items() if 1 < len(members) <= _LARGEST_SERIES}
    count = sum(map(len, series.values()))
    in_class: dict[int, int] = {}
    for members in series.values():
        for label in {entry.label for entry in members}:
            in_class[label] = in_class.get(label, 0) + 1
    several = max(in_class.values(), default=0) >= _LEAST_SERIES
    if not several or 2 * count < len(entries):
        return []
    largest = sorted(series, key=lambda name: (-len(series[name]), name))[:_NAMED_AT_MOST]
    named = ", ".join(f"{name}…: {len(series[name])}" for name in largest)
    line = f"{count:,} of {len(entries):,} pictures are in {len(series):,} series ({named})"
    return [f"{line}: data.group='{PATTERN}'"]
