"""What a report is about, without a training: a small network with random weights, and images at random."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Examples, Split
from cnn_jax.data.normalize import Normalization
from cnn_jax.inference.run import Run, make_apply
from cnn_jax.models import make_model
from cnn_jax.reports.subject import Subject
from tests.support.helpers import tiny_config
from tests.support.networks import randomized

_HOSTILE = ("<b>bold</b>", "$\\frac{a$", "_under", "=1+1", "{x}")


def class_names(count: int) -> tuple[str, ...]:
    """The first five are HTML, mathematics, and what else programs might take for an instruction."""
    return tuple(_HOSTILE[k] if k < len(_HOSTILE) else f"class {k}" for k in range(count))


def random_examples(count: int, classes: int, shape: tuple[int, int, int], seed: int = 0) -> Examples:
    random = np.random.RandomState(seed)
    return Examples(
        random.randint(0, 256, (count, *shape)).astype(np.uint8), (np.arange(count) % classes).astype(np.int32)
    )


def make_subject(
    folder: Path, examples: Examples, classes: int, split: str = "test", train: Split | None = None, **changes: Any
) -> Subject:
    """A CNN with filters (8, 8), or as `changes` say it, and these examples."""
    config = tiny_config(**changes)
    height, width, channels = examples.images.shape[1:]
    shape = (int(height), int(width), int(channels))
    model = make_model(config.model, classes)
    variables = randomized(model.init(jax.random.key(0), jnp.zeros((1, *shape))))
    variables = {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}
    normalization = Normalization("standardize", (0.5,) * channels, (0.25,) * channels)
    apply = make_apply(model, normalization)
    run = Run(config, shape, class_names(classes), normalization, variables, apply)
    return Subject(run, examples, split, train, folder, most=500)
