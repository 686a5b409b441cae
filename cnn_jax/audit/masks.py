"""Masks that stand beside the photographs that they belong to, and would be trained on as pictures."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnn_jax.audit.findings import Finding, Suspect
from cnn_jax.audit.quality import Entry
from cnn_jax.data import ImageDataset
from cnn_jax.data.reading.images import examine
from cnn_jax.data.sources.twins import same_stem
from cnn_jax.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

_MEASURED_SIDE = 256
_TOLERANCE, _SHARE = 8, 0.95  # of gray steps and of pixels: JPEG and scaling blur the edges of a mask


def mask_finding(entries: Sequence[Entry], splits: Mapping[str, ImageDataset]) -> Finding:
    """Of files of one name beside each other, those that have one or two gray values where the others have more.

    Only such pictures are read once more. To be called within `images.quiet`.
    """
    suspects: list[Suspect] = []
    for rows in same_stem([entry.name for entry in entries]):
        masks = [row for row in rows if not entries[row].record.colored and _is_mask(entries[row], splits)]
        others = [row for row in rows if row not in masks and not entries[row].record.fault]
        if masks and others:
            beside = os.path.basename(entries[others[0]].name)
            suspects += [Suspect(row, f"beside {beside}") for row in masks]
    return Finding("mask beside a picture", tuple(suspects))


def has_two_grays(image: "Image") -> bool:
    """Whether nearly all pixels are as dark as the darkest or as bright as the brightest."""
    counts = np.array(image.convert("L").histogram())
    low, high = np.flatnonzero(counts)[[0, -1]]
    extreme = counts[: low + _TOLERANCE + 1].sum() + counts[max(high - _TOLERANCE, low + _TOLERANCE + 1) :].sum()
    return bool(extreme >= _SHARE * counts.sum())


def _is_mask(entry: Entry, splits: Mapping[str, ImageDataset]) -> bool:
    try:
        content = splits[entry.split].contents([entry.index])[0]
        return isinstance(content, bytes) and has_two_grays(examine(content, entry.name, _MEASURED_SIDE)[1])
    except InputError:
        return False
