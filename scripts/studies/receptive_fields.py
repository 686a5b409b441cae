"""How the effective receptive field grows as a network is trained on CIFAR-10 (Luo, Li, Urtasun & Zemel 2016, fig. 6).

They trained a residual network whose theoretical field of 74x74 is larger than the image, and found the effective one
larger after training. Here a CNN with two convolutions before each of its three poolings (field of 36x36 behind the
last) and ResNet-20 (81x81) are trained for a few epochs on part of the images; each epoch's weights are kept.
"""

import ml_collections
import numpy as np

from cnn_jax.config import default_config
from cnn_jax.data import load

NETWORKS = {"cnn": 12_000, "resnet20": 6_000}  # and how many images they are trained on
EPOCHS = 6


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
