"""The configurable convolutional network of the course notes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax

from cnn_jax.models.layers import (
    ACTIVATIONS,
    Classifier,
    Conv,
    Head,
    Pool,
    flatten,
    make_norm,
    maximum_first,
    norm_and_pool,
    stage,
)


class Block(nn.Module):
    """`convs` times convolution -> normalisation -> activation, then pooling: the maps shrink, the channels grow."""

    filters: int
    convs: int
    stride: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module] | None
    activation: str
    pool: Callable[..., Pool] | None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        activation = ACTIVATIONS[self.activation]

        def normalize(number: int) -> Callable[[jax.Array], jax.Array]:
            if self.norm is None:
                return lambda x: x
            return self.norm(train, path=self.path, name=f"norm{number}")

        def convolve(number: int, x: jax.Array, pooled: bool = False) -> jax.Array:
            conv = self.conv(self.filters, stride=self.stride if number == 1 else 1, name=f"conv{number}")
            return conv(x, pooled=pooled)

        for i in range(1, self.convs):
            x = activation(normalize(i)(convolve(i, x)))
        pool = None if self.pool is None else self.pool(name="pool")
        x = convolve(self.convs, x, pooled=pool is not None and pool.is_tiling)
        norm = normalize(self.convs)
        if pool is None:
            return activation(norm(x))
        if maximum_first(pool, self.activation):
            return activation(norm_and_pool(norm, pool, x))
        return pool(activation(norm(x)))


class CNN(Classifier):
    """A stem, blocks of convolutions, a neck from maps to the feature vector, an MLP head.

    `config.keys` lists the choices; without a `stem` the images go into the first block.

    Raises ValueError, naming the layer, where an image is too small for the blocks.
    """

    filters: tuple[int, ...] = (32, 64)
    stem: tuple[int, tuple[int, int], int] | None = None
    convs_per_block: int = 1
    kernel_size: tuple[int, int] = (3, 3)
    stride: int = 1
    edges: str = "zero"
    pooling: str = "max"
    pool_window: int = 2
    pool_stride: int = 2
    pool_last: bool = True
    norm: str = "batch"
    norm_groups: int = 8
    activation: str = "relu"
    neck: str = "flatten"
    hidden: tuple[int, ...] = (128,)
    dropout: float = 0.0
    initialization: str = "he_normal"

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        plain: Any = partial(
            Conv,
            use_bias=self.norm == "none",  # a normalisation brings its own bias
            initialization=self.initialization,
            setting=self.setting,
        )
        conv = partial(plain, kernel_size=self.kernel_size, edges=self.edges)
        norm = partial(make_norm, self.norm, setting=self.setting, groups=self.norm_groups)
        pool = None if self.pooling == "none" else partial(Pool, self.pooling, self.pool_window, self.pool_stride)
        block = stage(Block, self.setting)
        if self.stem is not None:
            filters, kernel_size, stride = self.stem
            x = plain(filters, kernel_size, stride, "crop", name="stem")(x)
            x = x if self.norm == "none" else norm(train, path=self.path, name="stem_norm")(x)
            x = ACTIVATIONS[self.activation](x)
        parts = (
            self.convs_per_block,
            self.stride,
            conv,
            None if self.norm == "none" else norm,
            self.activation,
        )
        for i, filters in enumerate(self.filters, start=1):
            ending = pool if i < len(self.filters) or self.pool_last else None
            x = block(filters, *parts, ending, name=f"block{i}")(x, train)
        if self.neck == "global_mean":
            return x.mean(axis=(1, 2))
        return x.max(axis=(1, 2)) if self.neck == "global_max" else flatten(x)

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(
            self.num_classes, self.hidden, self.dropout, self.activation, self.initialization, self.setting, name="head"
        )(x, train)  # fmt: skip
