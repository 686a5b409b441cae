"""The frame of all networks, a backbone and a head, and the head that most have."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import flax.linen as nn
import jax

from cnn_jax.models.activations import Activation
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.initializers import INITIALIZATIONS, Initialization
from cnn_jax.models.layers import Dense


class Classifier(nn.Module):
    """A backbone and a head; subclasses say what these are.

    `apply(variables, images [B, H, W, C], train=bool)` gives logits [B, num_classes];
    `apply(variables, images, method="embed")` the feature vector [B, D] that the head sees.
    Both are float32 (float64 in a network of float64).
    """

    num_classes: int = 10
    compute: ComputeConfig = ComputeConfig()

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        raise NotImplementedError(f"{type(self).__name__} must define backbone()")

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        raise NotImplementedError(f"{type(self).__name__} must define head()")

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False, features_only: bool = False) -> jax.Array:
        features = self.backbone(images.astype(self.compute.dtype), train)
        return (features if features_only else self.head(features, train)).astype(self.compute.param_dtype)

    def from_data(self, batches: Iterable[jax.Array]) -> dict[str, Any]:
        """The part of the first parameters that the data give, nested as in "params"; {} for most networks.

        Args:
          batches: of training images as the network takes them, normalised and not augmented: [B, H, W, C].
        """
        return {}

    @property
    def conventions(self) -> dict[str, Any]:
        """What published weights need beside their arrays, such as the epsilon of norms; {} where there are none."""
        return {}

    def embed(self, images: jax.Array, train: bool = False) -> jax.Array:
        """The feature vector [B, D]."""
        return self(images, train, features_only=True)


class Head(nn.Module):
    """The MLP that turns a feature vector [B, D] into logits [B, num_classes].

    Without `use_bias` the last layer has none. `dropout` comes before each layer, or is a rate for each one.
    """

    num_classes: int
    hidden: tuple[int, ...] = ()
    dropout: float | tuple[float, ...] = 0.0
    activation: Activation = nn.relu
    use_bias: bool = True
    initialization: Initialization = INITIALIZATIONS["he_normal"]
    hidden_initialization: Initialization | None = None  # of the hidden layers, where it is another
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        dense = partial(Dense, initialization=self.initialization, compute=self.compute)
        *before, last = self.dropout if isinstance(self.dropout, tuple) else (self.dropout,) * (len(self.hidden) + 1)
        for i, (units, rate) in enumerate(zip(self.hidden, before, strict=True), start=1):
            x = nn.Dropout(rate, deterministic=not train)(x)
            initialization = self.hidden_initialization or self.initialization
            x = self.activation(dense(units, initialization=initialization, name=f"hidden{i}")(x))
        x = nn.Dropout(last, deterministic=not train)(x)
        return dense(self.num_classes, use_bias=self.use_bias, name="logits")(x)
