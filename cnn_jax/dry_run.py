"""What a training step would take, without taking it: parameters, operations, and the memory of each device."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from cnn_jax.building import Experiment, build
from cnn_jax.experiment import memory_said, read_start
from cnn_jax.programs import compile_training, steps_per_call


@dataclasses.dataclass(frozen=True)
class Costs:
    """Of one compiled call of the training program; bytes and operations are those of one device.

    Attributes:
      parameters: of the model.
      operations: floating-point operations of a training step, all devices together, counted from the layers: 2 for a
        multiply-add, forward once and backward twice.
      state: bytes of parameters, statistics, optimizer state and averages.
      arguments: bytes of all that goes in: state, data and the order of the examples, or a batch.
      temporary: bytes of what is alive in between, activations above all.
      peak: arguments + temporary + results that do not take the place of arguments.
    """

    parameters: int
    operations: int
    state: int
    arguments: int
    temporary: int
    peak: int


def measure_costs(experiment: Experiment) -> Costs:
    """Compiles the training program for this machine's devices; nothing runs, no data are moved.

    Raises:
      JaxRuntimeError: the compiler itself finds that the devices have not so much memory.
    """
    compiled, state = compile_training(experiment, steps_per_call(experiment))
    memory: Any = compiled.memory_analysis()
    results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    return Costs(
        parameters=experiment.table.parameters,
        operations=6 * experiment.table.multiply_adds * experiment.config.batch_size,
        state=_bytes(state),
        arguments=memory.argument_size_in_bytes,
        temporary=memory.temp_size_in_bytes,
        peak=memory.argument_size_in_bytes + memory.temp_size_in_bytes + max(results, 0),
    )


def describe_costs(config: ml_collections.ConfigDict) -> str:
    """The costs as lines for people; raises InputError where the compiler finds that there is too little memory."""
    experiment = build(config)
    read_start(experiment)  # for what it refuses
    with memory_said(experiment.config):
        costs = measure_costs(experiment)
    config, devices = experiment.config, experiment.devices
    calls = steps_per_call(experiment)
    settings = [config.precision, f"remat {config.remat}", f"{config.accumulate_steps} parts a batch"]
    rows = {
        "devices": f"{devices.count} ({devices.kind}), {config.parallel.strategy}",
        "batch": f"{config.batch_size} images of {'x'.join(map(str, experiment.splits.image_shape))}, "
        f"{config.batch_size // devices.count} on each device; {', '.join(settings)}",
        "parameters": f"{costs.parameters:,}",
        "operations": f"{costs.operations / 1e9:,.1f} GFLOP a step "
        f"({experiment.table.multiply_adds:,} multiply-adds an image, forward)",
        "steps": f"{experiment.steps_per_epoch:,} an epoch, {experiment.steps_per_epoch * config.num_epochs:,} in all, "
        f"{calls} a call",
        "memory of each device": f"{_size(costs.peak)} at the peak: {_size(costs.arguments)} for what goes in "
        f"({_size(costs.state)} of it the state), {_size(costs.temporary)} in between",
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(tree))


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} GB"
