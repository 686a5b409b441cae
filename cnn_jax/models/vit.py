"""The vision transformer (Dosovitskiy et al. 2021, "An image is worth 16x16 words")."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import normal, truncated_normal

from cnn_jax.errors import InputError
from cnn_jax.models.classifier import Classifier, Head
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.initializers import INITIALIZATIONS
from cnn_jax.models.layers import Conv, maybe_remat
from cnn_jax.models.transformer import EPSILON, SMALL_NORMAL, Attention, FeedForward, layer_norm, stochastic_depth


class PatchEmbedding(nn.Module):
    """Squares of an image as tokens behind a class token, each with what tells its place: [B, H, W, C] -> [B, T, D].

    T is 1 + (H / patch_size) * (W / patch_size). The position embedding is a map [H / patch_size, W / patch_size, D],
    and that of the class token apart, so that another size of image is another size of map.
    """

    features: int
    patch_size: int
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        height, width = x.shape[1:3]
        if height % self.patch_size or width % self.patch_size:
            raise InputError(
                f"images of {height}x{width} do not divide into patches of {self.patch_size}x{self.patch_size}; "
                f"choose multiples of {self.patch_size}, or another patch_size"
            )
        y = Conv(
            self.features,
            kernel_size=(self.patch_size, self.patch_size),
            stride=self.patch_size,
            padding_mode="crop",
            initialization=INITIALIZATIONS["lecun_normal"],
            compute=self.compute,
            name="conv",
        )(x)
        kind = self.compute.param_dtype
        token = self.param("class_token", normal(1e-6), (self.features,), kind)
        place = self.param("class_position", truncated_normal(0.02), (self.features,), kind)
        places = self.param("position_embedding", truncated_normal(0.02), y.shape[1:], kind)
        y = (y + places.astype(self.compute.dtype)[None]).reshape(y.shape[0], -1, self.features)
        first = jnp.broadcast_to((token + place).astype(self.compute.dtype), (y.shape[0], 1, self.features))
        return jnp.concatenate([first, y], axis=1)


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), and of that x + mlp(norm(x)): [B, T, C] -> the same."""

    heads: int
    stochastic_depth: float = 0.0
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        channels = x.shape[-1]
        attention = Attention(channels, self.heads, channels // self.heads, compute=self.compute, name="attention")
        x = x + stochastic_depth(attention(layer_norm(self.compute, "norm1")(x)), self.stochastic_depth, train)
        mlp = FeedForward(compute=self.compute, name="mlp")
        return x + stochastic_depth(mlp(layer_norm(self.compute, "norm2")(x)), self.stochastic_depth, train)


class ViT(Classifier):
    """Patches, blocks of attention and of layers for each token alone; the class token, normalised, is the feature.

    `config.keys` lists the choices. Raises InputError where an image does not divide into patches.
    """

    width: int = 768
    heads: int = 12
    depth: int = 12
    patch_size: int = 16
    stochastic_depth: float = 0.0
    dropout: float = 0.0

    @property
    def conventions(self) -> dict[str, Any]:
        return {"epsilon": EPSILON}

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        stem = maybe_remat(PatchEmbedding, self.compute, static_argnums=())
        x = stem(self.width, self.patch_size, self.compute, name="stem")(x)
        for i in range(self.depth):
            rate = self.stochastic_depth * i / max(1, self.depth - 1)  # it grows with depth
            block = maybe_remat(EncoderBlock, self.compute)(self.heads, rate, self.compute, name=f"block{i + 1}")
            x = block(x, train)
        return layer_norm(self.compute, "norm")(x[:, 0])

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(
            self.num_classes, dropout=self.dropout, initialization=SMALL_NORMAL, compute=self.compute, name="head"
        )(x, train)


ViTTiny = partial(ViT, width=192, heads=3)
ViTSmall = partial(ViT, width=384, heads=6)
ViTBase = ViT
