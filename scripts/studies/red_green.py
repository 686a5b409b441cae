"""Does a network use where things are? The Red-Green toy of Kayhan & van Gemert 2020 (CVPR, arXiv 2003.07064, table 1).

Each image of 32x32 pixels shows a red and a green box of 4x4. Class 0: red is left of green; class 1: green is left of
red. In training, class 0 stands in the upper half and class 1 in the lower one, so that a network may learn where the
boxes are, and not their order. The similar test set is made as the training set was; the dissimilar one is the same
with the halves swapped, each image moved by 16 pixels. Four 3x3 convolutions of 32, 32, 64 and 64 channels without
biases, the last three with stride 2, ReLUs, the global maximum, a dense layer; Adadelta with rate 1 and weight decay
5e-5, batches of 200, 2,000 images of training, 50 epochs, the best of them.

The paper's code (github.com/oskyhn/CNNs-Without-Borders) draws all its sets from the same seed, so that validation and
test images are the first 1,000 of training. They are here, too; and beside them new ones.
"""

from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np

from cnn_jax.config import Key, default_config, register
from cnn_jax.config.rules import choice
from cnn_jax.models import Classifier
from cnn_jax.models.classifier import Head
from cnn_jax.models.initializers import INITIALIZATIONS
from cnn_jax.models.layers import Conv
from studies.tables import mean_and_interval

# By our names: (the paper's, accuracy on the similar and on the dissimilar test set in per cent).
PUBLISHED = {
    "full": ("F-Conv", 89.7, 89.7),
    "wrap": ("S-Conv, circular", 73.7, 73.7),
    "zero": ("S-Conv, zero", 99.8, 8.4),
    "crop": ("V-Conv", 100.0, 0.2),
}
SETS = ("similar", "dissimilar", "new similar", "new dissimilar")
SIZE, BOX, HALF = 32, 4, 16
ROWS = (3, 11)  # of the upper half, where a box may begin
FIRST_COLUMNS, LAST_COLUMN, LEAST_STEP = 10, 28, 5


class RedGreenNet(Classifier):
    """Sees red left of green only where both stand in one window of 17x17 pixels."""

    padding_mode: str = "zero"

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        conv = partial(
            Conv,
            padding_mode=self.padding_mode,
            use_bias=False,
            initialization=INITIALIZATIONS["torch"],
            compute=self.compute,
        )
        for number, (filters, stride) in enumerate(((32, 1), (32, 2), (64, 2), (64, 2)), start=1):
            x = nn.relu(conv(filters, stride=stride, name=f"conv{number}")(x))
        return x.max(axis=(1, 2))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(self.num_classes, initialization=INITIALIZATIONS["torch"], compute=self.compute, name="head")(
            x, train
        )


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Similar and dissimilar images uint8 [count, 32, 32, 3] of the same boxes, and their labels [count]."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    left = random.integers(FIRST_COLUMNS, size=count)
    columns = np.stack([left, random.integers(left + LEAST_STEP, LAST_COLUMN)], axis=1)
    rows = random.integers(*ROWS, (count, 2))
    similar, dissimilar = np.zeros((2, count, SIZE, SIZE, 3), np.uint8)
    for image, label in enumerate(labels):
        for box in range(2):  # the left one, and then the other
            color = (box + label) % 2
            across = slice(columns[image, box], columns[image, box] + BOX)
            for images, half in ((similar, label), (dissimilar, 1 - label)):
                top = rows[image, box] + HALF * half
                images[image, top : top + BOX, across, color] = 255
    return similar, dissimilar, labels


def accuracies(padding_mode: str, seed: int, folder: Path) -> dict[str, float]:
    """Of one network on four sets of 1,000 images."""
    from cnn_jax.experiment import fit
    from cnn_jax.inference import load_run

    config = default_config(model="red_green", optimizer="adadelta", schedule="constant")
    config.model.padding_mode = padding_mode
    config.optimizer.learning_rate, config.optimizer.weight_decay = 1.0, 5e-5
    config.optimizer.decay_bias_and_norm = True
    config.data.normalization = "unit"
    config.batch_size, config.num_epochs, config.seed = 200, 50, seed
    similar, dissimilar, labels = draw(2000, 0)
    new_similar, new_dissimilar, new_labels = draw(1000, 1)
    seen = similar[:1000], labels[:1000]
    workdir = folder / f"{padding_mode}_{seed}"
    fit(config, workdir, (similar, labels), validation=seen, test=(new_similar, new_labels))
    run = load_run(workdir)
    sets = seen, (dissimilar[:1000], seen[1]), (new_similar, new_labels), (new_dissimilar, new_labels)
    return {name: run.evaluate(*each)["accuracy"] for name, each in zip(SETS, sets, strict=True)}


def measure(seeds: int, folder: Path) -> dict[str, dict[str, list[float]]]:
    """{padding: {test set: accuracy of each seed}}; prints them beside what was published."""
    register.model(
        "red_green", RedGreenNet, keys={"padding_mode": Key("zero", choice(*PUBLISHED), "of every convolution")}
    )
    results: dict[str, dict[str, list[float]]] = {}
    for padding_mode, (paper, similar, dissimilar) in PUBLISHED.items():
        found = [accuracies(padding_mode, seed, folder) for seed in range(seeds)]
        results[padding_mode] = {name: [each[name] for each in found] for name in SETS}
        measured = ", ".join(f"{name} {mean_and_interval(values)}" for name, values in results[padding_mode].items())
        print(f"{padding_mode:<5} {measured}; published ({paper}): {similar}, {dissimilar}", flush=True)
    return results
