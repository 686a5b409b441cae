"""Small pieces that several tests use."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.config.keys import OPTIMIZERS
from cnn_jax.config.tree import default_config, override
from cnn_jax.data.reading.image_dataset import InMemoryReader
from cnn_jax.errors import InputError
from cnn_jax.runtime.startup import jaxlib_version

ROOT = Path(__file__).parents[2]
# XLA's options for programs that run once: compiling takes longer than computing.
QUICK: dict[str, Any] = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
HAS_OLDER_EMITTERS = jaxlib_version() < (0, 11)  # later ones do not know the option
if HAS_OLDER_EMITTERS:
    QUICK["xla_cpu_use_fusion_emitters"] = False


def tiny_config(**changes: Any) -> ml_collections.ConfigDict:
    """Seconds on one core and device: 8 and 8 filters, 10 steps an epoch; in keys, two underscores for a dot."""
    config = default_config(model="cnn", optimizer="adamw", schedule="OneCycleLR")
    config.model.filters = (8, 8)
    config.model.hidden = ()
    config.model.dropout = 0.1
    config.optimizer.learning_rate = 0.02
    config.schedule.cycle_momentum = False
    config.augment = (("translate", 1),)
    config.batch_size = 128
    config.num_epochs = 2
    config.parallel.devices = 1
    return override(config, [(key.replace("__", "."), value) for key, value in changes.items()])


def data_settings(**changes: Any) -> Any:
    """A config's `data` block."""
    return override(default_config(), [(f"data.{key}", value) for key, value in changes.items()]).data


def load_folder(folder: Path, **changes: Any) -> data.Splits:
    """A folder of images, all of them for training where `validation` and `test` are not given."""
    return data.load(data_settings(source="folder", dir=str(folder), **{"validation": 0, "test": 0, **changes}))


def optimizer_block(name: str, **changes: Any) -> dict[str, Any]:
    """An `optimizer` block as the config would have it; nothing checks the changes."""
    return {"name": name} | {key: entry.default for key, entry in OPTIMIZERS[name].items()} | changes


class InMemory(InMemoryReader):
    """A source of decoded images uint8 [N, H, W, C]."""

    def __init__(self, images: np.ndarray, source: str):
        self._images, self._source = images, source

    def read(self, rows: Sequence[int]) -> list[bytes | np.ndarray]:
        return [self._images[row] for row in rows]

    def name(self, row: int) -> str:
        return f"{self._source}[{row}]"


def refusal(call: Callable[..., Any], *arguments: Any, **settings: Any) -> str:
    """The one line with which a call refuses what it is given."""
    with pytest.raises(InputError) as caught:
        call(*arguments, **settings)
    line = str(caught.value)
    assert "\n" not in line.strip()
    assert len(line) < 1000
    return line


def script(
    name: str, *arguments: str | Path, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs scripts/NAME in a process of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / name), *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout, env={**os.environ, **environment},
    )  # fmt: skip


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


TIMINGS = ("wall_seconds", "images_per_second")


def without_timings(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key not in TIMINGS}
