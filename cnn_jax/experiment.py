"""Where everything meets: config, data, model, optimizer and steps go through the loop into a run directory."""

import dataclasses
import functools
import json
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from cnn_jax import data, hosts, reports
from cnn_jax.checkpoints import Checkpoints, open_checkpoints
from cnn_jax.config import to_json, validate
from cnn_jax.data.augment.draws import Draws
from cnn_jax.data.augment.pipeline import CROP, Augment, crop_while_decoding, make_augment
from cnn_jax.data.feed import resident_feed, streamed_feed
from cnn_jax.data.normalize import Normalization, make_normalization, normalize
from cnn_jax.data.order import distinct
from cnn_jax.data.resident import Resident, own_part, place
from cnn_jax.data.stream import Batches
from cnn_jax.devices import AXIS, Devices, check_batch, choose_devices
from cnn_jax.errors import InputError, Interrupted, NonFiniteError, SaveError
from cnn_jax.inference import make_apply
from cnn_jax.losses import LOSSES, balanced_weights
from cnn_jax.models import Classifier, Table, make_model, make_table, variable_shapes
from cnn_jax.optimizers import make_optimizer
from cnn_jax.parameter_names import check_patterns, frozen
from cnn_jax.progress import announce
from cnn_jax.run_directory import finished_summary, open_run_directory, read_run_file, write_json
from cnn_jax.schedules import Schedule, make_schedule
from cnn_jax.tracking import make_trackers, no_trackers
from cnn_jax.tracking.local import read_rows
from cnn_jax.training.evaluation import Between, compile_evaluation, evaluate
from cnn_jax.training.loop import train
from cnn_jax.training.loss_scale import init_loss_scale
from cnn_jax.training.parallel import compile_eval_step, compile_resident_step, compile_train_step, map_parts
from cnn_jax.training.plan import Plan, Progress
from cnn_jax.training.signals import StopSignals
from cnn_jax.training.state import TrainState, init_state
from cnn_jax.training.step import Batch, StepOptions, make_eval_step, make_train_step
from cnn_jax.warm_start import WarmStart, read_init_from, warm_start

_MOST_STEPS_PER_CALL = 50
_OPERATIONS_PER_CALL = 2e12


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

    @property
    def resolved(self) -> dict[str, Any]:
        """What the data say and the config does not; saved with it, so that a run can be used without the data."""
        return {
            "data": self.splits.name,
            "image_shape": list(self.splits.image_shape),
            "class_names": list(self.splits.class_names),
            "normalization": self.normalization.to_json(),
            "train_examples": len(self.splits.train),
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
            f"{splits.name}: {sizes} images of {shape}, {splits.num_classes} classes, {splits.loading}; "
            f"{self.config.model.name}: "
            f"{table.parameters:,} parameters, {table.multiply_adds:,} multiply-adds an image"
        )


