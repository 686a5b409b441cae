"""What training would take on machines that are not at hand: arithmetic on the back of an envelope, not a measurement."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from cnn_jax.benchmarks.timing import Settings
from cnn_jax.config import load_config
from cnn_jax.models import make_model, make_table
from cnn_jax.optimizers import make_optimizer

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
      share_of_peak: of a device's operations, that convolutions, their memory traffic and everything between them leave.
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
class Estimate:
    """Rates per second of the whole machine, bytes, and hours for all epochs.

    `memory` is what a device holds: state, gradients, and every layer's output for its part of a batch.
    """

    operations_an_image: float
    images: float
    hours: float
    read: float
    decoding_cores: float
    checkpoint: float
    memory: float


def estimate(config: ml_collections.ConfigDict, machine: Machine, assumed: Assumptions) -> Estimate:
    """The figures of a config with `data.image_size` on a machine; nothing is computed on a device."""
    shape = (*config.data.image_size, config.data.channels or 3)
    model = make_model(config.model, assumed.classes)
    table = make_table(model, shape)
    operations = _OPERATIONS * table.multiply_adds
    images = machine.devices * machine.peak * assumed.share_of_peak / operations
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *shape))))
    optimizer = make_optimizer(config.optimizer, lambda base: lambda step: base)
    copies = 1 if config.ema_decay is None else 2
    state = copies * _bytes(variables) + _bytes(jax.eval_shape(optimizer.init, variables["params"]))
    outputs = sum(math.prod(layer.output_shape) for layer in table.layers)
    size = {"float64": 8, "float32": 4}.get(config.precision, 2)
    on_device = config.batch_size / machine.devices / config.accumulate_steps
    return Estimate(
        operations_an_image=operations,
        images=images,
        hours=config.num_epochs * assumed.examples / images / 3600,
        read=images * assumed.image_bytes,
        decoding_cores=images * assumed.decoding_ms / 1000,
        checkpoint=state,
        memory=state + _bytes(variables["params"]) + on_device * outputs * size,
    )


def measure_envelope(settings: Settings) -> list[dict[str, Any]]:
    """A table for each config that says `data.image_size`."""
    configs = {path: load_config(path) for path in settings.configs}
    return [_table(path, config, Assumptions()) for path, config in configs.items() if config.data.image_size]


def _table(path: str, config: ml_collections.ConfigDict, assumed: Assumptions) -> dict[str, Any]:
    estimates = [(machine, estimate(config, machine, assumed)) for machine in MACHINES]
    operations = estimates[0][1].operations_an_image
    return {
        "title": (
            f"{path}: {operations / 1e9:.1f} billion operations an image, {config.num_epochs} epochs of "
            f"{assumed.examples:,} images, ASSUMING {assumed.share_of_peak:.0%} of peak, {assumed.image_bytes / 1e3:.0f} kB "
            f"and {assumed.decoding_ms:g} ms of a core an image"
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


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
