"""What training would take on machines that are not at hand: arithmetic on the back of an envelope."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from benchmarks.timing import Settings
from cnn_jax.config.tree import load_config
from cnn_jax.models import make_model, make_table
from cnn_jax.optimization.optimizers import make_optimizer
from cnn_jax.runtime.sizes import tree_bytes

# The backward pass takes twice the forward pass; a multiply-add is two operations.
_OPERATIONS = 3 * 2


@dataclasses.dataclass(frozen=True)
class Machine:
    """Devices by their data sheet: dense bfloat16 operations a second (no sparsity) and bytes of memory, of each."""

    name: str
    devices: int
    peak: float
    memory: float


MACHINES = (
    Machine("1 x A100 SXM 80 GB", 1, 312e12, 80e9),
    Machine("8 x A100 SXM 80 GB", 8, 312e12, 80e9),
    Machine("1 x H100 SXM", 1, 989e12, 80e9),
    Machine("8 x H100 SXM", 8, 989e12, 80e9),
    Machine("8 x TPU v5e", 8, 197e12, 16e9),
    Machine("32 x TPU v5e", 32, 197e12, 16e9),
)


@dataclasses.dataclass(frozen=True)
class Assumptions:
    """What is not counted but assumed.

    Attributes:
      share_of_peak: of a device's operations, what memory traffic and everything beside convolutions leave of them.
      image_bytes: of an encoded picture. 110 kB: ImageNet's 138 GB by its number of pictures.
      decoding_ms: of one core for one picture; `scripts/benchmark.py --only=data --photos=DIR` measures it.
      examples, classes: of the data. Defaults: ImageNet-1k.
    """

    share_of_peak: float = 0.2
    image_bytes: float = 110e3
    decoding_ms: float = 3.0
    examples: int = 1_281_167
    classes: int = 1000


@dataclasses.dataclass(frozen=True)
class Counts:
    """What is counted of a config: operations to train on one image, and bytes of what is kept.

    `outputs` are those of all layers for one image; `state` is what a checkpoint holds.
    """

    operations: int
    parameters: int
    state: int
    outputs: int


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Rates per second of the whole machine, bytes, and hours for all epochs.

    `memory` is what a device holds: state, gradients, and every layer's output for its part of a batch.
    """

    images: float
    hours: float
    read: float
    decoding_cores: float
    checkpoint: float
    memory: float


def count(config: ml_collections.ConfigDict, classes: int) -> Counts:
    """The counts of a config with `data.image_size`; nothing is computed on a device."""
    shape = (*config.data.image_size, config.data.channels or 3)
    model = make_model(config.model, classes)
    table = make_table(model, shape)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *shape))))
    optimizer = make_optimizer(config.optimizer, lambda base: lambda step: base)
    copies = 1 if config.ema_decay is None and config.swa_start is None else 2
    size = {"float64": 8, "float32": 4}.get(config.precision, 2)
    return Counts(
        operations=_OPERATIONS * table.multiply_adds,
        parameters=tree_bytes(variables["params"]),
        state=copies * tree_bytes(variables) + tree_bytes(jax.eval_shape(optimizer.init, variables["params"])),
        outputs=size * sum(math.prod(layer.output_shape) for layer in table.layers),
    )


def estimate(config: ml_collections.ConfigDict, counts: Counts, machine: Machine, assumed: Assumptions) -> Estimate:
    """The figures of a config on a machine."""
    images = machine.devices * machine.peak * assumed.share_of_peak / counts.operations
    on_device = config.batch_size / machine.devices / config.accumulate_steps
    return Estimate(
        images=images,
        hours=config.num_epochs * assumed.examples / images / 3600,
        read=images * assumed.image_bytes,
        decoding_cores=images * assumed.decoding_ms / 1000,
        checkpoint=counts.state,
        memory=counts.state + counts.parameters + on_device * counts.outputs,
    )


def measure_envelope(settings: Settings) -> list[dict[str, Any]]:
    """A table for each config that says `data.image_size`."""
    configs = {path: load_config(path) for path in settings.chosen()}
    return [_table(path, config, Assumptions()) for path, config in configs.items() if config.data.image_size]


def _table(path: str, config: ml_collections.ConfigDict, assumed: Assumptions) -> dict[str, Any]:
    counts = count(config, assumed.classes)
    estimates = [(machine, estimate(config, counts, machine, assumed)) for machine in MACHINES]
    return {
        "title": (
            f"{path}: {counts.operations / 1e9:.1f} billion operations an image, {config.num_epochs} epochs of "
            f"{assumed.examples:,} images; ASSUMED: {assumed.share_of_peak:.0%} of peak, "
            f"{assumed.image_bytes / 1e3:.0f} kB and {assumed.decoding_ms:g} ms of a core an image"
        ),
        "columns": [
            "machine", "images/s", "hours", "MB/s of files", "decoding cores", "checkpoint MB", "GB a device", "of",
        ],
        "rows": [
            [
                machine.name, round(each.images), round(each.hours, 1), round(each.read / 1e6),
                math.ceil(each.decoding_cores), round(each.checkpoint / 1e6), round(each.memory / 1e9, 1),
                round(machine.memory / 1e9),
            ]
            for machine, each in estimates
        ],
    }  # fmt: skip
