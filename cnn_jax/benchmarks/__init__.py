"""What things cost on this machine: a table of benchmarks by name, each a function that returns JSON values."""

from collections.abc import Callable, Iterator
from typing import Any

import jax

from cnn_jax.benchmarks.augment import measure_augment
from cnn_jax.benchmarks.cifar10 import measure_cifar10
from cnn_jax.benchmarks.data import measure_data
from cnn_jax.benchmarks.envelope import measure_envelope
from cnn_jax.benchmarks.growth import measure_growth
from cnn_jax.benchmarks.inference import measure_inference
from cnn_jax.benchmarks.mnist import measure_mnist
from cnn_jax.benchmarks.start import measure_start
from cnn_jax.benchmarks.steps import measure_steps
from cnn_jax.benchmarks.timing import Settings
from cnn_jax.errors import InputError
from cnn_jax.progress import announce

Tables = list[dict[str, Any]]

# settings -> {"title": text, "columns": [text], "rows": [[text or number]], ...} of one or more tables
BENCHMARKS: dict[str, Callable[[Settings], Tables]] = {
    "augment": measure_augment, "data": measure_data, "envelope": measure_envelope,
    "steps": measure_steps, "inference": measure_inference, "growth": measure_growth,
    "start": measure_start, "mnist": measure_mnist, "cifar10": measure_cifar10,
}  # fmt: skip


def measure(settings: Settings, only: str | None) -> Iterator[tuple[str, Tables]]:
    """The tables of one benchmark; or of all of them, less those that cannot be made on this machine.

    To train on CIFAR-10 takes hours on a CPU: there it is only done where it is asked for.
    """
    usual = [name for name in BENCHMARKS if name != "cifar10" or jax.default_backend() != "cpu"]
    for name in [only] if only else usual:
        try:
            yield name, BENCHMARKS[name](settings)
        except InputError as error:  # most likely data that are not at hand
            if only:
                raise
            announce(f"{name} is left out: {error}")
