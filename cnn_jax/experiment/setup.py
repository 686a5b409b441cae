"""From a config to everything that it describes, built but not yet run."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import ml_collections
import optax

from cnn_jax import data
from cnn_jax.cli.progress import announce
from cnn_jax.config.schedule_keys import check_warmup
from cnn_jax.config.tree import override, validate
from cnn_jax.data.augment.pipeline import CROP, Augment, crop_while_decoding, make_augment
from cnn_jax.data.class_counts import describe_classes
from cnn_jax.data.feeding.device_dataset import DeviceDataset, put_on_device
from cnn_jax.data.normalize import Normalization, make_normalization
from cnn_jax.distributed import hosts
from cnn_jax.errors import InputError
from cnn_jax.experiment.published import check_init_from, normalization_of
from cnn_jax.models import Classifier, Table, make_model, make_table, variable_shapes
from cnn_jax.models.parameter_names import check_patterns
from cnn_jax.optimization.losses import make_class_weights
from cnn_jax.optimization.optimizers import has_momentum, make_optimizer
from cnn_jax.optimization.schedules import (
    Schedule,
    check_rates,
    length_notes,
    make_momentum,
    make_schedule,
    plateau_arguments,
    plateau_start,
)
from cnn_jax.runtime.compilation import keep_programs
from cnn_jax.runtime.devices import Devices, check_batch, choose_devices


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config with everything that it describes, built but not yet run."""

    config: ml_collections.ConfigDict
    splits: data.Splits
    augment: Augment
    normalization: Normalization
    model: Classifier
    optimizer: optax.GradientTransformation
    schedule: Schedule
    steps_per_epoch: int
    table: Table
    devices: Devices

    @functools.cached_property
    def device_dataset(self) -> DeviceDataset:
        """The training split on the devices: placed there once, for all programs that work on it."""
        assert not isinstance(self.splits.train, data.ImageDataset)
        return put_on_device(self.splits.train, self.devices)

    @property
    def resolved(self) -> dict[str, Any]:
        """What the data say and the config does not; saved with it, so that a run can be used without the data."""
        return {
            "data": self.splits.name,
            "image_shape": list(self.splits.image_shape),
            "class_names": list(self.splits.class_names),
            "normalization": self.normalization.to_json(),
            "train_examples": len(self.splits.train),
            "validation_examples": 0 if self.splits.validation is None else len(self.splits.validation),
            "test_examples": 0 if self.splits.test is None else len(self.splits.test),
            "fingerprint": self.splits.fingerprint,
            "loading": self.splits.loading,
            "skipped": list(self.splits.skipped),
        }

    def describe(self) -> str:
        """One line for people."""
        splits, table = self.splits, self.table
        parts = {"training": splits.train, "validation": splits.validation, "test": splits.test}
        sizes = ", ".join(f"{len(part):,} {name}" for name, part in parts.items() if part is not None)
        shape = "x".join(map(str, splits.image_shape))
        return (
            f"{splits.name}: {sizes} images of {shape}, {describe_classes(splits)}, {splits.loading}; "
            f"{self.config.model.name}: "
            f"{table.parameters:,} parameters, {table.multiply_adds:,} multiply-adds an image"
        )


def build(
    config: ml_collections.ConfigDict,
    loading: str | None = None,
    source: data.Source | None = None,
    fit_batch: bool = False,
) -> Experiment:
    """Loads the data and makes the model and the optimizer; nothing is computed yet and nothing written but the cache.

    Args:
      loading: how a run that goes on began to be fed, where `data.loading` is "auto"; None: the run begins.
      source: in place of what `data.source` names.
      fit_batch: for those who try other batch sizes: one that the data or the devices do not allow becomes the next
        smaller one that they do.

    Raises:
      InputError: whatever in the config, the data or their combination cannot work.
    """
    config = validate(config)
    check_warmup(config.schedule, max(config.num_epochs, 1))
    check_init_from(config, begins=loading is None)
    devices = choose_devices(config.parallel.strategy, config.parallel.devices, config.parallel.batch_norm)
    keep_programs()
    splits = _load_on_all_hosts(config, loading, source)
    if fit_batch:
        parts = devices.count * config.accumulate_steps
        fitting = min(config.batch_size, len(splits.train)) // parts * parts
        config = override(config, [("batch_size", max(fitting, parts))])
    _check_sizes(config, splits, devices)
    make_class_weights(config.loss.get("class_weights", "none"), splits.train.labels, splits.class_names)
    augment = _make_augment(config, splits)
    model = make_model(
        config.model, splits.num_classes, config.precision, config.remat, devices.norm_axis, config.freeze
    )
    table = _make_table(config, model, splits)
    check_patterns(config, variable_shapes(model, splits.image_shape)["params"])
    steps_per_epoch = len(splits.train) // config.batch_size
    epochs = max(config.num_epochs, 1)  # a schedule has a length, even where it is not followed

    def scheduled(base: float) -> Schedule:
        return make_schedule(config.schedule, base, steps_per_epoch, epochs, peak=config.optimizer.learning_rate)

    idle = check_rates(scheduled(config.optimizer.learning_rate), config.schedule.name, steps_per_epoch * epochs)
    notes = [*length_notes(config.schedule, steps_per_epoch, epochs), *([idle] if idle else [])]
    if config.patience is not None and config.patience >= epochs:
        notes.append(f"config.patience={config.patience}: it stops nothing in {config.num_epochs} epochs (num_epochs)")
    if notes:
        announce("\n".join(notes))
    return Experiment(
        config, splits, augment, _make_normalization(config, splits), model,
        _make_optimizer(config, scheduled, steps_per_epoch, table), scheduled(config.optimizer.learning_rate),
        steps_per_epoch, table, devices,
    )  # fmt: skip


