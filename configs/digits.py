"""scikit-learn's handwritten digits, 8x8: the first run on a new machine, no download.

    python scripts/train.py

Measured on two cores (AMD EPYC, no accelerator) with jax 0.10.2: test accuracy (359 images) 99.16, 98.61 and 99.44 %
with seeds 0, 1 and 2; seed 0 takes 7 s. With jax 0.12.0.1 seed 0 reaches 99.44 %.
"""

import ml_collections

from cnn_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config(model="cnn", optimizer="adamw", schedule="OneCycleLR")
    config.model.filters = (32, 64)
    config.model.convs_per_block = 2
    config.model.hidden = ()
    config.model.dropout = 0.3
    config.optimizer.learning_rate = 4e-3
    config.loss.label_smoothing = 0.1
    config.augment = (("translate", 1),)
    config.batch_size = 64
    config.num_epochs = 30
    config.schedule.cycle_momentum = False
    return config
