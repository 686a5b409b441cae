"""Where everything meets: config, data, model, optimizer and steps go through the loop into a run directory."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np

from cnn_jax.cli.progress import announce
from cnn_jax.cli.signals import Shutdown, StopSignals
from cnn_jax.config.tree import load_config, to_json, validate
from cnn_jax.data.splits import Split
from cnn_jax.distributed import hosts
from cnn_jax.errors import Interrupted, NonFiniteError
from cnn_jax.experiment.compile import initial_state, make_evaluation, make_training, state_shapes
from cnn_jax.experiment.epoch_callbacks import make_after_epoch, make_update_averages, rate_factor
from cnn_jax.experiment.given_data import check_same_data, take_data
from cnn_jax.experiment.out_of_memory import explain_out_of_memory
from cnn_jax.experiment.probe import check_probe, with_probe
from cnn_jax.experiment.setup import Experiment, build
from cnn_jax.experiment.summary import make_summary, write_end
from cnn_jax.experiment.warm_start import WarmStart, read_start, warm_start
from cnn_jax.runs.checkpoints import Checkpoints, open_checkpoints
from cnn_jax.runs.directory import (
    check_resolved,
    check_summary,
    finished_summary,
    has_checkpoints,
    identity,
    open_run_directory,
    read_config,
)
from cnn_jax.tracking import check_packages, make_trackers, no_trackers
from cnn_jax.training.checkpointing import Checkpointer
from cnn_jax.training.evaluation import Fetch, compile_evaluation, evaluate
from cnn_jax.training.loop import Trainer
from cnn_jax.training.loop_state import LoopState, is_out_of_patience
from cnn_jax.training.metrics import majority_share
from cnn_jax.training.profile import profiled
from cnn_jax.training.program import Callback, LoopConfig, Program, WeightAveraging
from cnn_jax.training.requests import Request, Requests
from cnn_jax.training.state import TrainState

__all__ = ["Experiment", "build", "fit", "initial_state"]


def fit(
    config: ml_collections.ConfigDict | str | Path,
    workdir: str | Path,
    data: Any = None,
    *,
    validation: Any = None,
    test: Any = None,
    class_names: Sequence[str] | None = None,
    value_range: tuple[float, float] | None = None,
    callbacks: Sequence[Callback] = (),
    profile: int = 0,
    shutdown: Shutdown | None = None,
) -> dict[str, Any]:
    """Trains what the config describes in a run directory, and returns its summary.

    The same call on the same directory resumes; on a finished run it returns the summary and does nothing. A run may be
    made longer: by a larger `num_epochs`, and by a larger `patience` where it stopped early. The test split is touched
    once, at the end, with the best weights; by a fold of a cross-validation (`data.folds`) not at all.

    Args:
      config: see `config.keys`; or a config file, or the name of one that comes along ("mnist_cnn").
      workdir: the run directory.
      data: the training data, in place of the config's: a folder; a tuple (images, labels); or an iterable of such
        batches. Images are [N, H, W] or [N, H, W, 1 or 3], uint8, or numbers in `value_range`; labels are [N], whole
        numbers or texts.
      validation, test: likewise; where they are missing, the config's shares are taken from the training data.
      class_names: K names, where labels are 0..K-1.
      value_range: (black, white) of images that are not uint8.
      callbacks: each is called with an `EpochEnd` after every epoch (on all hosts); True ends the training there.
      profile: how many compiled calls of the training step to trace into WORKDIR/profile.
      shutdown: of a script, which ends on signals by itself; it learns when something is unsaved.

    Raises:
      InputError: the config or the data cannot work, or the directory belongs to another config or other data.
      Interrupted: SIGINT or SIGTERM; everything is saved.
      NonFiniteError: the loss is NaN or infinite; the last good checkpoint is kept.
      SaveError: the disk is full or cannot be written; the last whole checkpoint is kept.
    """
    config = validate(config) if isinstance(config, ml_collections.ConfigDict) else load_config(config)
    workdir, shutdown = Path(workdir), shutdown or Shutdown()
    given = {"train": data, "validation": validation, "test": test}
    config, source = take_data(config, given, class_names, value_range)
    check_packages(config.tracking)
    started = time.monotonic()
    finished = finished_summary(config, workdir)
    if finished is not None:
        check_same_data(workdir, source)
        check_summary(workdir, finished)
        announce(f"{workdir} holds the finished run of this config: nothing to do")
        return finished
    begun = has_checkpoints(workdir)
    began = read_config(workdir)[1] if begun else {}
    hosts.assert_equal(
        "the config", json.dumps([to_json(config), began]), f"another config, or sees another {workdir},"
    )
    experiment = build(config, began.get("loading"), source)
    check_probe(experiment)
    start = None if begun else read_start(experiment)
    with StopSignals() as stop:
        return _train(experiment, workdir, stop, shutdown, started, profile, start, callbacks)


def _train(
    experiment: Experiment, workdir: Path, stop: StopSignals, shutdown: Shutdown, started: float, profile: int,
    start: WarmStart | None, callbacks: Sequence[Callback],
) -> dict[str, Any]:  # fmt: skip
    """Opens the run directory, and runs there."""
    config = experiment.config
    if has_checkpoints(workdir):  # nothing is written before one of them has been read
        check_resolved(workdir, config, experiment.resolved)
    else:
        _write_directory(experiment, workdir)
    announce(experiment.describe())
    try:
        with explain_out_of_memory(config):
            return _run(experiment, workdir, stop, shutdown, started, profile, start, callbacks)
    except NonFiniteError as error:
        with open_checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
            last = checkpoints.last()
        kept = "no epoch had been finished" if last is None else f"the checkpoint of step {last} is kept"
        raise NonFiniteError(f"{error}; {kept} in {workdir}") from None


def _write_directory(experiment: Experiment, workdir: Path) -> None:
    """Says in the run directory what runs there, on one host; then all know that it is the same directory."""
    with hosts.primary_first("the run directory"):
        if hosts.is_primary():
            open_run_directory(workdir, experiment.config, experiment.resolved)
    hosts.assert_equal("the run directory", identity(workdir), f"another {workdir} (all must share it)")


def _run(
    experiment: Experiment, workdir: Path, stop: StopSignals, shutdown: Shutdown, started: float, profile: int,
    start: WarmStart | None, callbacks: Sequence[Callback],
) -> dict[str, Any]:  # fmt: skip
    config, splits = experiment.config, experiment.splits
    train_step, feed = make_training(experiment)
    measure, warm_up = _make_measure(experiment, make_evaluation(experiment))
    requests = Requests(stop, hosts.max_over_hosts(experiment.devices.mesh))
    begun = has_checkpoints(workdir)
    with (
        open_checkpoints(workdir / "checkpoints", config.checkpoint.keep) as checkpoints,
        profiled(train_step, workdir / "profile", profile) as train_step,
    ):
        state, loop_state = _begin(experiment, checkpoints, workdir, start)
        if begun:
            _write_directory(experiment, workdir)
        before = loop_state.wall_seconds

        def wall_seconds() -> float:
            return before + time.monotonic() - started

        program = _make_program(experiment, train_step, feed, measure, callbacks)
        announce("compiling")
        warm_up(state.variables)  # before there is anything to lose
        trackers = no_trackers()
        if hosts.is_primary():
            trackers = make_trackers(workdir, to_json(config), loop_state.epoch, shutdown)
        checkpointer = Checkpointer(checkpoints, loop_state, wall_seconds, to_json(config), program.learning_rate)
        try:
            state = Trainer(
                state, loop_state, _loop_config(experiment), program, checkpointer, requests, trackers.log, shutdown
            ).train()
            test = None
            if splits.test is not None and config.data.folds is None:  # a fold serves to choose
                fetch = partial(_fetch_or_leave, requests)
                test = _test(checkpoints, state, loop_state, partial(measure, splits.test, fetch=fetch))
                trackers.log(int(state.step), {"epoch": loop_state.epoch, "split": "test", **test})
        except Exception:
            trackers.finish({})
            raise
    summary = make_summary(experiment, loop_state, int(state.step), test, wall_seconds())
    write_end(experiment, workdir, trackers, summary)
    return summary


def _loop_config(experiment: Experiment) -> LoopConfig:
    config, splits = experiment.config, experiment.splits
    held_out = splits.validation
    return LoopConfig(
        steps_per_epoch=experiment.steps_per_epoch,
        num_epochs=config.num_epochs,
        patience=config.patience,
        metric=config.checkpoint.metric,
        on_nonfinite=config.on_nonfinite,
        checkpoint_every=config.checkpoint.every,
        checkpoint_unit=config.checkpoint.unit,
        averaging=WeightAveraging() if config.swa_start is None else WeightAveraging("swa", config.swa_start),
        evaluates_start=config.head_init == "linear_probe" or config.num_epochs == 0,
        majority_share=None if held_out is None else majority_share(splits.train.labels, held_out.labels),
    )


def _make_program(
    experiment: Experiment, train_step: Callable[..., Any], feed: Callable[..., Any], measure: Callable[..., Any],
    callbacks: Sequence[Callback],
) -> Program:  # fmt: skip
    validation = experiment.splits.validation
    schedule = jax.jit(experiment.schedule)  # else each of its operations would be a program
    return Program(
        train_step=train_step,
        feed=feed,
        evaluate=None if validation is None else partial(measure, validation),
        learning_rate=lambda step, state: _short(float(schedule(step)) * rate_factor(state)),
        update_averages=make_update_averages(experiment),
        after_epoch=make_after_epoch(experiment),
        callbacks=tuple(callbacks),
    )


def _short(rate: float) -> float:
    """0.1, not 0.10000000149, where a rate was computed in float32."""
    return float(str(np.float32(rate)))


def _make_measure(experiment: Experiment, program: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(split, variables, fetch) -> its metrics; and what compiles that, from variables."""
    config, splits, devices = experiment.config, experiment.splits, experiment.devices
    held_out = [part for part in (splits.validation, splits.test) if part is not None]
    batch_size = min(config.eval_batch_size, max(map(len, held_out), default=1))
    batch_size += -batch_size % devices.count

    def measure(examples: Split, variables: Any, fetch: Fetch) -> dict[str, float]:
        return evaluate(program, variables, examples, batch_size, fetch)

    def warm_up(variables: Any) -> None:
        if held_out:
            compile_evaluation(program, variables, splits.image_shape, batch_size // hosts.count())

    return measure, warm_up


def _begin(
    experiment: Experiment, checkpoints: Checkpoints, workdir: Path, start: WarmStart | None
) -> tuple[TrainState, LoopState]:
    """Where the run goes on, or its beginning."""
    config = experiment.config
    restored = checkpoints.restore_last(state_shapes(experiment), workdir / "damaged")
    if restored is not None:
        state, loop_state = restored[0], LoopState(**restored[1])
        announce(f"resuming from step {int(state.step)} (epoch {loop_state.epoch} of {config.num_epochs} done)")
        if loop_state.epoch < config.num_epochs and is_out_of_patience(loop_state, config.patience):
            announce(
                f"the run stopped early, after epoch {loop_state.epoch}: {config.patience} epochs without a better "
                f"{config.checkpoint.metric}; a larger patience goes on, as in --config.patience={2 * config.patience}"
            )
        return state, loop_state
    state, start = initial_state(experiment), start or read_start(experiment)
    if start is not None:
        start = with_probe(experiment, start, state.params["head"])
        announce("\n".join(start.notes))
        state = warm_start(state, experiment.optimizer, start)
    return state, LoopState()


def _test(
    checkpoints: Checkpoints, state: TrainState, loop_state: LoopState, measure: Callable[..., dict[str, float]]
) -> dict[str, float]:
    """The one look at the test split, with the best weights."""
    best = checkpoints.restore_best(state.variables)
    assert best is not None
    if loop_state.best is not None and best.step != loop_state.best["step"]:
        loop_state.best = None  # it is damaged; so these are the weights of the end
    test = measure(variables=best.variables)
    if not math.isfinite(test["loss"]):
        raise NonFiniteError(f"the test loss became {test['loss']} with the weights of step {best.step}")
    return test


def _fetch_or_leave(requests: Requests, values: Iterable[Any]) -> Iterator[Any]:
    """The values on the host; raises Interrupted as soon as all hosts agreed to stop."""
    for value in requests.fetch(values):
        if requests.agreed is Request.STOP:
            assert requests.stop_signal is not None
            raise Interrupted("stopped in the final evaluation; everything is saved", requests.stop_signal)
        yield value
