"""A network that knows ImageNet, fine-tuned on your own folder of images: one folder per class.

python scripts/train.py --config=configs/finetune.py --config.data.dir=photos --workdir=runs/photos
"""

import ml_collections

from cnn_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config(model="mobilenet_v2", optimizer="adamw", schedule="OneCycleLR")
    config.init_from = "mobilenet_v2"
    config.head_init = "linear_probe"
    config.data.source = "folder"
    config.data.image_size = 224
    config.data.channels = 3
    config.data.center_crop = 0.875
    config.data.loading = "streamed"  # so that boxes are cut from the whole photograph
    config.data.normalization = "pretrained"
    config.optimizer.learning_rate = 3e-4
    config.optimizer.layer_decay = 0.9
    config.optimizer.weight_decay = 0.02
    config.augment = (("random_resized_crop", (0.35, 1.0)), ("flip", 0.5))
    config.ema_decay = 0.98
    config.batch_size = 32
    config.eval_batch_size = 64
    config.num_epochs = 5
    config.schedule.cycle_momentum = False
    return config
