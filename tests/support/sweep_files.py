"""Sweep files that are right but for what a test changes, and the line with which a wrong one is refused."""

from pathlib import Path
from typing import Any

import yaml

from cnn_jax.tuning.sweeps.file import check_against_config, read_sweep
from tests.support.helpers import refusal

RATE = "config.optimizer.learning_rate"
VALID: dict[str, Any] = {
    "program": "scripts/train.py",
    "method": "random",
    "metric": {"name": "validation_accuracy", "goal": "maximize"},
    "parameters": {RATE: {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1}},
}
HYPERBAND = {"type": "hyperband", "min_iter": 3}


def write_text(path: Path, content: Any) -> Path:
    """A file of the text, or of the YAML of what is no text."""
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return path


def sweep_file(folder: Path, **changes: Any) -> Path:
    """A valid file with other values of some keys; None takes a key out."""
    content = {key: value for key, value in (VALID | changes).items() if value is not None}
    return write_text(folder / "sweep.yaml", content)


def sweep_refusal(path: Path) -> str:
    """The line with which a file is refused, as it is or against the config tree; it names the file once."""
    message = refusal(lambda: check_against_config(read_sweep(path), 20))
    assert message.startswith(str(path))
    assert message.count(str(path)) == 1
    return message
