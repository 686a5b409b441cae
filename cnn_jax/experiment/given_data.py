"""The data that a caller gives to `fit` in place of what the config names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_collections

from cnn_jax import data
from cnn_jax.config.tree import override
from cnn_jax.data.reading.as_uint8 import check_range
from cnn_jax.errors import InputError
from cnn_jax.runs.directory import read_config


def take_data(
    config: ml_collections.ConfigDict,
    given: dict[str, Any],
    class_names: Sequence[str] | None,
    value_range: tuple[float, float] | None,
) -> tuple[ml_collections.ConfigDict, data.Source | None]:
    """The config with the data that are given, and their source; None where the config names it.

    Args:
      given: {"train", "validation", "test"}: what `fit` got, None where it got nothing. "train" may be a folder.

    Raises:
      InputError: the arguments do not go together, or the data are not of the right form.
    """
    train = given["train"]
    held_out = [split for split in ("validation", "test") if given[split] is not None]
    if train is None or isinstance(train, str | Path):
        extra = [*held_out, *(["class_names"] if class_names is not None else [])]
        if extra:
            raise InputError(f"{extra[0]}= goes with data=(images, labels); a folder has splits of its own")
        changes: dict[str, Any] = {} if train is None else {"data.source": "folder", "data.dir": str(train)}
        if value_range is not None:
            raise InputError("value_range= goes with data=(images, labels)")
        return override(config, changes.items()), None
    changes = {"data.source": "arrays", "data.dir": None, "data.name": None}
    if value_range is not None:
        low, high = check_range(value_range)
        changes |= {"data.black": low, "data.white": high}
    config = override(config, changes.items())
    splits = {split: value for split, value in given.items() if value is not None}
    return config, data.source_in_memory(splits, config.data, class_names)


def check_same_data(workdir: Path, source: data.Source | None) -> None:
    """Raises InputError where a finished run in this directory was trained on other arrays."""
    if source is None:
        return
    before = read_config(workdir)[1].get("fingerprint")
    if before != source.identity:
        raise InputError(f"workdir={workdir} holds a run on other data; choose another folder")
