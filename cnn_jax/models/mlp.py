"""Networks that ignore the neighbourhood of pixels: a linear classifier and a multi-layer perceptron."""

import flax.linen as nn
import jax

from cnn_jax.models.activations import Activation
from cnn_jax.models.classifier import Classifier, Head
from cnn_jax.models.initializers import INITIALIZATIONS, Initialization
from cnn_jax.models.layers import Dense, flatten


class Linear(Classifier):
    """Softmax regression on the pixels; the embedding is the flattened image."""

    initialization: Initialization = INITIALIZATIONS["lecun_normal"]

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        return flatten(x)

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(self.num_classes, initialization=self.initialization, compute=self.compute, name="head")(x, train)


class MLP(Linear):
    """Flatten, then dense layers; the embedding is the last hidden layer."""

    hidden: tuple[int, ...] = (512, 256)
    activation: Activation = nn.relu
    dropout: float = 0.0
    initialization: Initialization = INITIALIZATIONS["he_normal"]

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        x = flatten(x)
        for i, units in enumerate(self.hidden, start=1):
            x = Dense(units, initialization=self.initialization, compute=self.compute, name=f"hidden{i}")(x)
            x = nn.Dropout(self.dropout, deterministic=not train)(self.activation(x))
        return x
