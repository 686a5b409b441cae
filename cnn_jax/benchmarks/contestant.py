"""Training steps of a network, in a process of its own: of this package, or of plain Flax.

    python -m cnn_jax.benchmarks.contestant (cnn_jax | flax) NETWORK BATCH HEIGHT WIDTH CHANNELS

Says "ready" after the first steps; then, to each line of input, seconds, trains so long and answers the milliseconds
of a step.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from cnn_jax.allocator import keep_memory
from cnn_jax.benchmarks.own_step import make_call
from cnn_jax.benchmarks.plain_flax import make_step
from cnn_jax.building import build
from cnn_jax.config import default_config

RATE, MOMENTUM = 0.01, 0.9


def make_config(network: str, batch: int, shape: tuple[int, int, int]) -> ml_collections.ConfigDict:
    """The network on made-up images, with SGD, and nothing else."""
    config = default_config(model=network, optimizer="sgd", schedule="constant")
    config.data.source, config.data.examples = "synthetic", max(2 * batch, 32)
    config.data.image_size, config.data.channels = shape[:2], shape[2]
    config.data.validation = config.data.test = 0
    config.batch_size, config.optimizer.learning_rate, config.optimizer.momentum = batch, RATE, MOMENTUM
    config.parallel.devices = 1
    if network == "lenet5":
        config.model.activation, config.model.pooling = "relu", "max"
    elif network == "cnn":
        config.model.dropout = 0.0
    elif network == "resnet18":
        config.model.small_images = True
    return config


def own_step(network: str, batch: int, shape: tuple[int, int, int]) -> tuple[Callable[[], Any], int]:
    """A call that makes a step of this package's training program, and the number of parameters."""
    experiment = build(make_config(network, batch, shape))
    call = make_call(experiment)
    return lambda: call()["loss"], experiment.table.parameters


def flax_step(network: str, batch: int, shape: tuple[int, int, int]) -> tuple[Callable[[], Any], int]:
    """A call that makes a step of plain Flax and Optax, and the number of parameters."""
    begin, train = make_step(network, RATE, MOMENTUM)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(batch, *shape)).astype(np.float32))
    labels = jnp.arange(batch) % 10
    state = begin(images[:1])

    def step() -> Any:
        nonlocal state
        state, loss = train(state, images, labels)
        return loss

    return step, sum(leaf.size for leaf in jax.tree.leaves(state[0]))


def main(kind: str, network: str, batch: int, *shape: int) -> None:
    make = own_step if kind == "cnn_jax" else flax_step
    if kind == "cnn_jax":
        keep_memory()  # as its scripts do
    step, parameters = make(network, batch, (shape[0], shape[1], shape[2]))

    def train(seconds: float, least: int) -> float:
        start, steps = time.perf_counter(), 0
        while steps < least or time.perf_counter() - start < seconds:
            step().block_until_ready()
            steps += 1
        return (time.perf_counter() - start) / steps * 1e3

    train(0, 3)
    print("ready", parameters, jax.__version__, flush=True)
    for line in sys.stdin:
        print(train(float(line), 1), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
