"""Residual networks (He, Zhang, Ren & Sun 2016), version 1.5: the bottleneck's stride is in its 3x3 convolution.

ResNeXt (Xie et al. 2017, "Aggregated residual transformations") has groups in the 3x3.
"""

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
from jax.nn.initializers import Initializer, ones, zeros

from cnn_jax.models.blocks import ConvNorm, Origin, SqueezeExcite, apply_stages
from cnn_jax.models.classifier import Classifier, Head
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.initializers import INITIALIZATIONS
from cnn_jax.models.layers import Pool, maybe_remat


def conv_stem(
    x: jax.Array, train: bool, unit: Callable[..., Any], pool: Callable[..., Any], small_images: bool
) -> jax.Array:
    """7x7 and a maximum, each with stride 2; for small images 3x3."""
    if small_images:
        return unit(64, 3, name="stem")(x, train)
    return pool(name="stem_pool")(unit(64, 7, stride=2, name="stem")(x, train))


def conv_shortcut(x: jax.Array, y: jax.Array, train: bool, unit: Callable[..., Any], stride: int) -> jax.Array:
    """x, where y has its shape; otherwise a 1x1 convolution of it (He et al. 2016, option B)."""
    if x.shape == y.shape:
        return x
    return unit(y.shape[-1], 1, stride, activation=None, name="shortcut")(x, train)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside the shortcut."""

    width: int
    stride: int = 1
    last_scale: Initializer = zeros
    shortcut: Callable[..., jax.Array] = conv_shortcut
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        unit = partial(ConvNorm, compute=self.compute)
        y = unit(self.width, 3, self.stride, name="conv1")(x, train)
        y = unit(self.width, 3, activation=None, scale_init=self.last_scale, name="conv2")(y, train)
        return nn.relu(y + self.shortcut(x, y, train, unit, self.stride))


class Bottleneck(nn.Module):
    """1x1, 3x3 (strided, in groups), 1x1 to `expansion` times the width, beside the shortcut.

    `squeeze_excite` makes what stands behind the 3x3 (Radosavovic et al. 2020).
    """

    width: int
    stride: int = 1
    expansion: int = 4
    groups: int = 1
    squeeze_excite: Callable[..., SqueezeExcite] | None = None
    last_scale: Initializer = zeros
    shortcut: Callable[..., jax.Array] = conv_shortcut
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        unit = partial(ConvNorm, compute=self.compute)
        y = unit(self.width, 1, name="conv1")(x, train)
        y = unit(self.width, 3, self.stride, groups=self.groups, name="conv2")(y, train)
        if self.squeeze_excite is not None:
            y = self.squeeze_excite(name="squeeze_excite")(y)
        features = self.width * self.expansion
        y = unit(features, 1, activation=None, scale_init=self.last_scale, name="conv3")(y, train)
        return nn.relu(y + self.shortcut(x, y, train, unit, self.stride))


def strided_stages(
    depths: Iterable[int], widths: Iterable[int], block: Callable[..., nn.Module]
) -> list[tuple[Callable[..., nn.Module], ...]]:
    """What makes the blocks of each stage: the first of each but the first stage has stride 2."""
    stages: list[tuple[Callable[..., nn.Module], ...]] = []
    for depth, width in zip(depths, widths, strict=False):
        first = partial(block, width, 2 if stages else 1)
        stages.append((first, *[partial(block, width)] * (depth - 1)))
    return stages


class ResNet(Classifier):
    """A stem, a stage of blocks for each width, a global mean.

    Variants bring their own parts: `block=partial(Bottleneck, expansion=2)` with doubled `widths` is the wide network
    of Zagoruyko & Komodakis 2016; a `stem` and a `shortcut` of `block` are functions as `conv_stem`, `conv_shortcut`.
    """

    blocks: tuple[int, ...] = (2, 2, 2, 2)
    widths: tuple[int, ...] = (64, 128, 256, 512)
    block: Callable[..., nn.Module] = BasicBlock
    stem: Callable[..., jax.Array] = conv_stem
    small_images: bool = False
    zero_init_residual: bool = True
    dropout: float = 0.0

    @property
    def conventions(self) -> dict[str, Any]:
        return dataclasses.asdict(Origin())

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        unit = partial(maybe_remat(ConvNorm, self.compute), compute=self.compute)
        pool = partial(maybe_remat(Pool, self.compute, static_argnums=()), "max", window=3, stride=2, padding=1)
        x = self.stem(x, train, unit, pool, self.small_images)
        block = partial(self.block, last_scale=zeros if self.zero_init_residual else ones, compute=self.compute)
        return apply_stages(x, train, strided_stages(self.blocks, self.widths, block), self.compute).mean(axis=(1, 2))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(
            self.num_classes,
            dropout=self.dropout,
            initialization=INITIALIZATIONS["torch"],  # PyTorch's default for its last layer, as in torchvision
            compute=self.compute,
            name="head",
        )(x, train)


ResNet18 = partial(ResNet, blocks=(2, 2, 2, 2), block=BasicBlock)
ResNet34 = partial(ResNet, blocks=(3, 4, 6, 3), block=BasicBlock)
ResNet50 = partial(ResNet, blocks=(3, 4, 6, 3), block=Bottleneck)
ResNet101 = partial(ResNet, blocks=(3, 4, 23, 3), block=Bottleneck)
ResNet152 = partial(ResNet, blocks=(3, 8, 36, 3), block=Bottleneck)
# 32 groups of 4, 8, 16 and 32 channels.
ResNeXt50 = partial(
    ResNet, blocks=(3, 4, 6, 3), widths=(128, 256, 512, 1024), block=partial(Bottleneck, expansion=2, groups=32)
)
