"""A small CNN on your own folder of images: one folder per class, perhaps below train/, validation/ and test/.

    python scripts/train.py --config=configs/image_folder.py --config.data.dir=photos --workdir=runs/photos

Larger pictures (--config.data.image_size=128) and networks (--config.model.name=resnet18) want a GPU.
"""

import ml_collections

from cnn_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config(model="cnn", optimizer="adamw", schedule="OneCycleLR")
    config.data.source = "folder"
    config.data.image_size = 64
    config.data.channels = 3
    config.model.filters = (16, 32, 64, 128)
    config.model.dropout = 0.2
    config.optimizer.learning_rate = 3e-3
    config.optimizer.weight_decay = 0.02
    config.augment = (("flip", 0.5), ("translate", 6))
    config.batch_size = 64
    config.num_epochs = 10
    config.schedule.cycle_momentum = False
    return config
