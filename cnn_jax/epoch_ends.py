"""What the end of an epoch brings beside an evaluation: averages of the weights."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from cnn_jax.building import Experiment
from cnn_jax.programs import make_statistics
from cnn_jax.training.averages import enter_average
from cnn_jax.training.evaluation import Between, lagging
from cnn_jax.training.plan import Averages
from cnn_jax.training.state import TrainState


def make_averages(experiment: Experiment) -> Averages:
    """The averages that a config asks for, for the loop."""
    config = experiment.config
    return Averages() if config.swa_start is None else _make_swa(experiment, config.swa_start)


def _make_swa(experiment: Experiment, first_epoch: int) -> Averages:
    """Equal averages of the weights that epochs from `first_epoch` on end with.

    How many they are follows from the epoch's number, and the pass for BatchNorm's statistics sees the batches of the
    epoch that ends: so a run that goes on from any checkpoint makes the same averages.
    """
    steps = experiment.steps_per_epoch
    replicated = experiment.devices.replicated
    enter = jax.jit(enter_average, out_shardings=replicated)
    copy = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf.copy(), tree), out_shardings=replicated)
    program, feed = make_statistics(experiment)

    def update(state: TrainState, epoch: int, between: Between) -> TrainState:
        if epoch < first_epoch:
            return state
        params = enter(state.ema["params"], state.params, np.int32(epoch - first_epoch))
        if not state.batch_stats:
            return dataclasses.replace(state, ema={"params": params, "batch_stats": {}})
        first = (epoch - 1) * steps
        # The program reuses the memory of what it is given.
        start = TrainState(jax.device_put(np.int32(first), replicated), params, copy(state.batch_stats), ())
        last = [start]

        def calls() -> Iterator[tuple[Any, Any]]:
            with feed(first, first + steps) as works:
                for work, _ in works:
                    last[0], sums = program(last[0], work)
                    yield sums, between.ask()

        for _, answer in lagging(calls()):
            between.act(int(answer))
        return dataclasses.replace(state, ema={"params": last[0].params, "batch_stats": last[0].batch_stats})

    return Averages("swa", first_epoch, update)
