"""How the pure steps are spread over devices and compiled.

With `jit` and statistics of the whole batch there is one program: its batch is spread over the devices, and the
compiler finds out what they must tell each other. Otherwise each device runs the step on its own part of the batch, and
the step itself adds gradients and sums over the axis: under `shard_map`, or under `pmap`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax import lax
from jax.experimental import multihost_utils
from jax.sharding import PartitionSpec

from cnn_jax.data.feeding.device_dataset import DeviceDataset, gather_batch
from cnn_jax.distributed import hosts
from cnn_jax.runtime.devices import AXIS, Devices
from cnn_jax.training.state import TrainState
from cnn_jax.training.step import Batch, Sums

Options = dict[str, Any] | None  # of the compiler; pmap takes none
TrainStep = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Sums]]
_WHOLE, _PART = PartitionSpec(), PartitionSpec(AXIS)


def compile_train_step(
    train_step: TrainStep, devices: Devices, options: Options = None
) -> Callable[[TrainState, Batch, Any], tuple[TrainState, Sums]]:
    """(state, batch, seed) -> (state, sums [1]), with the old state's memory reused."""

    def program(state: TrainState, batch: Batch, seed: jax.Array) -> tuple[TrainState, Sums]:
        state, sums = train_step(state, batch, seed)
        return state, jax.tree.map(lambda value: value[None], sums)

    return _compile(program, devices, (_WHOLE, _PART, _WHOLE), options)


def compile_resident_step(
    train_step: TrainStep, devices: Devices, steps: int = 1, options: Options = None
) -> Callable[[TrainState, DeviceDataset, Any, Any], tuple[TrainState, Sums]]:
    """(state, data, order, seed) -> (state, sums [steps]), with the batches gathered inside.

    `order` is an epoch's [number of steps, batch_size] of indices; the state's step says which row is next.
    """

    def one(state: TrainState, data: DeviceDataset, order: jax.Array, seed: jax.Array) -> tuple[TrainState, Sums]:
        index = order[state.step % order.shape[0]]
        return train_step(state, _gather_batch(data, index, devices), seed)

    def program(
        state: TrainState, data: DeviceDataset, order: jax.Array, seed: jax.Array
    ) -> tuple[TrainState, Sums]:  # the data are arguments: what a program closes over is folded into it as constants
        if steps == 1:
            state, sums = one(state, data, order, seed)
            return state, jax.tree.map(lambda value: value[None], sums)
        return lax.scan(lambda now, _: one(now, data, order, seed), state, length=steps)

    return _compile(program, devices, (_WHOLE, _PART, _WHOLE, _WHOLE), options)


def compile_eval_step(
    eval_step: Callable[[Any, Batch], Sums], devices: Devices, options: Options = None
) -> Callable[[Any, Batch], Sums]:
    """(variables, batch) -> sums; one program for all devices, whatever the strategy of training."""
    shardings = (devices.replicated, devices.split)
    return jax.jit(
        eval_step, in_shardings=shardings, out_shardings=devices.replicated, compiler_options=options
    )  # fmt: skip


def map_parts(function: Callable[..., Any], devices: Devices) -> Callable[..., Any]:
    """(batch, *others) -> rows, done by each device for its own part of the batch, inside a program for all of them."""

    def mapped(batch: Any, *others: Any) -> Any:
        specs = (_PART, *(_WHOLE for _ in others))
        return jax.shard_map(function, mesh=devices.mesh, in_specs=specs, out_specs=_PART, check_vma=False)(
            batch, *others
        )

    return mapped


def _gather_batch(data: DeviceDataset, index: jax.Array, devices: Devices) -> Batch:
    if devices.axis is not None or devices.count == 1:
        return gather_batch(data, index, devices.axis)
    spread = jax.shard_map(
        partial(gather_batch, axis=AXIS), mesh=devices.mesh, in_specs=(_PART, _WHOLE), out_specs=_PART, check_vma=False
    )
    return spread(data, index)


def _compile(
    program: Callable[..., Any], devices: Devices, specs: tuple[PartitionSpec, ...], options: Options
) -> Callable[..., Any]:
    """Arguments are whole or in parts, as `specs` say; state and sums come out whole."""
    if devices.axis is None:
        shardings = tuple(devices.split if spec == _PART else devices.replicated for spec in specs)
        return jax.jit(
            program, in_shardings=shardings, out_shardings=devices.replicated, donate_argnums=0,
            compiler_options=options,
        )  # fmt: skip
    if devices.strategy == "jit":
        # check_vma would make gradients of whole parameters sums over the devices, and the step adds them itself.
        mapped = jax.shard_map(program, mesh=devices.mesh, in_specs=specs, out_specs=_WHOLE, check_vma=False)
        return jax.jit(mapped, donate_argnums=0, compiler_options=options)
    return _pmap(program, devices, specs)


def _pmap(program: Callable[..., Any], devices: Devices, specs: tuple[PartitionSpec, ...]) -> Callable[..., Any]:
    mapped = jax.pmap(
        program, axis_name=AXIS, in_axes=tuple(0 if spec == _PART else None for spec in specs), out_axes=None,
        devices=list(devices.mesh.devices.flat), donate_argnums=0,
    )  # fmt: skip

    if hosts.count() == 1:
        return mapped
    # What pmap gives back on several hosts is each host's own.
    return lambda *arguments: multihost_utils.host_local_array_to_global_array(mapped(*arguments), devices.mesh, _WHOLE)
