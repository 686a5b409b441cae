"""What things cost on this machine: a table of benchmarks by name, each a function that returns JSON values."""

from collections.abc import Callable
from typing import Any

from cnn_jax.benchmarks.augment import measure_augment

# (configs, rounds) -> {"title": text, "columns": [text], "rows": [[text or number]], ...} of one or more tables
BENCHMARKS: dict[str, Callable[[list[str], int], list[dict[str, Any]]]] = {"augment": measure_augment}
