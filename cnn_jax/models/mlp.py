"""Networks that ignore the neighbourhood of pixels: a linear classifier and a multi-layer perceptron."""

import flax.linen as nn
import jax

from cnn_jax.models.layers import ACTIVATIONS, Classifier, Dense, Head, flatten


class Linear(Classifier):
    """Softmax regression on the pixels; the embedding is the flattened image."""

    initialization: str = "lecun_normal"

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        return flatten(x)

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(self.num_classes, initialization=self.initialization, setting=self.setting, name="head")(x, train)


class MLP(Linear):
    """Flatten, then dense layers; the embedding is the last hidden layer."""

    hidden: tuple[int, ...] = (512, 256)
    activation: str = "relu"
    dropout: float = 0.0
    initialization: str = "he_normal"

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        x = flatten(x)
        for i, units in enumerate(self.hidden, start=1):
            x = Dense(units, self.initialization, self.setting, name=f"hidden{i}")(x)
            x = nn.Dropout(self.dropout, deterministic=not train)(ACTIVATIONS[self.activation](x))
        return x
