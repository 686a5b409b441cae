"""99 % on MNIST as soon as possible: one pass over the data.

    python scripts/train.py --config=configs/mnist_fast.py

Measured on two cores (Intel Xeon, no accelerator), 10 seeds: test accuracy 99.16 % (99.06 to 99.27) in 12.8 s (11.3 to
13.3), from the start of the process to its end, with nothing compiled before. In the same run PyTorch's MNIST example
reached 98.91 % after 174 s, its end.
"""

import ml_collections

from cnn_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config(model="cnn", optimizer="muon", schedule="OneCycleLR")
    config.data.source = "tfds"
    config.data.name = "mnist"
    config.data.validation = 0  # one pass, and nothing to choose behind it: all images are for training
    config.data.center_crop = 0.858  # the outer two pixels hold next to nothing, and are a quarter of all
    config.data.image_size = (24, 24)
    config.model.stem = (16, 5, 2)  # to 10x10 at once: later layers are what a step takes
    config.model.filters = (16, 48)
    config.model.pool_last = False  # a second pooling would take nothing off a step, and 0.25 % of accuracy
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
