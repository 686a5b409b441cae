"""A 16-32-64 CNN on MNIST, with rotation, scaling and shifts.

    python scripts/train.py --config=configs/mnist_affine.py

Measured on two cores (AMD EPYC, no accelerator), seed 0, two runs: test accuracy 99.60 % both times after 14 epochs,
294 s for the whole process, 2,970 images/s (on the same machine busy with other work: 695 s).
"""

import ml_collections

from cnn_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config(model="cnn", optimizer="adamw", schedule="OneCycleLR")
    config.data.source = "tfds"
    config.data.name = "mnist"
    config.model.filters = (16, 32, 64)
    config.model.dropout = 0.1
    config.augment = (("rotate", 10.0), ("scale", 0.1), ("translate", 2))
    config.optimizer.learning_rate = 3e-3
    config.optimizer.weight_decay = 0.05
    config.batch_size = 64
    config.num_epochs = 14
    config.schedule.cycle_momentum = False
    return config
