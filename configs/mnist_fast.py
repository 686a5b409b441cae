"""99 % on MNIST as soon as possible: one pass over the data.

python scripts/train.py --config=configs/mnist_fast.py
"""

import ml_collections

from cnn_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config(model="cnn", optimizer="muon", schedule="OneCycleLR")
    config.data.source = "tfds"
    config.data.name = "mnist"
    config.data.validation = 0  # one pass, and nothing to choose behind it: all images are for training
    config.model.stem = (16, 5, 2)  # from 28x28 to 12x12 at once: later layers are what a step takes
    config.model.filters = (24, 48)
    config.model.hidden = ()
    config.optimizer.learning_rate = 0.1
    config.optimizer.momentum = 0.9
    config.optimizer.ns_steps = 3
    config.optimizer.adam_learning_rate = 0.02
    config.optimizer.weight_decay = 0.0
    config.loss.label_smoothing = 0.1
    config.batch_size = 256
    config.eval_batch_size = 1000
    config.num_epochs = 1
    config.schedule.pct_start = 0.25
    config.schedule.anneal_strategy = "linear"
    config.schedule.cycle_momentum = False
    return config
