"""What a convolution knows of pictures: a perceptron and a CNN with as many parameters, on MNIST.

Trained on 20,000 digits as they are, and tested on digits that are shifted by 0 to 8 pixels; and trained and tested on
digits whose pixels are exchanged, all in the same way: to a perceptron that is the same task, as every input has a
weight of its own, and a CNN loses the neighbours that it looks at.
"""

from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np

from cnn_jax.analysis.invariance import measure_shifts
from cnn_jax.config import default_config
from cnn_jax.models import make_model, variable_shapes
from cnn_jax.pictures.invariance import Curve, Panel, plot_moved
from cnn_jax.runs.noise import spread
from studies.common import Arrays, predictor, tfds_arrays
from studies.tables import mean_and_interval

TRAIN, SHIFTS = 20_000, tuple(range(9))


def make_config(name: str, seed: int) -> ml_collections.ConfigDict:
    config = default_config(model=name, optimizer="adamw", schedule="OneCycleLR")
    if name == "cnn":
        config.model.filters, config.model.hidden = (8, 16), (64,)
    else:
        config.model.hidden = (66,)
    config.optimizer.learning_rate, config.schedule.cycle_momentum = 4e-3, False
    config.data.validation = 0.05
    config.batch_size, config.num_epochs, config.seed = 64, 3, seed
    return config


def parameters(config: ml_collections.ConfigDict) -> int:
    shapes = variable_shapes(make_model(config.model, 10), (28, 28, 1))["params"]
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def permuted(arrays: Arrays) -> Arrays:
    """The same exchange of pixels for every image."""
    images, labels = arrays
    order = np.random.default_rng(0).permutation(images[0].size)
    return images.reshape(len(images), -1)[:, order].reshape(images.shape), labels


def measure(seeds: int, folder: Path) -> dict[str, Any]:
    """Accuracies by network, kind of digits, shift and seed; prints them and draws the curves."""
    from cnn_jax.experiment import fit

    train, test = tfds_arrays("mnist")
    train = train[0][:TRAIN], train[1][:TRAIN]
    kinds = {"plain": (train, test), "permuted": (permuted(train), permuted(test))}
    results: dict[str, Any] = {}
    for name in ("mlp", "cnn"):
        results[name] = {"parameters": parameters(make_config(name, 0)), "shifts": list(SHIFTS), "accuracy": []}
        for kind, (seen, unseen) in kinds.items():
            results[name][kind] = []
            for seed in range(seeds):
                workdir = folder / f"{name}_{kind}_{seed}"
                fit(make_config(name, seed), workdir, seen, test=unseen)
                predict = predictor(workdir)
                results[name][kind].append(float(np.mean(predict(unseen[0]).argmax(axis=1) == unseen[1])))
                if kind == "plain":
                    moved = measure_shifts(predict, *unseen, SHIFTS, "zero", seed=0)
                    results[name]["accuracy"].append([each.accuracy.value for each in moved])
        shown = ", ".join(f"{kind} {mean_and_interval(results[name][kind])}" for kind in kinds)
        print(f"{name}, {results[name]['parameters']:,} parameters: {shown}")
        for shift, values in zip(SHIFTS, zip(*results[name]["accuracy"], strict=True), strict=True):
            print(f"{name} shifted by {shift}: {mean_and_interval(values)}", flush=True)
    draw(results, folder / "shifts.png")
    return results


def draw(results: dict[str, Any], path: Path) -> None:
    """Means over seeds, with the 95 % intervals of the means."""
    curves = []
    for name, label in (("mlp", "MLP"), ("cnn", "CNN")):
        found = [spread(values) for values in zip(*results[name]["accuracy"], strict=True)]
        intervals = [each.interval or (each.mean, each.mean) for each in found]
        lows, highs = ([min(max(end, 0), 1) for end in ends] for ends in zip(*intervals, strict=True))
        label = f"{label}, {results[name]['parameters']:,} parameters"
        curves.append(Curve(label, SHIFTS, [each.mean for each in found], lows, highs))
    plot_moved([Panel("shift in pixels", curves)], 0.1, "MNIST digits, shifted", path)
