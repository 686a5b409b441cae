"""A 16-32-64 CNN on MNIST, with rotation, scaling and shifts.

    python scripts/train.py --config=configs/mnist_affine.py

Measured on two cores (Intel Xeon, no accelerator), seed 0, one run: test accuracy 99.61 % after 14 epochs, 367 s for
the whole process, 2,160 images/s (on an AMD EPYC, earlier: 99.60 %, 294 s).
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
