"""AlexNet, twice: the two towers that won ImageNet in 2012, and the single tower of 2014 that torchvision has."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.nn.initializers import normal, ones

from cnn_jax import ops
from cnn_jax.models.blocks import NORMAL_001, PlainConv, apply_stages
from cnn_jax.models.classifier import Classifier, Head
from cnn_jax.models.initializers import INITIALIZATIONS, Initialization
from cnn_jax.models.layers import Pool, flatten, maybe_remat

_POOL = partial(Pool, "max", window=3, stride=2)  # the windows overlap
_BIAS_OF_1 = Initialization(normal(0.01), lambda fan_in: ones)  # so that ReLUs have a gradient from the start


class AlexNet2012(Classifier):
    """Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural networks".

    For images of 227x227: 60,965,224 parameters for 1,000 classes. The second, fourth and fifth convolution see the
    half of the channels that lay on their GPU; `ops.local_response_norm` stands between ReLU and maximum of the first
    two. `embed` gives the flattened maps (9,216) that the head's hidden layers see.

    The paper's recipe: batches of 128, SGD with momentum 0.9 and weight decay 5e-4, a rate of 0.01 that was divided by
    10 three times, some 90 epochs; crops, mirroring, and noise along the principal components of colours. Top-1 error
    on ImageNet's validation images 40.7 %, top-5 18.2 %.
    """

    hidden: tuple[int, ...] = (4096, 4096)
    dropout: float = 0.5

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        plain = partial(PlainConv, initialization=NORMAL_001, compute=self.compute)
        halves = partial(plain, groups=2, initialization=_BIAS_OF_1)
        stem = partial(maybe_remat(PlainConv, self.compute), **plain.keywords)
        x = stem(96, 11, 4, padding_mode="crop", response_norm=True, pool=_POOL, name="stem")(x, train)
        stages = (
            (partial(halves, 256, 5, response_norm=True, pool=_POOL),),
            (partial(plain, 384), partial(halves, 384), partial(halves, 256, pool=_POOL)),
        )
        return flatten(apply_stages(x, train, stages, self.compute))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(
            self.num_classes,
            hidden=self.hidden,
            dropout=(0.0, *[self.dropout] * len(self.hidden)),
            initialization=NORMAL_001,
            hidden_initialization=_BIAS_OF_1,
            compute=self.compute,
            name="head",
        )(x, train)


class AlexNet(Classifier):
    """Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", as torchvision's `alexnet`.

    One tower, no groups, no response norm: 61,100,840 parameters for 1,000 classes. 6x6 means make images of any size
    from 63x63 fit, the identity for 224x224. `embed` gives the 9,216 flattened means.
    """

    hidden: tuple[int, ...] = (4096, 4096)
    dropout: float = 0.5

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        plain = partial(PlainConv, initialization=INITIALIZATIONS["torch"], compute=self.compute)
        stem = partial(maybe_remat(PlainConv, self.compute), **plain.keywords)
        x = jnp.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))  # fewer than half of 11
        x = stem(64, 11, 4, padding_mode="crop", pool=_POOL, name="stem")(x, train)
        stages = (
            (partial(plain, 192, 5, pool=_POOL),),
            (partial(plain, 384), partial(plain, 256), partial(plain, 256, pool=_POOL)),
        )
        return flatten(ops.adaptive_mean_pool(apply_stages(x, train, stages, self.compute), (6, 6)))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(
            self.num_classes,
            hidden=self.hidden,
            dropout=(*[self.dropout] * len(self.hidden), 0.0),
            initialization=INITIALIZATIONS["torch"],
            compute=self.compute,
            name="head",
        )(x, train)
