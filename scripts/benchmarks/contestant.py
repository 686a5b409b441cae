"""Calls of a network's programs, in a process of its own: of this package, or of plain Flax.

    main (cnn_jax | flax) NETWORK HEIGHTxWIDTHxCHANNELS CALLS [KEY=VALUE ...]

CALLS, with commas: "train:BATCH", a step on a batch on the device (of this package, of the first call's size);
"evaluate:BATCH" and "predict:BATCH", from uint8 images on the host to sums or logits there. KEY=VALUE: keys of this
package's config. See `turns`.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from benchmarks.own_calls import make_call, make_inference_calls
from benchmarks.plain_flax import make_inference, make_step
from benchmarks.turns import Call, serve
from cnn_jax.config.overrides import parse_overrides
from cnn_jax.config.tree import default_config, override
from cnn_jax.experiment.costs import measure_costs
from cnn_jax.experiment.setup import build
from cnn_jax.runtime.allocator import keep_memory

RATE, MOMENTUM = 0.01, 0.9
Shape = tuple[int, int, int]
# the calls by name, what is to be said of the network, and the bytes that the training program takes
Ready = tuple[dict[str, Call], dict[str, Any], Callable[[], int | None]]


def make_config(network: str, batch: int, shape: Shape) -> ml_collections.ConfigDict:
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


def own_calls(network: str, shape: Shape, calls: list[tuple[str, int]], changes: list[str]) -> Ready:
    """Of this package's programs."""
    overrides = parse_overrides((key, value) for key, _, value in (word.partition("=") for word in changes))
    experiment = build(override(make_config(network, calls[0][1], shape), overrides))
    about = {"parameters": experiment.table.parameters, "multiply_adds": experiment.table.multiply_adds}
    kinds = {what for what, _ in calls}
    step = make_call(experiment) if "train" in kinds else None
    inference = make_inference_calls(experiment) if kinds != {"train"} else {}
    ready: dict[str, Call] = {}
    for what, batch in calls:
        if what == "train":
            assert step is not None
            ready[f"train:{batch}"] = partial(_finish, step)
        else:
            ready[f"{what}:{batch}"] = partial(inference[what], made_up_batch(batch, shape))
    return ready, about, lambda: measure_costs(experiment).peak if step else None


def flax_calls(network: str, shape: Shape, calls: list[tuple[str, int]], changes: list[str]) -> Ready:
    """Of programs in plain Flax and Optax."""
    begin, train = make_step(network, RATE, MOMENTUM)
    state = begin(jnp.zeros((1, *shape)))
    inference = make_inference(network)
    ready: dict[str, Call] = {}
    for what, batch in calls:
        arrays = made_up_batch(batch, shape)
        if what == "train":
            ready[f"train:{batch}"] = _training(train, state, jnp.asarray(arrays["image"] / np.float32(255)))
        else:
            ready[f"{what}:{batch}"] = partial(inference[what], state, arrays)
    return ready, {"parameters": sum(leaf.size for leaf in jax.tree.leaves(state[0]))}, lambda: None


def made_up_batch(count: int, shape: Shape) -> dict[str, np.ndarray]:
    """Noise with labels, as evaluation takes it."""
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    index = np.arange(count, dtype=np.int32)
    return {"image": images, "label": index % 10, "index": index, "mask": np.ones(count, bool)}


def _training(train: Callable[..., Any], state: Any, images: jax.Array) -> Call:
    labels = jnp.arange(len(images)) % 10

    def step() -> None:
        nonlocal state
        state, loss = train(state, images, labels)
        _wait(loss)

    return step


def _finish(call: Callable[[], Any]) -> None:
    _wait(call())


def _wait(values: Any) -> None:
    jax.block_until_ready(values)


def main(kind: str, network: str, size: str, listed: str, *changes: str) -> None:
    if kind == "cnn_jax":
        keep_memory()  # as its scripts do
    height, width, channels = map(int, size.split("x"))
    calls = [(what, int(batch)) for what, batch in (each.split(":") for each in listed.split(","))]
    make = own_calls if kind == "cnn_jax" else flax_calls
    serve(*make(network, (height, width, channels), calls, list(changes)))


if __name__ == "__main__":
    main(*sys.argv[1:])
