"""What augmentation costs: each operation, and the pipeline of each config as a share of its training step."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.own_calls import make_call
from benchmarks.timing import Settings, interleaved
from cnn_jax.cli.progress import announce
from cnn_jax.config.keys import AUGMENTATIONS
from cnn_jax.config.tree import load_config
from cnn_jax.data.augment.draws import Draws
from cnn_jax.data.augment.pipeline import make_augment
from cnn_jax.errors import InputError
from cnn_jax.experiment.fitting import build

# (batch, height, width, channels)
SHAPES = ((64, 28, 28, 1), (64, 32, 32, 3), (8, 224, 224, 3))
_LEAST_SECONDS, _LEAST_STEP_SECONDS = 0.01, 0.2


def measure_augment(settings: Settings) -> list[dict[str, Any]]:
    """Two tables: operations at three sizes, and configs."""
    return [measure_operations(settings.rounds), measure_configs(settings.chosen(), settings.rounds)]


def measure_operations(rounds: int) -> dict[str, Any]:
    """Milliseconds per image of each operation at its usual strength, compiled alone, draws included."""
    columns = {}
    for shape in SHAPES:
        announce(f"compiling the operations at {_size(shape)}")
        calls = {name: _operation(name, entry.default, shape) for name, entry in AUGMENTATIONS.items()}
        # What it takes to start a program, draw nothing and hand over a batch.
        calls["nothing"] = _operation(None, None, shape)
        columns[_size(shape)] = {
            name: value / shape[0] for name, value in interleaved(calls, rounds, _LEAST_SECONDS).items()
        }
    names = [*AUGMENTATIONS, "nothing"]
    strengths = {name: str(entry.default) for name, entry in AUGMENTATIONS.items()} | {"nothing": ""}
    return {
        "title": f"milliseconds per image (batches of {', '.join(str(shape[0]) for shape in SHAPES)})",
        "columns": ["operation", "strength", *columns],
        "rows": [[name, strengths[name], *(column[name] for column in columns.values())] for name in names],
    }


def measure_configs(configs: list[str], rounds: int) -> dict[str, Any]:
    """A training step with the config's pipeline and one without, side by side."""
    rows = []
    for path in configs:
        config = load_config(path)
        listed = ", ".join(name for name, _ in config.augment)
        if not listed:
            continue
        announce(f"compiling the steps of {path}")
        try:
            experiment = build(config)
        except InputError as error:  # most likely data that this machine does not have
            announce(f"{path} is left out: {error}")
            continue
        plain = dataclasses.replace(experiment, augment=lambda images, labels, draws: (images, labels))
        calls = {"with": make_call(experiment), "without": make_call(plain)}
        times = interleaved(calls, rounds, _LEAST_STEP_SECONDS)
        rows.append([Path(path).stem, listed, times["with"], times["without"], 1 - times["without"] / times["with"]])
    return {
        "title": "milliseconds per training step",
        "columns": ["config", "augment", "with", "without", "share"],
        "rows": rows,
    }


def _operation(name: str | None, strength: Any, shape: tuple[int, int, int, int]) -> Callable[[], Any]:
    pipeline = () if name is None else ((name, strength),)
    augment = jax.jit(make_augment(pipeline, (shape[1], shape[2], shape[3]), 10))
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    index = jnp.arange(shape[0], dtype=jnp.int32)
    draws = Draws(jnp.uint32(0), jnp.int32(0), jnp.int32(0), index)
    return partial(augment, images, index % 10, draws)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape[1:]))
