"""LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998, figure 2)."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.models.activations import Activation
from cnn_jax.models.classifier import Classifier, Head
from cnn_jax.models.conv_norm_act import conv_norm_act
from cnn_jax.models.initializers import INITIALIZATIONS, Initialization
from cnn_jax.models.layers import Conv, Dense, Pool, flatten


class LeNet5(Classifier):
    """6 and 16 filters of 5x5, then 120 and 84 units: 61,706 parameters for ten classes of 28x28x1 images.

    As today's implementations do it: the 120-unit layer is dense (on the original size it is the same as the 5x5
    convolution), every filter of the second layer sees all six maps, pooling has no weights, the output is a softmax.
    """

    activation: Activation = jnp.tanh
    pooling: str = "mean"
    padding_mode: str = "zero"
    initialization: Initialization = INITIALIZATIONS["glorot_uniform"]

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        parts: Any = {"initialization": self.initialization, "compute": self.compute}
        conv: Any = partial(Conv, kernel_size=(5, 5), **parts)
        act = self.activation
        conv1, pool1 = conv(6, padding_mode=self.padding_mode, name="conv1"), Pool(self.pooling, name="pool1")
        x = conv_norm_act(x, conv1, act=act, pool=pool1, train=train)
        conv2, pool2 = conv(16, padding_mode="crop", name="conv2"), Pool(self.pooling, name="pool2")
        x = conv_norm_act(x, conv2, act=act, pool=pool2, train=train)
        return act(Dense(120, **parts, name="dense")(flatten(x)))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(
            self.num_classes,
            hidden=(84,),
            activation=self.activation,
            initialization=self.initialization,
            compute=self.compute,
            name="head",
        )(x, train)
