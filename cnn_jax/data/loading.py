"""From a config's `data` block to splits that training can take: listed, scanned, divided, kept or streamed."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.cli.progress import announce
from cnn_jax.config.keys import KEYS, SOURCES
from cnn_jax.config.tables import described
from cnn_jax.data.groups import say_groups
from cnn_jax.data.reading import cache
from cnn_jax.data.reading.image_dataset import ImageDataset
from cnn_jax.data.reading.levels import Levels, darkness
from cnn_jax.data.reading.memory import bytes_at_hand
from cnn_jax.data.reading.scan import ScanResult, pixel_statistics, scan
from cnn_jax.data.reading.unusable import report_unusable
from cnn_jax.data.sources.file_states import fingerprint
from cnn_jax.data.sources.words import named
from cnn_jax.data.splits import Examples, Source, Split, Splits, check_labels, make_indices
from cnn_jax.errors import InputError
from cnn_jax.runtime.sizes import describe_size

_NAMED_AT_MOST = 20
_OF_FOLDERS = ("include", "exclude", "layout")


def load(data: Any, loading: str | None = None, source: Source | None = None) -> Splits:
    """Reads the config's `data` block, looks at every picture once, and divides them.

    Args:
      data: the block.
      loading: "resident" or "streamed", where `data.loading` is "auto"; None: by the memory at hand.
      source: in place of what `data.source` names.

    Raises:
      InputError: the data are not there, not of the right form, or (with `data.on_error` "raise") some pictures cannot
        be read; then all of them are named.
    """
    source = source or load_source(data)
    for split in source.splits:
        check_labels(source, split)
    if data.loading != "auto" or loading is None:
        loading = choose_loading(data.loading, source)
    scans = _scan_splits(source, data, keep=loading == "resident")
    bad = tuple(line for found in scans.values() for line in found.bad)
    report_unusable(bad, f"{len(bad)} of {sum(map(len, source.splits.values()))} images", data.on_error)
    labels = {split: source.splits[split].labels[found.good] for split, found in scans.items()}
    for split, of_split in labels.items():
        if not len(of_split):
            raise InputError(f"{source.name}: none of the images of its split '{split}' can be used")
    groups = None
    if source.groups is not None:
        groups = {split: source.groups[split][found.good] for split, found in scans.items()}
    fold = None if data.folds is None else (data.fold, data.folds)
    if fold is not None and "validation" in labels:
        announce(f"{source.name}: its own validation split is not used; fold {data.fold} of its training data is")
    if fold is not None and data.validation != KEYS["data.validation"].default:
        announce(
            f"config.data.validation={data.validation}: with data.folds={data.folds} a fold is the validation split"
        )
    parts = make_indices(labels, data.validation, data.test, fold, groups)
    if groups is not None:
        shares = {"test": data.test} | ({"validation": data.validation} if fold is None else {})
        say_groups(parts, groups, shares)
    of, indices = parts["train"]
    shape = source.splits["train"].image_shape
    mean, std = pixel_statistics(scans[of].moments[indices], shape[0] * shape[1])
    divided = {split: _taken(source.splits[of], scans[of], rows) for split, (of, rows) in parts.items()}
    _check_classes(source, divided)
    return Splits(
        source.name, source.class_names, shape, divided["train"], divided.get("validation"),
        divided.get("test"), mean, std, loading, source.identity, (*source.skipped, *bad),
    )  # fmt: skip


def load_undivided(source: Source, data: Any) -> dict[str, Split]:
    """Every split of a source as it is, without the pictures that cannot be used: to evaluate on, not to train.

    Raises:
      InputError: as `load`.
    """
    for split in source.splits:
        check_labels(source, split)
    keep = choose_loading(data.loading, source) == "resident"
    scans = _scan_splits(source, data, keep)
    skipped = tuple(line for found in scans.values() for line in found.bad)
    report_unusable(skipped, f"{len(skipped)} of {sum(map(len, source.splits.values()))} images", data.on_error)
    return {
        split: _taken(source.splits[split], found, np.arange(len(found.good)))
        for split, found in scans.items()
        if len(found.good)
    }


def load_source(data: Any, class_names: Sequence[str] | None = None) -> Source:
    """What the config's `data.source` holds; no picture is looked at yet.

    Args:
      data: the block.
      class_names: of a trained model that is to be evaluated: of its classes and of the splits some may be missing.

    Raises:
      InputError: the data are not there, a key is set that the source does not take, or what was registered under the
        name makes no `Source`.
    """
    reader = SOURCES[data.source]
    for key in _OF_FOLDERS:
        if data[key] != KEYS[f"data.{key}"].default and key not in reader.takes:
            raise InputError(f"config.data.{key}={data[key]!r}: it is for data.source=folder, not {data.source!r}")
    # Others are whole or refused.
    partial = class_names is not None and data.source in ("folder", "csv", "npz")
    source = reader.load()(data, class_names) if partial else reader.load()(data)
    if not isinstance(source, Source):
        raise InputError(f"config.data.source='{data.source}': {described(reader.target)} returns no data.Source")
    levels = Levels(data.black, data.white)
    splits = {
        split: dataclasses.replace(pictures, levels=levels, interpolation=data.interpolation)
        for split, pictures in source.splits.items()
    }
    return dataclasses.replace(source, splits=splits)


def choose_loading(wanted: str, source: Source) -> str:
    """`resident` where the decoded images fit into the memory at hand (the device's, too), else `streamed`."""
    if wanted != "auto":
        return wanted
    needed = sum(len(part) * int(np.prod(part.image_shape)) for part in source.splits.values())
    at_hand = bytes_at_hand()
    if needed <= at_hand:
        return "resident"
    announce(
        f"{source.name}: {describe_size(needed)} of decoded images against {describe_size(at_hand)} that may be used "
        f"for them: streamed (data.loading=resident would keep them in memory)"
    )
    return "streamed"


def _scan_splits(source: Source, data: Any, keep: bool) -> dict[str, ScanResult]:
    shape = "x".join(map(str, next(iter(source.splits.values())).image_shape))
    fitted = data.resize if data.center_crop == 1 else f"{data.resize}{data.center_crop}"
    levels = Levels(data.black, data.white)
    fitted += "" if data.interpolation == "bilinear" else f"-{data.interpolation}"
    fitted += f"-{levels.black}to{levels.white}" if levels.are_stated else ""
    family = f"{source.place}-{shape}-{fitted}"
    _say_what_changed(family, source)
    # Which pictures are bad depends on what they are held against.
    key = "-".join([family, source.fingerprint, *(f"own_{name}" for name in source.read_off)])
    verb = "decoding" if keep else "checking"
    scans = {
        split: scan(pictures, f"{key}-{split}", f"{verb} {source.name} {split}", keep, source.read_off)
        for split, pictures in source.splits.items()
    }
    dark = darkness(np.concatenate([found.ranges_used for found in scans.values()]), levels)
    if dark:
        announce(f"{source.name}: {dark}")
    return scans


def _say_what_changed(family: str, source: Source) -> None:
    """If these data were scanned before in another state: says so, and frees the room of the former scan."""
    if source.states is None:
        return
    before = cache.recall(family)
    if before is not None and not np.array_equal(before, source.states):
        old, new = ({path: state for path, *state in states.tolist()} for states in (before, source.states))
        changed = sum(old[path] != new[path] for path in old.keys() & new.keys())
        announce(
            f"{source.name}: the files have changed since the last time ({len(new.keys() - old.keys())} added, "
            f"{len(old.keys() - new.keys())} removed, {changed} changed); all are looked at again"
        )
        cache.remember(family, source.states)
        cache.remove(f"{family}-{fingerprint(before)}")
    elif before is None:
        cache.remember(family, source.states)


def _check_classes(source: Source, divided: dict[str, Split]) -> None:
    """Says which classes training, or a split that is taken from it, lacks.

    Raises:
      InputError: fewer than two classes have training images.
    """
    names = source.class_names
    for split, part in divided.items():
        present = np.unique(part.labels)
        missing = [names[k] for k in np.setdiff1d(np.arange(len(names)), present)]
        listed = named(missing, _NAMED_AT_MOST)
        if split == "train" and len(present) < 2:
            lost = f", no image of {listed} can be used" if missing else ""
            raise InputError(
                f"{source.name}: one class has training images ({names[present[0]]}){lost}; a classifier needs at "
                f"least two"
            )
        if missing and (split == "train" or split not in source.splits):
            what = "training" if split == "train" else split
            announce(f"{source.name}: no {what} image of {len(missing)} of {len(names)} classes ({listed})")


def _taken(pictures: ImageDataset, found: ScanResult, indices: np.ndarray) -> Split:
    """These of the good pictures, decoded if that was asked for; all of them without a copy."""
    rows = found.good[indices]
    if found.images is None:
        return pictures.subset(rows)
    everything = Examples(found.images, pictures.labels, pictures)
    return everything if len(rows) == len(everything) else everything.subset(rows)
