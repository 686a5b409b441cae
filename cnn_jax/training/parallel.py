"""How the pure steps are compiled and where their arrays live. One device for now; the steps know nothing of it."""

from collections.abc import Callable
from typing import Any

import jax

from cnn_jax.data.resident import Resident, take
from cnn_jax.training.state import TrainState
from cnn_jax.training.step import Batch, Sums

TrainStep = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Sums]]


def compile_train_step(train_step: TrainStep) -> TrainStep:
    """(state, batch, seed) -> (state, sums), with the old state's memory reused."""

    def program(state: TrainState, batch: Batch, seed: jax.Array) -> tuple[TrainState, Sums]:
        return _as_steps(train_step(state, batch, seed))

    return jax.jit(program, donate_argnums=0)


def compile_resident_step(
    train_step: TrainStep,
) -> Callable[[TrainState, Resident, jax.Array, jax.Array], tuple[TrainState, Sums]]:
    """(state, data, order, seed) -> (state, sums), with the batch gathered inside and the old state's memory reused.

    `order` is an epoch's [steps, batch_size] of indices; the state's step says which row is next.
    """

    def program(
        state: TrainState, data: Resident, order: jax.Array, seed: jax.Array
    ) -> tuple[TrainState, Sums]:  # the data are arguments: what a program closes over is folded into it as constants
        index = order[state.step % order.shape[0]]
        return _as_steps(train_step(state, take(data, index), seed))

    return jax.jit(program, donate_argnums=0)


def _as_steps(result: tuple[TrainState, Sums]) -> tuple[TrainState, Sums]:
    """The sums with a leading axis: the steps of the call."""
    state, sums = result
    return state, {name: value[None] for name, value in sums.items()}


def compile_eval_step(eval_step: Callable[[Any, Batch], Sums]) -> Callable[[Any, Batch], Sums]:
    return jax.jit(eval_step)
