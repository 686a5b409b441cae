"""What things cost on this machine: a table of benchmarks by name, each a function that returns JSON values."""

from collections.abc import Callable
from typing import Any

import jax

from cnn_jax.benchmarks.augment import measure_augment
from cnn_jax.benchmarks.cifar10 import measure_cifar10
from cnn_jax.benchmarks.data import measure_data
from cnn_jax.benchmarks.envelope import measure_envelope
from cnn_jax.benchmarks.steps import measure_steps
from cnn_jax.benchmarks.timing import Settings

# settings -> {"title": text, "columns": [text], "rows": [[text or number]], ...} of one or more tables
BENCHMARKS: dict[str, Callable[[Settings], list[dict[str, Any]]]] = {
    "augment": measure_augment, "cifar10": measure_cifar10, "data": measure_data, "envelope": measure_envelope,
    "steps": measure_steps,
}  # fmt: skip


def usual_benchmarks() -> list[str]:
    """All of them; on a CPU without `cifar10`, which would train for hours there."""
    return [name for name in BENCHMARKS if name != "cifar10" or jax.default_backend() != "cpu"]