def _make_normalization(config: ml_collections.ConfigDict, splits: data.Splits) -> Normalization:
    name = config.data.normalization
    if name != "pretrained":
        return make_normalization(name, splits)
    return normalization_of(config.init_from, splits.image_shape[2])


def _make_optimizer(
    config: ml_collections.ConfigDict, scheduled: Callable[[float], Schedule], steps_per_epoch: int, table: Table
) -> optax.GradientTransformation:
    cycles = has_momentum(config.optimizer)
    momentum = make_momentum(config.schedule, steps_per_epoch, max(config.num_epochs, 1)) if cycles else None
    arguments = plateau_arguments(config.schedule)
    plateau = None if arguments is None else plateau_start(arguments)
    steps = steps_per_epoch * max(config.num_epochs, 1)
    return make_optimizer(config.optimizer, scheduled, config.freeze, momentum, plateau, steps, table.names)


def _load_on_all_hosts(
    config: ml_collections.ConfigDict, loading: str | None, source: data.Source | None
) -> data.Splits:
    """The same data fed in the same way on all hosts; the primary host fills the cache for all."""
    with hosts.primary_first("the data"):
        splits = data.load(config.data, loading, source)
    if "streamed" in hosts.all_gather("the loading", splits.loading) and splits.loading != "streamed":
        splits = data.load(config.data, "streamed", source)  # another host has less memory
    hosts.assert_equal("the fingerprints", str(splits.fingerprint), "other data (config.data)")
    return splits


def _check_sizes(config: ml_collections.ConfigDict, splits: data.Splits, devices: Devices) -> None:
    if config.batch_size > len(splits.train):
        raise InputError(
            f"config.batch_size={config.batch_size}: it is larger than the training split of {splits.name}, which has "
            f"{len(splits.train)} examples; choose at most that"
        )
    parts = config.accumulate_steps
    among = f"{devices.count} devices" + (f" with {parts} parts each" if parts > 1 else "")
    check_batch("batch_size", config.batch_size, devices.count * parts, among, len(splits.train))
    if config.patience is not None and splits.validation is None:
        raise InputError(f"config.patience={config.patience}: it watches validation data; set data.validation above 0")
    watched = (plateau_arguments(config.schedule) or {}).get("metric", "")
    if watched.startswith("validation_") and splits.validation is None:
        raise InputError(
            f"config.schedule.metric='{watched}': {config.schedule.name} watches validation data; set data.validation "
            f"above 0"
        )
    if config.steps_per_call not in ("auto", 1) and splits.loading == "streamed":
        raise InputError(
            f"config.steps_per_call={config.steps_per_call}: several steps in one call need data that are resident; "
            f"set it to auto, or data.loading=resident"
        )


def _make_augment(config: ml_collections.ConfigDict, splits: data.Splits) -> Augment:
    cropped = splits.loading == "streamed" and crop_while_decoding(config.augment) is not None
    if config.data.loading == "auto" and any(name == CROP for name, _ in config.augment):
        how = "while photographs are decoded" if cropped else "of images that have their final size already"
        announce(f"{CROP}: crops {how} (data.loading={splits.loading})")
    return make_augment(config.augment, splits.image_shape, splits.num_classes, config.augment_padding_mode, cropped)


def _make_table(config: ml_collections.ConfigDict, model: Classifier, splits: data.Splits) -> Table:
    try:
        return make_table(model, splits.image_shape)
    except InputError as error:  # which says what would be right
        raise InputError(f"config.model.name='{config.model.name}', data.image_size: {error}") from error
    except ValueError as error:
        size = "x".join(map(str, splits.image_shape[:2]))
        raise InputError(
            f"images of {size} are too small for the model '{config.model.name}' ({error}); raise data.image_size, or "
            f"take fewer or smaller poolings and strides"
        ) from error
