"""What the end of an epoch brings beside an evaluation: averages of the weights, and a rate that follows a metric."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from cnn_jax.cli.progress import announce
from cnn_jax.experiment.compile import make_statistics
from cnn_jax.experiment.setup import Experiment
from cnn_jax.optimization.schedules import PlateauState, plateau_arguments, plateau_step
from cnn_jax.training.evaluation import Fetch
from cnn_jax.training.state import TrainState
from cnn_jax.training.swa import update_average


def make_update_averages(experiment: Experiment) -> Callable[[TrainState, int, Fetch], TrainState]:
    """For the loop: with `swa_start`, equal averages of the weights that epochs from that one on end with.

    How many they are follows from the epoch's number, and the pass for BatchNorm's statistics sees the batches of the
    epoch that ends: so a run that goes on from any checkpoint makes the same averages.
    """
    first_epoch, steps = experiment.config.swa_start, experiment.steps_per_epoch
    if first_epoch is None:
        return lambda state, epoch, fetch: state
    replicated = experiment.devices.replicated
    enter = jax.jit(update_average, out_shardings=replicated)
    copy = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf.copy(), tree), out_shardings=replicated)
    program, feed = make_statistics(experiment)

    def update(state: TrainState, epoch: int, fetch: Fetch) -> TrainState:
        if epoch < first_epoch:
            return state
        params = enter(state.ema["params"], state.params, np.int32(epoch - first_epoch))
        if not state.batch_stats:
            return dataclasses.replace(state, ema={"params": params, "batch_stats": {}})
        first = (epoch - 1) * steps
        # The program reuses the memory of what it is given.
        start = TrainState(jax.device_put(np.int32(first), replicated), params, copy(state.batch_stats), ())
        last = [start]

        def calls() -> Iterator[Any]:
            with feed(first, first + steps) as batches:
                for batch, _ in batches:
                    last[0], sums = program(last[0], batch)
                    yield sums

        for _ in fetch(calls()):
            pass
        return dataclasses.replace(state, ema={"params": last[0].params, "batch_stats": last[0].batch_stats})

    return update


def make_after_epoch(
    experiment: Experiment,
) -> Callable[[TrainState, Mapping[str, Mapping[str, float]]], TrainState]:
    """For the loop: what a schedule makes of an epoch's metrics; nothing, but for ReduceLROnPlateau.

    The metrics are the same on all hosts, and so is what each of them computes here. Values count as float32, which is
    how the best of them is kept in the optimizer's state, and are compared in float64, as PyTorch does.
    """
    arguments, base = plateau_arguments(experiment.config.schedule), experiment.config.optimizer.learning_rate
    if arguments is None:
        return lambda state, metrics: state
    split, _, name = arguments["metric"].partition("_")

    def after_epoch(state: TrainState, metrics: Mapping[str, Mapping[str, float]]) -> TrainState:
        kept = state.opt_state.plateau
        before = jax.tree.map(lambda leaf: np.float64(leaf) if leaf.dtype.kind == "f" else leaf, jax.device_get(kept))
        after = plateau_step(before, np.float64(np.float32(metrics[split][name])), arguments, base)
        if np.float32(after.factor) < before.factor:  # min_lr may be met but for its rounding
            epochs = f"{arguments['patience'] + 1} epochs" if arguments["patience"] else "an epoch"
            relative = arguments["threshold_mode"] == "rel"
            least = f"{100 * arguments['threshold']:g} %" if relative else f"{arguments['threshold']:g}"
            announce(
                f"{arguments['metric']} has not become better than {before.best:.4g} by {least} for {epochs}: "
                f"the learning rate falls from {base * before.factor:.3g} to {base * after.factor:.3g}"
            )
        plateau = jax.tree.map(lambda new, old: jax.device_put(np.asarray(new, old.dtype), old.sharding), after, kept)
        return dataclasses.replace(state, opt_state=state.opt_state._replace(plateau=plateau))

    return after_epoch


def rate_factor(state: TrainState) -> float:
    """By how much ReduceLROnPlateau has lowered the rates; 1 without it."""
    plateau = getattr(state.opt_state, "plateau", ())
    return float(jax.device_get(plateau.factor)) if isinstance(plateau, PlateauState) else 1.0
