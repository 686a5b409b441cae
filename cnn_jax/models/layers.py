"""The layers that all models are made of, and the frame that makes a classifier a backbone and a head."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models.initializers import INITIALIZERS, bias_initializer

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "silu": nn.silu,
    "tanh": jnp.tanh,
    "sigmoid": nn.sigmoid,
    "leaky_relu": nn.leaky_relu,
}


class Conv(nn.Module):
    """`ops.conv` with its parameters: [B, H, W, in] -> [B, H', W', features]."""

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    stride: int = 1
    edges: str = "zero"
    use_bias: bool = True
    initialization: str = "he_normal"
    kernel_init: nn.initializers.Initializer | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init or INITIALIZERS[self.initialization], shape, jnp.float32)
        try:
            y = ops.conv(x.astype(self.dtype), kernel.astype(self.dtype), (self.stride, self.stride), self.edges)
        except ValueError as error:
            raise ValueError(f"{_name(self)}: {error}") from error
        if self.use_bias:
            init = bias_initializer(self.initialization, math.prod(shape[:3]))
            y = y + self.param("bias", init, (self.features,), jnp.float32).astype(self.dtype).reshape(1, 1, 1, -1)
        return y


class Dense(nn.Module):
    """[B, in] -> [B, features]."""

    features: int
    initialization: str = "he_normal"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", INITIALIZERS[self.initialization], shape, jnp.float32)
        bias = self.param("bias", bias_initializer(self.initialization, shape[0]), (self.features,), jnp.float32)
        return x.astype(self.dtype) @ kernel.astype(self.dtype) + bias.astype(self.dtype).reshape(1, -1)


class Pool(nn.Module):
    """Maximum or mean over windows: [B, H, W, C] -> [B, H', W', C]; no parameters."""

    kind: str = "max"
    window: int = 2
    stride: int = 2
    padding: int = 0

    def __call__(self, x: jax.Array) -> jax.Array:
        window, strides = (self.window, self.window), (self.stride, self.stride)
        try:
            if self.kind == "max":
                return ops.max_pool(x, window, strides, (self.padding, self.padding))
            return ops.mean_pool(x, window, strides)
        except ValueError as error:
            raise ValueError(f"{_name(self)}: {error}") from error


def make_norm(kind: str, train: bool, dtype: Any, groups: int = 8, **kwargs: Any) -> nn.Module:
    """A normalisation of [B, H, W, C] with a scale and a bias per channel, epsilon 1e-5; statistics in float32.

    batch: over B, H, W (Ioffe & Szegedy 2015). Its running statistics keep 0.9 of the old value, which PyTorch calls
      momentum 0.1; the running variance is the biased one, PyTorch's is larger by n / (n - 1).
    group: over H, W and the channels of a group; layer: over H, W and all channels (Wu & He 2018, eq. 3 to 7).
    """
    if kind == "batch":
        return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype, **kwargs)
    return nn.GroupNorm(num_groups=1 if kind == "layer" else groups, epsilon=1e-5, dtype=dtype, **kwargs)


class Head(nn.Module):
    """The MLP that turns a feature vector [B, D] into logits [B, num_classes], with dropout before each layer."""

    num_classes: int
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    activation: str = "relu"
    initialization: str = "he_normal"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for i, units in enumerate(self.hidden, start=1):
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
            x = Dense(units, self.initialization, self.dtype, name=f"hidden{i}")(x)
            x = ACTIVATIONS[self.activation](x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Dense(self.num_classes, self.initialization, self.dtype, name="logits")(x)


class Classifier(nn.Module):
    """A backbone and a head; subclasses say what these are.

    `apply(variables, images [B, H, W, C], train=bool)` gives float32 logits [B, num_classes];
    `apply(variables, images, method="embed")` the feature vector [B, D] that the head sees.
    """

    num_classes: int = 10
    dtype: Any = jnp.float32

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        raise NotImplementedError(f"{type(self).__name__} must define backbone()")

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        raise NotImplementedError(f"{type(self).__name__} must define head()")

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False, features_only: bool = False) -> jax.Array:
        features = self.backbone(images.astype(self.dtype), train)
        return (features if features_only else self.head(features, train)).astype(jnp.float32)

    def embed(self, images: jax.Array, train: bool = False) -> jax.Array:
        """The feature vector [B, D], float32."""
        return self(images, train, features_only=True)


def flatten(x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, H * W * C]."""
    return x.reshape(x.shape[0], -1)


def _name(module: nn.Module) -> str:
    return "/".join(module.path) or type(module).__name__
