"""LeNet-5 on MNIST, with ReLU and maximum pooling.

    python scripts/train.py --config=configs/mnist_lenet5.py

Measured on two cores (Intel Xeon, no accelerator), seed 0, one run: test accuracy 99.34 % after 8 epochs, 69 s,
7,180 images/s.
"""

import ml_collections

from cnn_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config(model="lenet5", optimizer="adamw", schedule="OneCycleLR")
    config.data.source = "tfds"
    config.data.name = "mnist"
    config.model.activation = "relu"
    config.model.pooling = "max"
    config.model.initialization = "he_normal"
    config.augment = (("translate", 1),)
    config.optimizer.learning_rate = 4e-3
    config.batch_size = 64
    config.num_epochs = 8
    config.schedule.cycle_momentum = False
    return config
