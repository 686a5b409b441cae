"""Which images a run is evaluated on: a split of its own data, wherever they lie now, or other data of its classes."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from cnn_jax import data
from cnn_jax.cli.progress import announce
from cnn_jax.config.keys import SOURCES
from cnn_jax.config.tree import default_config, override
from cnn_jax.data.sources.tfds import find_prepared
from cnn_jax.errors import InputError, shown
from cnn_jax.inference.run import Run

_SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class EvaluationData:
    """Images with labels in the run's numbering; `split` is "train", "validation", "test", or "all" of other data."""

    split: str
    examples: data.Split


def load_split(run: Run, split: str, data_dir: str | None = None) -> data.Split:
    """The examples of `load_evaluation_data`."""
    return load_evaluation_data(run, split, data_dir).examples


def load_evaluation_data(run: Run, split: str, data_dir: str | None = None) -> EvaluationData:
    """A split of the data that a run was trained on, or of other data with some of the same classes.

    Args:
      run: a trained model.
      split: "train", "validation" or "test".
      data_dir: a folder of class folders, a manifest or an archive, whatever the run was trained on. Where it is a copy
        of the run's own data, that is told by their fingerprint, and the split is the one that the run did not train
        on. Other data that know no splits are taken as a whole.

    Raises:
      InputError: the run's data have changed, so that its splits cannot be told any more; no such split; classes that
        the run does not know.
    """
    if data_dir is None:
        place = run.config.data.dir
        if place is not None and not os.path.exists(os.path.expanduser(place)):
            raise InputError(
                f"config.data.dir={shown(place)}: the data that the model was trained on are not there; say where they "
                f"are now with --data_dir=PATH"
            )
        return _own(run, run.config, split, run.resolved.get("fingerprint"))
    try:
        config = _other_config(run, data_dir)
        same_kind = config.data.source == run.config.data.source
        source = _load_grouped(config, run.class_names) if same_kind else None
        if source is not None and source.identity == run.resolved.get("fingerprint"):
            announce(f"{shown(data_dir)}: these are the data that the model was trained on; its {split} split is taken")
            return _own(run, override(run.config, [("data.dir", data_dir)]), split, source.identity)
        config = override(config, [("data.group", None), ("data.folds", None), ("data.fold", 0)])
        source = data.load_source(config.data, run.class_names)
        return _other(run, renumbered(source, run.class_names), config, split, data_dir)
    except InputError as error:
        raise InputError(str(error).replace("config.data.dir=", "--data_dir=")) from error


def _own(run: Run, config: ml_collections.ConfigDict, split: str, fingerprint: str | None) -> EvaluationData:
    splits = data.load(config.data, run.resolved.get("loading"))
    if fingerprint not in (None, splits.fingerprint):
        raise InputError(
            f"{splits.name} has changed since the model was trained: its {split} split may hold what was trained on; "
            f"restore it, or give other data with --data_dir"
        )
    if splits.class_names != run.class_names:
        raise InputError(
            f"{splits.name} has the classes {', '.join(splits.class_names)}, but the model was trained on "
            f"{', '.join(run.class_names)}; restore the data, or give other data with --data_dir"
        )
    return EvaluationData(split, _chosen({name: getattr(splits, name) for name in _SPLITS}, split, splits.name))


def _other(
    run: Run, source: data.Source, config: ml_collections.ConfigDict, split: str, data_dir: str
) -> EvaluationData:
    parts = data.load_undivided(source, config.data)
    if set(source.splits) != {"train"}:
        return EvaluationData(split, _chosen(parts, split, source.name))
    examples = _chosen(parts, "train", source.name)
    own = run.config.data.dir is not None and _same_place(run.config.data.dir, data_dir)
    reason = (
        f"has changed since the model was trained, so that its {split} split cannot be told any more"
        if own
        else f"has no split '{split}' of its own, and is not, or no longer, what the model was trained on"
    )
    announce(
        f"{shown(data_dir)} {reason}: all of its {len(examples):,} images are evaluated; any that the model was "
        f"trained on make the figures too good"
    )
    return EvaluationData("all", examples)


def _chosen(parts: Mapping[str, data.Split | None], split: str, name: str) -> data.Split:
    examples = parts.get(split)
    if examples is None:
        there = [name for name in _SPLITS if parts.get(name) is not None]
        raise InputError(f"--split={split}: {name} has no such split under this config; it has {', '.join(there)}")
    return examples


def _other_config(run: Run, data_dir: str) -> ml_collections.ConfigDict:
    """The run's config with other data in it, read as its own were read."""
    kind = _kind(run, data_dir)
    # What the config left open was settled by the data it was trained on.
    changes: list[tuple[str, Any]] = [
        ("data.source", kind), ("data.dir", data_dir),
        ("data.image_size", run.image_shape[:2]), ("data.channels", run.image_shape[2]),
    ]  # fmt: skip
    defaults = default_config().data
    foreign = set(SOURCES[run.config.data.source].takes) - set(SOURCES[kind].takes)
    return override(run.config, [*((f"data.{key}", defaults[key]) for key in sorted(foreign)), *changes])


def _kind(run: Run, data_dir: str) -> str:
    """The source that reads what lies there."""
    own, path = run.config.data.source, Path(os.path.expanduser(data_dir))
    if own == "tfds" and os.path.isdir(path) and find_prepared(run.config.data.name, path) is not None:
        return "tfds"
    if own not in ("folder", "csv", "npz", "tfds") and "dir" in SOURCES[own].takes:  # one of the user's own
        return str(own)
    if not os.path.exists(path):
        raise InputError(f"--data_dir={shown(data_dir)}: there is no such folder or file")
    if path.is_dir():
        return "folder"
    return "npz" if path.suffix.lower() == ".npz" else "csv"


def _load_grouped(config: ml_collections.ConfigDict, class_names: Sequence[str]) -> data.Source | None:
    """With the run's `data.group`, which is part of what its data are; None where other data know no such groups."""
    try:
        return data.load_source(config.data, class_names)
    except InputError:
        if config.data.group is None:
            raise
        return None


def renumbered(source: data.Source, class_names: Sequence[str]) -> data.Source:
    """The source with a model's classes: label k means class_names[k], and some may be missing.

    Raises:
      InputError: it has images of classes that the model does not know; all of these are named.
    """
    numbers = {name: k for k, name in enumerate(class_names)}
    used = sorted({int(label) for part in source.splits.values() for label in np.unique(part.labels)})
    names = [source.class_names[label] if label in range(len(source.class_names)) else str(label) for label in used]
    unknown = [name for name in names if name not in numbers]
    if unknown:
        what = "a class" if len(unknown) == 1 else f"{len(unknown)} classes"
        raise InputError(
            f"{source.name} has images of {what} that the model does not know: {', '.join(unknown)}; it was trained on "
            f"{', '.join(class_names)}"
        )
    table = np.zeros(max(used, default=0) + 1, np.int32)
    table[used] = [numbers[name] for name in names]
    splits = {split: dataclasses.replace(part, labels=table[part.labels]) for split, part in source.splits.items()}
    return dataclasses.replace(source, class_names=tuple(class_names), splits=splits)


def _same_place(first: str, second: str) -> bool:
    return os.path.realpath(os.path.expanduser(first)) == os.path.realpath(os.path.expanduser(second))
