"""What blur pooling gains on CIFAR-10: accuracy, and how often two shifted views of a picture get the same class.

A small CNN with three poolings, trained for a few epochs on 20,000 pictures with mirrored pictures alone: pictures
that are shifted in training would teach it part of what the pooling is to give. Zhang 2019 (table 1 and section 4.2)
trains longer and larger networks. Views are 32x32 windows with offsets of 0 to 3 pixels.
"""

from pathlib import Path
from typing import Any

import ml_collections
import numpy as np

from cnn_jax.analysis.invariance import measure_consistency
from cnn_jax.analysis.views import PROTOCOLS
from cnn_jax.config import default_config
from studies.common import predictor, tfds_arrays
from studies.tables import mean_and_interval

POOLINGS = ("max", "blur_max")
TRAIN = 20_000
OFFSETS = 4  # of a 36x36 picture, as is done on CIFAR-10


def make_config(pooling: str, seed: int) -> ml_collections.ConfigDict:
    config = default_config(model="cnn", optimizer="adamw", schedule="OneCycleLR")
    config.model.filters, config.model.hidden = (16, 32, 64), ()
    config.model.global_pool, config.model.pooling = "global_mean", pooling
    config.optimizer.learning_rate, config.schedule.cycle_momentum = 8e-3, False
    config.augment, config.data.validation = (("flip", 0.5),), 0.05
    config.batch_size, config.num_epochs, config.seed = 128, 6, seed
    return config


def measure(seeds: int, folder: Path) -> dict[str, dict[str, list[float]]]:
    """{pooling: {figure: of each seed}}; prints them with the intervals of their means."""
    from cnn_jax.experiment import fit

    train, test = tfds_arrays("cifar10")
    train = train[0][:TRAIN], train[1][:TRAIN]
    results: dict[str, dict[str, list[float]]] = {pooling: {} for pooling in POOLINGS}
    for seed in range(seeds):  # seed by seed, so that an interrupted study holds pairs
        for pooling in POOLINGS:
            workdir = folder / f"{pooling}_{seed}"
            fit(make_config(pooling, seed), workdir, train, test=test)
            for name, value in figures_of(workdir, *test).items():
                results[pooling].setdefault(name, []).append(value)
        print(as_text(results), flush=True)
    return results


def figures_of(workdir: Path, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    predict = predictor(workdir)
    figures = {"accuracy": float(np.mean(predict(images).argmax(axis=1) == labels))}
    for protocol in PROTOCOLS:
        found = measure_consistency(predict, images, labels, protocol, OFFSETS, seed=0)
        figures[f"consistency, {protocol}"] = found.consistency.value
        figures[f"error consistency, {protocol}"] = found.error_consistency or 0.0
    return figures


def as_text(results: dict[str, Any]) -> str:
    """A table of means, and of what blurring changes, seed by seed."""
    lines = [f"{'per cent':<28}" + "".join(f"{pooling:>24}" for pooling in results)]
    for name in results["max"]:
        cells = "".join(f"{mean_and_interval(figures[name]):>24}" for figures in results.values())
        lines.append(f"{name:<28}{cells}")
    for name, before in results["max"].items():
        gains = [after - each for each, after in zip(before, results["blur_max"][name], strict=True)]
        lines.append(f"blur_max less max, {name}: {mean_and_interval(gains)}")
    return "\n".join(lines)
