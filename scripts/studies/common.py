"""What studies of images share: a data set as arrays, and a run as a function to probabilities."""

from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.analysis.invariance import Predict
from cnn_jax.config.tree import default_config
from cnn_jax.data import load
from cnn_jax.inference import load_run
from cnn_jax.inference.metrics import softmax

Arrays = tuple[np.ndarray, np.ndarray]  # images uint8 [N, H, W, C], labels [N]


def tfds_arrays(name: str) -> tuple[Arrays, Arrays]:
    """The training and the test images of a prepared data set."""
    config = default_config()
    config.data.source, config.data.name, config.data.validation = "tfds", name, 0
    splits = load(config.data, loading="resident")
    train, test = ((part.read(np.arange(len(part))), part.labels) for part in _present(splits.train, splits.test))
    return train, test


def _present(*parts: Any) -> list[Any]:
    assert all(part is not None for part in parts), "the data set has both splits"
    return list(parts)


def predictor(workdir: Path) -> Predict:
    """Of the run in this directory."""
    run = load_run(workdir)
    return lambda images: softmax(run.logits(images))
