"""A network that knows ImageNet, fine-tuned on your own images: one folder per class.

    cnn_jax train --config=finetune --config.data.dir=photos --workdir=runs/photos

It begins with a logistic regression on the network's features (epoch 0; with --config.num_epochs=0 that is all), then
trains the last stages, where the features of photographs differ. The first ones stay as they are, which saves most of
the time on a CPU. --config.freeze=None trains all of them.

Another network: --config.model.name=efficientnet_lite0 --config.init_from=efficientnet_lite0
--config.data.interpolation=bicubic; docs/pretrained.md lists the names.
"""

import ml_collections

from cnn_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config(model="mobilenet_v2", optimizer="adamw", schedule="OneCycleLR")
    config.init_from = "mobilenet_v2"
    config.head_init = "linear_probe"
    config.freeze = "^(stem|stage[1-3])/"
    config.data.source = "folder"
    config.data.image_size = 224
    config.data.channels = 3
    config.data.center_crop = 0.875
    config.data.normalization = "pretrained"
    config.data.loading = "streamed"  # so that boxes are cut from the whole photograph
    config.augment = (("random_resized_crop", (0.35, 1.0)), ("flip", 0.5))
    config.optimizer.learning_rate = 3e-4
    config.optimizer.layer_decay = 0.9
    config.optimizer.weight_decay = 0.02
    config.ema_decay = 0.98
    config.batch_size = 32
    config.eval_batch_size = 64
    config.num_epochs = 5
    config.schedule.cycle_momentum = False
    return config
