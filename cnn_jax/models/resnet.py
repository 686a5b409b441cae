"""Residual networks (He, Zhang, Ren & Sun 2016), version 1.5: the bottleneck's stride is in its 3x3 convolution."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
from jax.nn.initializers import ones, variance_scaling, zeros

from cnn_jax.models.layers import Classifier, Conv, Head, Pool, make_norm
from cnn_jax.models.setting import Setting

# The gradient keeps its size on the way back (He et al. 2015, section 2.2), as in torchvision.
_fan_out = variance_scaling(2.0, "fan_out", "normal")


class ConvNorm(nn.Module):
    """Convolution without bias, BatchNorm, and ReLU unless `relu=False`; `zero` starts the scale of the norm at 0."""

    features: int
    kernel_size: int = 3
    stride: int = 1
    relu: bool = True
    zero: bool = False
    setting: Setting = Setting()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        size = (self.kernel_size, self.kernel_size)
        x = Conv(
            self.features, size, self.stride, use_bias=False, kernel_init=_fan_out, setting=self.setting, name="conv"
        )(x)  # fmt: skip
        scale_init = zeros if self.zero else ones
        x = make_norm("batch", train, self.setting, path=self.path, name="norm", scale_init=scale_init)(x)
        return nn.relu(x) if self.relu else x


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside the shortcut."""

    width: int
    stride: int
    zero_init: bool
    setting: Setting
    expansion = 1

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        unit = partial(ConvNorm, setting=self.setting)
        y = unit(self.width, 3, self.stride, name="conv1")(x, train)
        y = unit(self.width, 3, relu=False, zero=self.zero_init, name="conv2")(y, train)
        return nn.relu(y + _shortcut(x, y, self.stride, unit, train))


class Bottleneck(nn.Module):
    """1x1, 3x3 (strided), 1x1 to four times the width, beside the shortcut."""

    width: int
    stride: int
    zero_init: bool
    setting: Setting
    expansion = 4

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        unit = partial(ConvNorm, setting=self.setting)
        y = unit(self.width, 1, name="conv1")(x, train)
        y = unit(self.width, 3, self.stride, name="conv2")(y, train)
        y = unit(self.width * self.expansion, 1, relu=False, zero=self.zero_init, name="conv3")(y, train)
        return nn.relu(y + _shortcut(x, y, self.stride, unit, train))


def _shortcut(x: jax.Array, y: jax.Array, stride: int, unit: Callable[..., Any], train: bool) -> jax.Array:
    if x.shape == y.shape:
        return x
    return unit(y.shape[-1], 1, stride, relu=False, name="shortcut")(x, train)


class ResNet(Classifier):
    """A stem, four stages of blocks with 64, 128, 256, 512 channels (times the block's expansion), a global mean."""

    blocks: tuple[int, ...] = (2, 2, 2, 2)
    block: Any = BasicBlock
    small_images: bool = False
    zero_init_residual: bool = True
    dropout: float = 0.0

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        kernel, stride = (3, 1) if self.small_images else (7, 2)
        x = ConvNorm(64, kernel, stride, setting=self.setting, name="stem")(x, train)
        if not self.small_images:
            x = Pool("max", window=3, stride=2, padding=1, name="stem_pool")(x)
        for i, depth in enumerate(self.blocks):
            x = Stage(self.block, depth, 64 * 2**i, 1 if i == 0 else 2, self.zero_init_residual, self.setting,
                      name=f"stage{i + 1}")(x, train)  # fmt: skip
        return x.mean(axis=(1, 2))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        # PyTorch's default for its last layer, as in torchvision
        return Head(self.num_classes, (), self.dropout, initialization="torch", setting=self.setting, name="head")(
            x, train
        )


class Stage(nn.Module):
    """`depth` blocks of one width; the first one has the stride."""

    block: Any
    depth: int
    width: int
    stride: int
    zero_init: bool
    setting: Setting

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for i in range(self.depth):
            stride = self.stride if i == 0 else 1
            x = self.block(self.width, stride, self.zero_init, self.setting, name=f"block{i + 1}")(x, train)
        return x


ResNet18 = partial(ResNet, blocks=(2, 2, 2, 2), block=BasicBlock)
ResNet34 = partial(ResNet, blocks=(3, 4, 6, 3), block=BasicBlock)
ResNet50 = partial(ResNet, blocks=(3, 4, 6, 3), block=Bottleneck)
