"""A 32-64 CNN on MNIST."""

import ml_collections

from cnn_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config(model="cnn", optimizer="adamw", schedule="one_cycle")
    config.data.source = "tfds"
    config.data.name = "mnist"
    config.model.filters = (32, 64)
    config.model.dropout = 0.3
    config.optimizer.learning_rate = 5e-3
    config.augment = (("translate", 2),)
    config.batch_size = 256
    config.num_epochs = 4
    return config
