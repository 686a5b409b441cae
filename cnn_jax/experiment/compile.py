"""The compiled programs of an experiment, and what feeds them."""

import functools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import data
from cnn_jax.config.optimizer_keys import LOSSES
from cnn_jax.data.augment.draws import Draws
from cnn_jax.data.augment.pipeline import crop_while_decoding
from cnn_jax.data.feeding.device_dataset import DeviceDataset, own_part
from cnn_jax.data.feeding.loader import resident_loader, streaming_loader
from cnn_jax.data.feeding.order import unique_example_ids
from cnn_jax.data.feeding.stream import Batches
from cnn_jax.data.normalize import normalize
from cnn_jax.distributed import hosts
from cnn_jax.experiment.data_dependent_init import weights_from_data
from cnn_jax.experiment.setup import Experiment
from cnn_jax.inference.run import make_apply
from cnn_jax.inference.tta import EVAL_TTA
from cnn_jax.models.parameter_names import stop_gradient_frozen
from cnn_jax.ops import takes_tiles
from cnn_jax.optimization.losses import make_class_weights
from cnn_jax.runtime.compilation import quick_options
from cnn_jax.runtime.devices import AXIS
from cnn_jax.training.loss_scale import init_loss_scale
from cnn_jax.training.parallel import compile_eval_step, compile_resident_step, compile_train_step, map_parts
from cnn_jax.training.state import TrainState, init_state
from cnn_jax.training.step import Batch, Preprocess, StepOptions, make_eval_step, make_train_step
from cnn_jax.training.swa import make_statistics_step

_MOST_STEPS_PER_CALL = 50
_OPERATIONS_PER_CALL = 2e12


def make_steps(experiment: Experiment) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The pure training and evaluation steps of an experiment; see `training.step`."""
    config, splits = experiment.config, experiment.splits
    arguments = {key: value for key, value in config.loss.items() if key != "name"}
    if "class_weights" in arguments:
        weights = make_class_weights(arguments["class_weights"], splits.train.labels, splits.class_names)
        arguments["class_weights"] = None if weights is None else jnp.asarray(weights)
    loss = partial(LOSSES[config.loss.name].load(), **arguments)
    options = _step_options(experiment)
    step = make_train_step(experiment.model, experiment.optimizer, loss, _make_preprocess(experiment), options)
    apply = make_apply(experiment.model, experiment.normalization, EVAL_TTA[config.eval_tta])
    return step, make_eval_step(apply)


def make_statistics(experiment: Experiment) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What takes BatchNorm's statistics anew, as `make_training` gives what trains: see `make_statistics_step`."""
    preprocess, options = _make_preprocess(experiment), _step_options(experiment)
    step = make_statistics_step(experiment.model, preprocess, options, experiment.steps_per_epoch)
    return _with_own_seed(experiment, *_fed(experiment, step))


def _step_options(experiment: Experiment) -> StepOptions:
    config = experiment.config
    return StepOptions(
        axis=experiment.devices.axis,
        accumulate_steps=config.accumulate_steps,
        unroll=experiment.devices.platform == "cpu",  # a convolution in a loop is slow there
        ema_decay=config.ema_decay,
        skip_nonfinite=config.on_nonfinite == "skip",
        average_stats=config.parallel.batch_norm == "per_device",
        hold=partial(stop_gradient_frozen, pattern=config.freeze),
    )


