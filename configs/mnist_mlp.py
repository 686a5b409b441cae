"""A 512-256 perceptron on MNIST.

    python scripts/train.py --config=configs/mnist_mlp.py

Measured on two cores (Intel Xeon, no accelerator), seed 0, one run: test accuracy 98.50 % after 10 epochs, 32 s,
21,000 images/s.
"""

import ml_collections

from cnn_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config(model="mlp", optimizer="adamw", schedule="OneCycleLR")
    config.data.source = "tfds"
    config.data.name = "mnist"
    config.model.hidden = (512, 256)
    config.model.dropout = 0.2
    config.optimizer.learning_rate = 3e-3
    config.batch_size = 128
    config.num_epochs = 10
    config.schedule.cycle_momentum = False
    return config
