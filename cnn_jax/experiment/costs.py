"""What a training step takes, by the compiler's own account: parameters, operations, and the memory of each device."""

import dataclasses
from typing import Any

import jax

from cnn_jax.experiment.compile import compile_training, steps_per_call
from cnn_jax.experiment.setup import Experiment
from cnn_jax.runtime.sizes import tree_bytes


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
    return compile_with_costs(experiment)[1]


def compile_with_costs(experiment: Experiment) -> tuple[jax.stages.Compiled, Costs]:
    """`measure_costs`, and the program, which makes `steps_per_call` steps."""
    compiled, state = compile_training(experiment, steps_per_call(experiment))
    memory: Any = compiled.memory_analysis()
    results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    costs = Costs(
        parameters=experiment.table.parameters,
        operations=6 * experiment.table.multiply_adds * experiment.config.batch_size,
        state=tree_bytes(state),
        arguments=memory.argument_size_in_bytes,
        temporary=memory.temp_size_in_bytes,
        peak=memory.argument_size_in_bytes + memory.temp_size_in_bytes + max(results, 0),
    )
    return compiled, costs
