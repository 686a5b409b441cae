"""ResNet-50 on ImageNet-1k, 90 epochs: the recipe that libraries are compared by. For eight GPUs, or one and patience.

    python scripts/train.py --config=configs/imagenet_resnet50.py --config.data.dir=imagenet --workdir=runs/imagenet

`imagenet/` holds `train/` and `val/`, each with a folder per class (n01440764, ...), as torchvision's scripts want it.

What it is expected to reach is what others published for close relatives of this recipe; it has not been measured
here: top-1 of 76.1 % (torchvision's first weights: 90 epochs, steps, no smoothing) and 76.4 to 76.7 % (Flax's own
example: 100 epochs, cosine, smoothing 0.1). What it costs, by arithmetic: 2.8e18 floating-point operations;
docs/scaling.md has hours and bandwidths for several machines, and says what they assume. Its training step was
measured on one NVIDIA H200, on made-up images: 7,012 images/s with a batch of 256 (docs/speed.md); of the training
itself only the first steps were run, on few and small photographs.

The 50,000 pictures of `val/` have two uses, and the name of their folder decides:

- `val/`: they are the validation split. It picks the best epoch, as in the published figures: `validation_accuracy`, of
  the raw weights, is what compares with those. There is no test split then, and the figure leans to the good side a
  little.
- `test/` (`ln -s /data/ILSVRC/val imagenet/test`): they are the test split, touched once, at the end, and 1 % of the
  training pictures, which are not trained on, pick the epoch. `test_accuracy` is then free of that choice.

Choices: the first run reads every file once before it trains, to name broken ones, and keeps what it saw; mean and
standard deviation of the training split fall out of that, so normalising by them costs no pass of its own. Averaged
weights (ema_decay 0.9998) look back over some 5,000 steps, 4 % of the training, as in torchvision's later recipes.
"""

import ml_collections

from cnn_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config(model="resnet50", optimizer="sgd", schedule="CosineAnnealingLR")
    config.data.source = "folder"
    config.data.image_size = 224
    config.data.channels = 3
    config.data.center_crop = 0.875
    config.data.normalization = "dataset"
    config.data.loading = "streamed"
    config.data.validation = 0.01
    config.data.test = 0
    config.augment = (("random_resized_crop", (0.08, 1.0)), ("flip", 0.5))
    config.optimizer.learning_rate = 0.4  # 0.1 for each 256 examples of a batch (Goyal et al. 2017)
    config.optimizer.momentum = 0.9
    config.optimizer.nesterov = True
    config.optimizer.weight_decay = 1e-4
    config.schedule.warmup = 5.0
    config.loss.label_smoothing = 0.1
    config.batch_size = 1024
    config.num_epochs = 90
    config.precision = "bfloat16"
    config.ema_decay = 0.9998
    return config
