"""What things cost on this machine: a table of benchmarks by name, each a function that returns JSON values."""

from collections.abc import Callable, Iterator
from typing import Any

import jax

from benchmarks.augment import measure_augment
from benchmarks.cifar10 import measure_cifar10
from benchmarks.data import measure_data
from benchmarks.envelope import measure_envelope
from benchmarks.growth import measure_growth
from benchmarks.inference import measure_inference
from benchmarks.mnist import measure_mnist
from benchmarks.start import measure_start
from benchmarks.steps import measure_steps
from benchmarks.timing import Settings
from benchmarks.zoo import measure_zoo
from cnn_jax.cli.progress import announce
from cnn_jax.errors import InputError

Tables = list[dict[str, Any]]

# settings -> {"title": text, "columns": [text], "rows": [[text or number]], ...} of one or more tables
BENCHMARKS: dict[str, Callable[[Settings], Tables]] = {
    "augment": measure_augment, "data": measure_data, "envelope": measure_envelope,
    "steps": measure_steps, "inference": measure_inference, "growth": measure_growth,
    "start": measure_start, "mnist": measure_mnist, "cifar10": measure_cifar10,
    "zoo": measure_zoo,
}  # fmt: skip


def measure(settings: Settings, only: str | None) -> Iterator[tuple[str, Tables]]:
    """The tables of one benchmark; or of all of them, less those that cannot be made on this machine.

    To train on CIFAR-10 takes hours on a CPU: there it is only done where it is asked for, as the zoo is anywhere.
    """
    rare = {"zoo", *(["cifar10"] if jax.default_backend() == "cpu" else [])}
    usual = [name for name in BENCHMARKS if name not in rare]
    for name in [only] if only else usual:
        try:
            yield name, BENCHMARKS[name](settings)
        except InputError as error:  # most likely data that are not at hand
            if only:
                raise
            announce(f"{name} is left out: {error}")
