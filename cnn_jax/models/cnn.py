"""The configurable convolutional network of the course notes."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax

from cnn_jax.models.activations import Activation
from cnn_jax.models.classifier import Classifier, Head
from cnn_jax.models.conv_norm_act import conv_norm_act
from cnn_jax.models.initializers import INITIALIZATIONS, Initialization
from cnn_jax.models.layers import Conv, Pool, flatten, make_norm, maybe_remat


class Block(nn.Module):
    """`convs` times convolution -> normalisation -> activation, then pooling: the maps shrink, the channels grow."""

    filters: int
    convs: int
    stride: int
    conv: Callable[..., Conv]
    norm: Callable[..., nn.Module | None]
    activation: Activation
    pool: Callable[..., Pool] | None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for i in range(1, self.convs + 1):
            conv = self.conv(self.filters, stride=self.stride if i == 1 else 1, name=f"conv{i}")
            norm = self.norm(name=f"norm{i}")
            pool = self.pool(name="pool") if self.pool is not None and i == self.convs else None
            x = conv_norm_act(x, conv, norm, self.activation, pool, train=train)
        return x


class CNN(Classifier):
    """A stem, blocks of convolutions, a global pool or the flattened maps as feature vector, an MLP head.

    `config.keys` lists the choices; without a `stem` the images go into the first block.

    Raises ValueError, naming the layer, where an image is too small for the blocks.
    """

    filters: tuple[int, ...] = (32, 64)
    stem: tuple[int, tuple[int, int], int] | None = None
    convs_per_block: int = 1
    kernel_size: tuple[int, int] = (3, 3)
    stride: int = 1
    padding_mode: str = "zero"
    pooling: str = "max"
    pool_window: int = 2
    pool_stride: int = 2
    blur_filter_size: int = 4
    pool_last: bool = True
    norm: str = "batch"
    norm_groups: int = 8
    activation: Activation = nn.relu
    global_pool: str = "flatten"
    hidden: tuple[int, ...] = (128,)
    dropout: float = 0.0
    initialization: Initialization = INITIALIZATIONS["he_normal"]

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        conv = partial(
            Conv,
            use_bias=self.norm == "none",  # a normalisation brings its own bias
            initialization=self.initialization,
            compute=self.compute,
        )
        norm = partial(make_norm, self.norm, compute=self.compute, groups=self.norm_groups)
        pool = (
            None
            if self.pooling == "none"
            else partial(Pool, self.pooling, self.pool_window, self.pool_stride, blur_filter_size=self.blur_filter_size)
        )
        if self.stem is not None:
            filters, kernel_size, stride = self.stem
            stem = conv(filters, kernel_size, stride, padding_mode="crop", name="stem")
            x = conv_norm_act(x, stem, norm(name="stem_norm"), self.activation, train=train)
        block = partial(
            maybe_remat(Block, self.compute),
            convs=self.convs_per_block,
            stride=self.stride,
            conv=partial(conv, kernel_size=self.kernel_size, padding_mode=self.padding_mode),
            norm=norm,
            activation=self.activation,
        )
        for i, filters in enumerate(self.filters, start=1):
            is_pooled = i < len(self.filters) or self.pool_last
            x = block(filters, pool=pool if is_pooled else None, name=f"block{i}")(x, train)
        if self.global_pool == "global_mean":
            return x.mean(axis=(1, 2))
        return x.max(axis=(1, 2)) if self.global_pool == "global_max" else flatten(x)

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(
            self.num_classes,
            hidden=self.hidden,
            dropout=self.dropout,
            activation=self.activation,
            initialization=self.initialization,
            compute=self.compute,
            name="head",
        )(x, train)
