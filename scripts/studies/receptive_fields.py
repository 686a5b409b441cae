"""How the effective receptive field grows as a network is trained on CIFAR-10 (Luo, Li, Urtasun & Zemel 2016, fig. 6).

They trained a residual network whose theoretical field of 74x74 is larger than the image, and found the effective one
larger after training. Here a CNN with two convolutions before each of its three poolings (field of 36x36 behind the
last) and ResNet-20 (81x81) are trained for a few epochs on part of the images; each epoch's weights are kept.
"""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import ml_collections
import numpy as np

from cnn_jax.analysis.receptive_fields.effective import (
    Extent,
    choose_layers,
    compile_gradients,
    mean_map,
    measure_extent,
    measure_gradients,
)
from cnn_jax.analysis.receptive_fields.theoretical import receptive_fields
from cnn_jax.config import default_config
from cnn_jax.data import load
from cnn_jax.data.normalize import normalize
from cnn_jax.inference import load_run
from cnn_jax.models import make_model
from cnn_jax.reports.weights_over_training import weights_over_training
from cnn_jax.runs.noise import spread

NETWORKS = {"cnn": 12_000, "resnet20": 6_000}  # and how many images they are trained on
EPOCHS = 6
_IMAGES = 256

Sizes = dict[str, dict[str, list[float]]]  # {layer: {when: of each seed}}


def make_config(network: str, seed: int) -> ml_collections.ConfigDict:
    config = default_config(model=network, optimizer="adamw", schedule="OneCycleLR")
    if network == "cnn":
        config.model.filters, config.model.convs_per_block = (16, 32, 64), 2
        config.model.global_pool, config.model.hidden = "global_mean", ()
    config.data.validation = 0.05
    config.optimizer.learning_rate, config.schedule.cycle_momentum = 8e-3, False
    config.augment = (("flip", 0.5),)
    config.batch_size, config.num_epochs, config.seed = 64, EPOCHS, seed
    config.checkpoint.keep = EPOCHS + 1
    return config


def cifar10(split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first images uint8 [N, 32, 32, 3] and labels [N] of its train or test split, which are mixed."""
    config = default_config()
    config.data.source, config.data.name, config.data.validation = "tfds", "cifar10", 0
    part = getattr(load(config.data, loading="resident"), split)
    return part.read(np.arange(count)), part.labels[:count]


def measure(seeds: int, folder: Path) -> dict[str, dict[str, Any]]:
    """{network: {"accuracy", "size", "std"}}: of each seed, the last two of each layer's field; prints them."""
    from cnn_jax.experiment import fit

    results: dict[str, dict[str, Any]] = {}
    images, labels = cifar10("test", 2_000)
    for network, count in NETWORKS.items():
        accuracies: list[float] = []
        sizes: Sizes = {}
        deviations: Sizes = {}
        for seed in range(seeds):
            workdir = folder / f"{network}_{seed}"
            summary = fit(make_config(network, seed), workdir, cifar10("train", count), test=(images, labels))
            accuracies.append(summary["test_accuracy"])
            for layer, course in fields_in(workdir, images[:_IMAGES]).items():
                for when, extent in course.items():
                    for found, value in ((sizes, extent.size), (deviations, float(np.mean(extent.std)))):
                        found.setdefault(layer, {}).setdefault(when, []).append(value)
        results[network] = {"accuracy": accuracies, "size": sizes, "std": deviations}
        print(as_text(network, results[network]), flush=True)
    return results


def fields_in(workdir: Path, images: np.ndarray) -> dict[str, dict[str, Extent]]:
    """{layer: {when: how far its middle unit sees}} of a run, before its training and after each epoch."""
    run = load_run(workdir)
    model = make_model(run.config.model, len(run.class_names), in_order=True)
    inputs = np.asarray(normalize(jnp.asarray(images), run.normalization))

    def apply(variables: Any, x: Any) -> Any:
        return model.apply(variables, x, train=False)

    layers = choose_layers(receptive_fields(apply, run.variables, run.image_shape), 6)
    program = compile_gradients(apply, layers)
    found: dict[str, dict[str, Extent]] = {field.name: {} for field in layers}
    for snapshot in weights_over_training(run, EPOCHS)[:-1]:
        gradients = measure_gradients(program, layers, snapshot.variables, inputs)
        for field in layers:
            extent = measure_extent(mean_map(gradients[field.name], "absolute"), field.box(field.middle))
            if extent is not None:
                found[field.name][snapshot.label] = extent
    return found


def as_text(network: str, results: dict[str, Any]) -> str:
    """Means over seeds with 95 % intervals, and the growth, seed by seed."""
    lines = [f"{network}: test accuracy {_interval(results['accuracy'], 3)}"]
    for figure in ("size", "std"):
        for layer, course in results[figure].items():
            row = ", ".join(f"{when} {_interval(values)}" for when, values in course.items())
            first, *_, last = course.values()
            growth = [after / before for before, after in zip(first, last, strict=True)]
            lines.append(f"  {figure} of {layer}: {row}; after / before {_interval(growth)}")
    return "\n".join(lines)


def _interval(values: list[float], digits: int = 2) -> str:
    found = spread(values)
    if found.interval is None:
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} ({found.interval[0]:.{digits}f} to {found.interval[1]:.{digits}f})"