def build(config: ml_collections.ConfigDict, loading: str | None = None) -> Experiment:
    """Loads the data and makes the model and the optimizer; nothing is computed yet and nothing written but the cache.

    Args:
      loading: how a run that goes on began to be fed, where `data.loading` is "auto".

    Raises:
      InputError: whatever in the config, the data or their combination cannot work.
    """
    config = validate(config)
    devices = choose_devices(config.parallel.strategy, config.parallel.devices, config.parallel.batch_norm)
    splits = _load_on_all_hosts(config, loading)
    if config.batch_size > len(splits.train):
        raise InputError(
            f"config.batch_size={config.batch_size}: it is larger than the training split of {splits.name}, which has "
            f"{len(splits.train)} examples; choose at most that"
        )
    parts = devices.count * config.accumulate_steps
    among = f"{devices.count} devices" + (
        f" with {config.accumulate_steps} parts each" if config.accumulate_steps > 1 else ""
    )
    check_batch("batch_size", config.batch_size, parts, among, len(splits.train))
    if config.patience is not None and splits.validation is None:
        raise InputError(f"config.patience={config.patience}: it watches validation data; set data.validation above 0")
    cropped = splits.loading == "streamed" and crop_while_decoding(config.augment) is not None
    augment = make_augment(config.augment, splits.image_shape, splits.num_classes, config.augment_edges, cropped)
    if config.data.loading == "auto" and any(name == CROP for name, _ in config.augment):
        how = "while photographs are decoded" if cropped else "of images that have their final size already"
        announce(f"{CROP}: crops {how} (data.loading={splits.loading})")
    model = make_model(
        config.model, splits.num_classes, config.precision, config.remat, devices.norm_axis, config.freeze
    )
    if config.steps_per_call not in ("auto", 1) and splits.loading == "streamed":
        raise InputError(
            f"config.steps_per_call={config.steps_per_call}: several steps in one call need data that are resident; "
            f"set it to auto, or data.loading=resident"
        )
    try:
        table = make_table(model, splits.image_shape)
    except ValueError as error:
        size = "x".join(map(str, splits.image_shape[:2]))
        raise InputError(
            f"images of {size} are too small for the model '{config.model.name}' ({error}); raise data.image_size, or "
            f"take fewer or smaller poolings and strides"
        ) from error
    check_patterns(config, variable_shapes(model, splits.image_shape)["params"])
    steps_per_epoch = len(splits.train) // config.batch_size

    def scheduled(base: float) -> Schedule:
        return make_schedule(config.schedule, base, steps_per_epoch, config.num_epochs)

    rate = float(scheduled(config.optimizer.learning_rate)(0))
    if not math.isfinite(rate):
        raise InputError(f"config.schedule: '{config.schedule.name}' with these arguments starts at a rate of {rate}")
    return Experiment(
        config, splits, augment, make_normalization(config.data.normalization, splits), model,
        make_optimizer(config.optimizer, scheduled, config.freeze), scheduled(config.optimizer.learning_rate),
        steps_per_epoch, table, devices,
    )  # fmt: skip


def _load_on_all_hosts(config: ml_collections.ConfigDict, loading: str | None) -> data.Splits:
    """The same data fed in the same way on all hosts; what can be cached, the lead caches for all."""
    with hosts.lead_first("the data"):
        splits = data.load(config.data, loading)
    if "streamed" in hosts.gather("the loading", splits.loading) and splits.loading != "streamed":
        splits = data.load(config.data, "streamed")  # another host has less memory
    hosts.agree("the fingerprints", str(splits.fingerprint), "other data (config.data)")
    return splits


def fit(config: ml_collections.ConfigDict, workdir: str | Path) -> dict[str, Any]:
    """Trains what the config describes in a run directory, and returns its summary.

    The same call on the same directory resumes; on a finished run it returns the summary and does nothing; a finished
    run may be extended by a larger `num_epochs`. The test split is touched once, at the end, with the best weights.

    Raises:
      InputError: the config or the data cannot work, or the directory belongs to another config.
      Interrupted: SIGINT or SIGTERM; everything is saved.
      NonFiniteError: the loss is NaN or infinite; the last good checkpoint is kept.
      SaveError: the disk is full or cannot be written; the last whole checkpoint is kept.
    """
    config, workdir = validate(config), Path(workdir)
    started = time.monotonic()
    finished = finished_summary(config, workdir)
    if finished is not None:
        announce(f"{workdir} holds the finished run of this config: nothing to do")
        return finished
    began = read_run_file(workdir, "config.json").get("resolved", {}) if (workdir / "config.json").exists() else {}
    hosts.agree("the config", json.dumps([to_json(config), began]), f"another config, or sees another {workdir},")
    experiment = build(config, began.get("loading"))
    begun = any(path.name.isdigit() for path in (workdir / "checkpoints").glob("*"))
    start = None if begun else read_start(experiment)
    with StopSignals() as stop:
        with hosts.lead_first("the run directory"):
            if hosts.lead():
                open_run_directory(workdir, config, experiment.resolved)
        announce(experiment.describe())
        try:
            return _run(experiment, workdir, stop, started, start)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise InputError(out_of_memory(config, error)) from None
        except NonFiniteError as error:
            with open_checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
                last = checkpoints.last()
            kept = "no epoch had been finished" if last is None else f"the checkpoint of step {last} is kept"
            raise NonFiniteError(f"{error}; {kept} in {workdir}") from None


