"""Runs that are quick to make, for tests of their checkpoints."""

from pathlib import Path
from typing import Any

from tests.support.helpers import tiny_config

STEPS = 11  # an epoch of 1,438 digits in batches of 128


def small(**changes: Any) -> Any:
    """Softmax regression: quick to compile."""
    return tiny_config(
        **{"model__name": "linear", "data__validation": 0, "augment": (), "optimizer__learning_rate": 0.01, **changes}
    )


def steps_in(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())
