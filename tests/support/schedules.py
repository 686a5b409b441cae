"""Schedules by name, and what PyTorch's do."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_jax.config.tree import default_config, override
from tests.support.helpers import ROOT

BASE = 0.4
Curves = list[tuple[dict[str, Any], np.ndarray]]


def schedule_block(name: str, **arguments: Any) -> dict[str, Any]:
    """A validated `schedule` block; what is not given has its default."""
    config = default_config(schedule=name)
    config.optimizer.learning_rate = BASE
    config = override(config, [(f"schedule.{key}", value) for key, value in arguments.items()])
    return dict(config.schedule)


def read_curves(path: Path) -> Curves:
    with np.load(path, allow_pickle=False) as stored:
        return [(json.loads(str(name)), value) for name, value in zip(stored["names"], stored["values"], strict=True)]


def run_with_torch(tool: str, *arguments: str | Path) -> None:
    """Runs tests/tools/TOOL with torch, which is here or in the interpreter CNN_JAX_TORCH_PYTHON names; or skips."""
    python = os.environ.get("CNN_JAX_TORCH_PYTHON", sys.executable)
    found = "import importlib.util as u; assert u.find_spec('torch')"
    if subprocess.run([python, "-c", found], capture_output=True).returncode:
        pytest.skip("torch is not installed (CNN_JAX_TORCH_PYTHON may name an interpreter that has it)")
    subprocess.run([python, str(ROOT / "tests/tools" / tool), *map(str, arguments)], check=True)