def out_of_memory(config: ml_collections.ConfigDict, error: Exception) -> str:
    """What to do where a device has not so much memory, the cheapest way first; as one line."""
    ways = [f"a smaller config.batch_size (it is {config.batch_size})"]
    if config.precision in ("float32", "float64"):
        ways.append(f"config.precision=bfloat16 (it is {config.precision})")
    if config.accumulate_steps < config.batch_size:
        ways.append(f"config.accumulate_steps={2 * config.accumulate_steps} (it is {config.accumulate_steps})")
    if config.remat == "none":
        ways.append("config.remat=stage (it is none)")
    reason = str(error).partition("RESOURCE_EXHAUSTED:")[2].strip().splitlines()
    return f"the device has not enough memory for this ({' '.join(reason[:1])[:120]}); ways out: {', '.join(ways)}"


def make_steps(experiment: Experiment) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The pure training and evaluation steps of an experiment; see `training.step`."""
    config, splits = experiment.config, experiment.splits
    balanced = config.data.sampling == "balanced"

    # Each device prepares its own part of the batch, also where one program does the rest for all.
    axis = experiment.devices.axis or (AXIS if experiment.devices.count > 1 else None)

    def preprocess(batch: Batch, seed: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        numbers = batch["index"]
        if balanced:
            whole = numbers if axis is None else jax.lax.all_gather(numbers, axis, tiled=True)
            numbers = own_part(distinct(whole, len(splits.train), jnp), axis)
        draws = Draws(seed, step, step // experiment.steps_per_epoch, numbers, axis)
        images, labels = experiment.augment(batch["image"], batch["label"], draws)
        return normalize(images, experiment.normalization, experiment.model.setting.param_dtype), labels

    weights = None
    if config.loss.class_weights == "balanced":
        weights = jnp.asarray(balanced_weights(splits.train.labels, splits.num_classes))
    loss = partial(LOSSES[config.loss.name], label_smoothing=config.loss.label_smoothing, class_weights=weights)
    options = StepOptions(
        axis=experiment.devices.axis,
        accumulate_steps=config.accumulate_steps,
        unroll=experiment.devices.platform == "cpu",  # a convolution in a loop is slow there
        ema_decay=config.ema_decay,
        skip_nonfinite=config.on_nonfinite == "skip",
        frozen=partial(frozen, pattern=config.freeze),
    )
    spread = preprocess if axis == options.axis else map_parts(preprocess, experiment.devices)
    step = make_train_step(experiment.model, experiment.optimizer, loss, spread, options)
    return step, make_eval_step(make_apply(experiment.model, experiment.normalization))


def make_evaluation(experiment: Experiment) -> Callable[..., Any]:
    """The compiled evaluation step: (variables, this host's part of a batch) -> sums."""
    program = compile_eval_step(make_steps(experiment)[1], experiment.devices)
    return lambda variables, batch: program(variables, experiment.devices.spread(batch))


def make_training(experiment: Experiment) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What `Plan` wants of an experiment: the compiled training step and the feed that gives each call its data."""
    config, train_split, devices = experiment.config, experiment.splits.train, experiment.devices
    step, _ = make_steps(experiment)
    seed = np.uint32(config.seed)
    balanced = config.data.sampling == "balanced"
    if isinstance(train_split, data.Pictures):
        program = compile_train_step(step, devices)
        crop = crop_while_decoding(config.augment)
        batches = Batches(
            train_split, config.seed, config.batch_size, balanced, crop, jax.process_index(), jax.process_count()
        )
        feed = partial(streamed_feed, batches, config.data.workers, devices)
        return lambda state, batch: program(state, batch, seed), feed
    resident = place(train_split, devices)
    programs = functools.cache(partial(compile_resident_step, step, devices))
    feed = partial(
        resident_feed, train_split.labels, config.seed, config.batch_size, balanced, steps_per_call(experiment), devices
    )
    return lambda state, work: programs(work[1])(state, resident, work[0], seed), feed


def compile_training(experiment: Experiment, steps: int) -> tuple[jax.stages.Compiled, TrainState]:
    """The training program for so many steps, and the shapes of the state; nothing is computed or moved."""
    config, splits, devices = experiment.config, experiment.splits, experiment.devices
    step, _ = make_steps(experiment)

    def shape(dtype: Any, *sizes: int, spread: bool = False) -> jax.ShapeDtypeStruct:
        if spread and devices.folded:
            sizes = (devices.count, sizes[0] // devices.count, *sizes[1:])
        return jax.ShapeDtypeStruct(sizes, dtype, sharding=devices.split if spread else devices.replicated)

    state = jax.tree.map(lambda leaf: shape(leaf.dtype, *leaf.shape), jax.eval_shape(lambda: make_state(experiment)(0)))
    if isinstance(splits.train, data.Pictures):
        kinds = {"image": np.uint8, "label": np.int32, "index": np.int32, "mask": bool}
        shapes = {"image": splits.image_shape}
        batch = {k: shape(v, config.batch_size, *shapes.get(k, ()), spread=True) for k, v in kinds.items()}
        lowered = compile_train_step(step, devices).lower(state, batch, np.uint32(0))  # type: ignore[attr-defined]
    else:
        count = -(-len(splits.train) // devices.count) * devices.count
        resident = Resident(
            shape(np.uint8, count, *splits.image_shape, spread=True), shape(np.int32, count, spread=True)
        )
        order = shape(np.int32, experiment.steps_per_epoch, config.batch_size)
        program = compile_resident_step(step, devices, steps)
        lowered = program.lower(state, resident, order, np.uint32(0))  # type: ignore[attr-defined]
    return lowered.compile(), state


def steps_per_call(experiment: Experiment) -> int:
    """How many steps one compiled call makes of resident data."""
    config, devices = experiment.config, experiment.devices
    if config.steps_per_call != "auto":
        return min(config.steps_per_call, experiment.steps_per_epoch)
    if devices.platform == "cpu":  # a convolution in a loop is slow there
        return 1
    # Enough work to hide what a call costs, and little enough to stop soon when asked to.
    work = 6 * experiment.table.multiply_adds * config.batch_size / devices.count
    return max(1, min(_MOST_STEPS_PER_CALL, experiment.steps_per_epoch, int(_OPERATIONS_PER_CALL / max(work, 1))))


def make_state(experiment: Experiment) -> Callable[[Any], TrainState]:
    """From a seed to the state before the first step; not compiled."""
    config = experiment.config
    return partial(
        init_state, experiment.model, experiment.optimizer, experiment.splits.image_shape,
        with_ema=config.ema_decay is not None,
        loss_scale=init_loss_scale() if config.precision == "float16" else None,
    )  # fmt: skip


def initial_state(experiment: Experiment) -> TrainState:
    """The state before the first step, made by one compiled call."""
    init = jax.jit(make_state(experiment), out_shardings=experiment.devices.replicated)
    state: TrainState = init(np.uint32(experiment.config.seed))
    return state


def read_start(experiment: Experiment) -> WarmStart | None:
    """What `init_from` gives, where it is set; raises InputError where it cannot give it."""
    config, splits = experiment.config, experiment.splits
    if config.init_from is None:
        return None
    return read_init_from(
        config.init_from, experiment.model, splits.image_shape, splits.class_names, experiment.normalization
    )


def _run(
    experiment: Experiment, workdir: Path, stop: StopSignals, started: float, start: WarmStart | None
) -> dict[str, Any]:
    config, splits = experiment.config, experiment.splits
    train_step, feed = make_training(experiment)
    eval_program = make_evaluation(experiment)
    held_out = [part for part in (splits.validation, splits.test) if part is not None]
    eval_batch_size = min(config.eval_batch_size, max(map(len, held_out), default=1))
    eval_batch_size += -eval_batch_size % experiment.devices.count

    def measure(examples: data.Split, variables: Any, between: Between) -> dict[str, float]:
        return evaluate(eval_program, variables, examples, eval_batch_size, between)

    with open_checkpoints(workdir / "checkpoints", config.checkpoint.keep) as checkpoints:
        state, progress = _resume(checkpoints, initial_state(experiment), workdir / "damaged")
        if start is not None:
            announce("\n".join(start.notes))
            state = warm_start(state, experiment.optimizer, start)
        before = progress.wall_seconds
        if int(state.step):
            announce(f"resuming from step {int(state.step)} (epoch {progress.epoch} of {config.num_epochs} done)")
        plan = Plan(
            train_step=train_step,
            feed=feed,
            evaluate=None if splits.validation is None else partial(measure, splits.validation),
            learning_rate=lambda step: float(str(np.float32(experiment.schedule(step)))),  # 0.1, not 0.10000000149
            steps_per_epoch=experiment.steps_per_epoch,
            num_epochs=config.num_epochs,
            patience=config.patience,
            checkpoint_every=config.checkpoint.every,
            checkpoint_unit=config.checkpoint.unit,
            metric=config.checkpoint.metric,
            wall_seconds=lambda: before + time.monotonic() - started,
            config=to_json(config),
            on_nonfinite=config.on_nonfinite,
            ask=hosts.ask(experiment.devices.mesh),
        )
        announce("compiling")
        if held_out:  # before there is anything to lose
            compile_evaluation(eval_program, state.variables, splits.image_shape, eval_batch_size // hosts.count())
        trackers = no_trackers()
        if hosts.lead():
            trackers = make_trackers(config.tracking.wandb, workdir, to_json(config), progress.epoch)
        try:
            state = train(state, progress, plan, checkpoints, trackers.log, stop)
            test = None
            if splits.test is not None:
                best = checkpoints.restore_best(state.variables)
                assert best is not None
                if progress.best is not None and best.step != progress.best["step"]:
                    progress.best = None  # it is damaged; so these are the weights of the end
                test = measure(splits.test, best.variables, Between(lambda: plan.ask(stop.received or 0), _leave_test))
                if not math.isfinite(test["loss"]):
                    raise NonFiniteError(f"the test loss became {test['loss']} with the weights of step {best.step}")
                trackers.log(int(state.step), {"epoch": progress.epoch, "split": "test", **test})
        except (Interrupted, NonFiniteError, SaveError):
            trackers.finish({})
            raise
    summary = _summary(experiment, progress, int(state.step), test, plan.wall_seconds())
    try:
        if hosts.lead():
            curves = reports.plot_curves(read_rows(workdir / "metrics.jsonl"), workdir / "plots" / "curves.png")
            trackers.log_artifact(curves)
            write_json(workdir / "summary.json", summary)
    except OSError as error:
        trackers.finish({})
        raise SaveError(
            f"{workdir}: the run is at its end, but its summary cannot be written ({error.strerror}); make room, or "
            f"make the folder writable, and run the same command again"
        ) from error
    trackers.finish(summary)
    return summary


def _leave_test(answer: int) -> None:
    if answer:
        raise Interrupted("stopped in the final evaluation; everything is saved", answer)


def _resume(checkpoints: Checkpoints, state: TrainState, aside: Path) -> tuple[TrainState, Progress]:
    restored = checkpoints.restore_last(state, aside)
    return (state, Progress()) if restored is None else (restored[0], Progress(**restored[1]))


def _summary(
    experiment: Experiment, progress: Progress, steps: int, test: Mapping[str, float] | None, wall_seconds: float
) -> dict[str, Any]:
    config = experiment.config
    best = progress.best
    return {
        **({f"test_{name}": value for name, value in test.items()} if test else {}),
        **({f"validation_{name}": value for name, value in best["metrics"].items()} if best else {}),
        "best_epoch": best["epoch"] if best else progress.epoch,
        "weights": progress.weights,
        "epochs": progress.epoch,
        "steps": steps,
        "skipped_images": len(experiment.splits.skipped),
        "skipped_steps": progress.skipped_steps,
        "stopped_early": progress.epoch < config.num_epochs,
        "parameters": experiment.table.parameters,
        "devices": {
            "count": experiment.devices.count,
            "kind": experiment.devices.kind,
            "hosts": hosts.count(),
        },
        "seed": config.seed,
        "wall_seconds": round(wall_seconds, 3),
        "images_per_second": round(progress.timed_examples / max(progress.timed_seconds, 1e-9), 1),
    }