def _make_preprocess(experiment: Experiment) -> Preprocess:
    """(batch, seed, step) -> (images that the model takes, labels): augmentation and normalisation."""
    balanced, examples = experiment.config.data.sampling == "balanced", len(experiment.splits.train)

    # Each device prepares its own part of the batch, also where one program does the rest for all.
    axis = experiment.devices.axis or (AXIS if experiment.devices.count > 1 else None)

    def preprocess(batch: Batch, seed: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        numbers = batch["index"]
        if balanced:
            whole = numbers if axis is None else jax.lax.all_gather(numbers, axis, tiled=True)
            numbers = own_part(unique_example_ids(whole, examples, jnp), axis)
        draws = Draws(seed, step, step // experiment.steps_per_epoch, numbers, axis)
        images, labels = experiment.augment(batch["image"], batch["label"], draws)
        return normalize(images, experiment.normalization, experiment.model.compute.param_dtype), labels

    return preprocess if axis == experiment.devices.axis else map_parts(preprocess, experiment.devices)


def make_evaluation(experiment: Experiment) -> Callable[..., Any]:
    """The compiled evaluation step: (variables, this host's part of a batch) -> sums."""
    options = _compiler_options(experiment, experiment.config.eval_batch_size)
    program = compile_eval_step(make_steps(experiment)[1], experiment.devices, options)
    return lambda variables, batch: program(variables, experiment.devices.spread(batch))


def make_training(experiment: Experiment) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """For `training.Program`: the compiled training step and the feed that gives each call its data."""
    return _with_own_seed(experiment, *make_seeded_training(experiment))


def make_seeded_training(experiment: Experiment) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`make_training` for any number of seeds: the step takes one beside its work, and each has a feed."""
    return _fed(experiment, make_steps(experiment)[0])


def _with_own_seed(
    experiment: Experiment, step: Callable[..., Any], feed: Callable[..., Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    seed = experiment.config.seed
    return lambda state, work: step(state, work, np.uint32(seed)), feed(seed)


def _fed(experiment: Experiment, step: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A compiled step (state, work, seed) -> (state, sums), and from a seed the feed that gives each call its work."""
    config, train_split, devices = experiment.config, experiment.splits.train, experiment.devices
    options = _compiler_options(experiment, config.batch_size)
    balanced = config.data.sampling == "balanced"
    if isinstance(train_split, data.ImageDataset):
        crop = crop_while_decoding(config.augment)

        def streamed(seed: int) -> Callable[..., Any]:
            batches = Batches(train_split, seed, config.batch_size, balanced, crop, hosts.index(), hosts.count())
            return partial(streaming_loader, batches, config.data.workers, devices)

        return compile_train_step(step, devices, options), streamed
    device_dataset = experiment.device_dataset
    programs = functools.cache(partial(compile_resident_step, step, devices, options=options))
    steps, labels = steps_per_call(experiment), train_split.labels

    def feed(seed: int) -> Callable[..., Any]:
        return partial(resident_loader, labels, seed, config.batch_size, balanced, steps, devices)

    return lambda state, work, seed: programs(work[1])(state, device_dataset, work[0], seed), feed


def compile_training(experiment: Experiment, steps: int) -> tuple[jax.stages.Compiled, TrainState]:
    """The training program for so many steps, and the shapes of the state; nothing is computed or moved."""
    config, splits, devices = experiment.config, experiment.splits, experiment.devices
    step, _ = make_steps(experiment)
    options = _compiler_options(experiment, config.batch_size)

    def shape(dtype: Any, *sizes: int, spread: bool = False) -> jax.ShapeDtypeStruct:
        if spread and devices.folded:
            sizes = (devices.count, sizes[0] // devices.count, *sizes[1:])
        return jax.ShapeDtypeStruct(sizes, dtype, sharding=devices.split if spread else devices.replicated)

    state = state_shapes(experiment)
    if isinstance(splits.train, data.ImageDataset):
        kinds = {"image": np.uint8, "label": np.int32, "index": np.int32, "mask": bool}
        shapes = {"image": splits.image_shape}
        batch = {k: shape(v, config.batch_size, *shapes.get(k, ()), spread=True) for k, v in kinds.items()}
        lowered = compile_train_step(step, devices, options).lower(state, batch, np.uint32(0))  # type: ignore[attr-defined]
    else:
        count = -(-len(splits.train) // devices.count) * devices.count
        device_dataset = DeviceDataset(
            shape(np.uint8, count, *splits.image_shape, spread=True), shape(np.int32, count, spread=True)
        )
        order = shape(np.int32, experiment.steps_per_epoch, config.batch_size)
        program = compile_resident_step(step, devices, steps, options)
        lowered = program.lower(state, device_dataset, order, np.uint32(0))  # type: ignore[attr-defined]
    return lowered.compile(), state


def _compiler_options(experiment: Experiment, batch_size: int) -> dict[str, Any] | None:
    """What takes half as long to compile, where nothing is lost by it.

    The transforms of convolutions that go by tiles would be slow, and exponentials in float64 good to 8 digits.
    """
    batch = batch_size // experiment.devices.count
    kernels = {(layer.output_shape, layer.kernel_shape) for layer in experiment.table.layers if layer.kernel_shape}
    tiled = any(len(kernel) == 4 and takes_tiles((batch, *outputs), kernel) for outputs, kernel in kernels)
    exact = experiment.config.precision == "float64"
    return None if tiled or exact else quick_options(experiment.devices.platform)


def steps_per_call(experiment: Experiment) -> int:
    """How many steps one compiled call makes of resident data."""
    config, devices = experiment.config, experiment.devices
    most = experiment.steps_per_epoch
    if config.checkpoint.unit == "steps":  # checkpoints are made between calls
        most = min(most, math.ceil(config.checkpoint.every))
    if config.steps_per_call != "auto":
        return min(config.steps_per_call, most)
    if devices.platform == "cpu":  # a convolution in a loop is slow there
        return 1
    # Enough work to hide what a call costs, and little enough to stop soon when asked to.
    work = 6 * experiment.table.multiply_adds * config.batch_size / devices.count
    return max(1, min(_MOST_STEPS_PER_CALL, most, int(_OPERATIONS_PER_CALL / max(work, 1))))


def make_state(experiment: Experiment) -> Callable[..., TrainState]:
    """From a seed (and `given`, see `init_state`) to the state before the first step; not compiled."""
    config = experiment.config
    return partial(
        init_state, experiment.model, experiment.optimizer, experiment.splits.image_shape,
        with_averages=config.ema_decay is not None or config.swa_start is not None,
        loss_scale=init_loss_scale() if config.precision == "float16" else None,
    )  # fmt: skip


def state_shapes(experiment: Experiment) -> TrainState:
    """The state as shapes, each on all devices; nothing is computed."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=experiment.devices.replicated),
        jax.eval_shape(make_state(experiment), np.uint32(0)),
    )


def compile_initial_state(experiment: Experiment) -> Callable[[Any], Any]:
    """From a seed to the state before the first step, as one program, with what the model takes from the data."""
    # Random numbers are much code that runs once: on CPU, to optimise it takes seconds longer than it saves.
    devices = experiment.devices
    options = quick_options(devices.platform, backend_level=0)
    program = jax.jit(make_state(experiment), out_shardings=devices.replicated, compiler_options=options)
    return lambda seed: program(seed, given=weights_from_data(experiment))


def initial_state(experiment: Experiment) -> TrainState:
    """The state before the first step."""
    state: TrainState = compile_initial_state(experiment)(np.uint32(experiment.config.seed))
    return state
