"""What no key of a config shows alone."""

from collections.abc import Mapping
from typing import Any

from cnn_jax.config.keys import KEYS, MODELS, SOURCES
from cnn_jax.config.schedule_keys import check_schedule, cycles_momentum
from cnn_jax.errors import InputError


def check_together(flat: Mapping[str, Any]) -> None:
    """Raises InputError for values of a flat, canonical config that do not go together."""
    source = flat["data.source"]
    if source == "tfds" and flat["data.name"] is None:
        raise InputError("config.data.name=None: data.source 'tfds' needs the dataset's name, as in data.name=mnist")
    if flat["data.name"] is not None and "name" not in SOURCES[source].takes:
        raise InputError(f"config.data.name={flat['data.name']!r}: a name needs data.source=tfds, not {source!r}")
    if flat["data.dir"] is not None and "dir" not in SOURCES[source].takes:
        raise InputError(f"config.data.dir={flat['data.dir']!r}: data.source={source} reads no files")
    for name in ("group", "image_column", "label_column", "split_column", "images_dir"):
        value = flat[f"data.{name}"]
        if value not in (None, KEYS[f"data.{name}"].default) and name not in SOURCES[source].takes:
            takers = " or ".join(other for other, reader in SOURCES.items() if name in reader.takes)
            raise InputError(f"config.data.{name}={value!r}: it needs data.source={takers}, not {source!r}")
    if flat["data.sampling"] == "balanced" and flat.get("loss.class_weights") == "balanced":
        raise InputError("config.loss.class_weights='balanced': data.sampling is balanced already; choose one")
    if flat["remat"] == "stage" and not MODELS[flat["model.name"]].stages:
        raise InputError(f"config.remat='stage': the model '{flat['model.name']}' has no stages; set it to none")
    start, epochs = flat["swa_start"], flat["num_epochs"]
    if start is not None and flat["ema_decay"] is not None:
        raise InputError(f"config.swa_start={start}: a run keeps one kind of averages; set ema_decay to None")
    if start is not None and start > epochs:
        raise InputError(f"config.swa_start={start}: it must be an epoch of the run, and num_epochs={epochs}")
    black, white = flat["data.black"], flat["data.white"]
    if white is not None and not black < white:
        raise InputError(f"config.data.white={white}: it must be above data.black={black}")
    if flat["data.channels"] == 2:
        raise InputError("config.data.channels=2: it must be 1 (gray) or 3 (colour), or None")
    if flat.get("optimizer.nesterov") and flat.get("optimizer.momentum") == 0:
        raise InputError("config.optimizer.nesterov=True: it needs optimizer.momentum above 0")
    check_schedule(flat)
    if cycles_momentum(flat):
        _check_momentum(flat)
    if flat["model.name"] == "cnn" and flat["model.norm"] == "group":
        groups, filters, stem = flat["model.norm_groups"], flat["model.filters"], flat["model.stem"]
        if any(count % groups for count in filters):
            raise InputError(f"config.model.norm_groups={groups}: it must divide every entry of filters={filters}")
        if stem is not None and stem[0] % groups:
            raise InputError(f"config.model.norm_groups={groups}: it must divide the {stem[0]} filters of stem={stem}")


def _check_momentum(flat: Mapping[str, Any]) -> None:
    """Of a schedule with cycle_momentum=True."""
    where = f"config.schedule: cycle_momentum=True of {flat['schedule.name']}"
    if "optimizer.momentum" not in flat and "optimizer.b1" not in flat:
        raise InputError(f"{where}: the optimizer '{flat['optimizer.name']}' has no momentum to cycle; set it to False")
    if flat.get("optimizer.momentum") == 0:
        raise InputError(f"{where}: it needs optimizer.momentum above 0, where the cycle takes its place, or False")
