"""ConvNeXt (Liu et al. 2022, "A ConvNet for the 2020s"); atto to nano are timm's."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax

from cnn_jax.models.blocks import Stage
from cnn_jax.models.classifier import Classifier, Head
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.layers import Conv, maybe_remat
from cnn_jax.models.transformer import EPSILON, SMALL_NORMAL, FeedForward, LayerScale, layer_norm, stochastic_depth


class Block(nn.Module):
    """Depthwise 7x7, LayerNorm, 1x1 to four times the channels, GELU, 1x1 back, a scale; beside it the input.

    Attributes:
      downsample_to: channels to which a LayerNorm and a 2x2 convolution with stride 2 go before all this; None: none
        do.
      layer_scale: what the scales begin with.
      stochastic_depth: how often in training an example passes by the block.
    """

    downsample_to: int | None = None
    layer_scale: float = 1e-6
    stochastic_depth: float = 0.0
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        if self.downsample_to is not None:
            x = Downsample(self.downsample_to, self.compute, name="downsample")(x)
        y = Conv(
            x.shape[-1],
            kernel_size=(7, 7),
            groups=x.shape[-1],
            initialization=SMALL_NORMAL,
            compute=self.compute,
            name="depthwise",
        )(x)
        y = FeedForward(compute=self.compute, name="mlp")(layer_norm(self.compute, "norm")(y))
        y = LayerScale(self.layer_scale, self.compute, name="layer_scale")(y)
        return x + stochastic_depth(y, self.stochastic_depth, train)


class Downsample(nn.Module):
    """[B, H, W, C] -> [B, H / 2, W / 2, features], rounded down."""

    features: int
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return patches(self.features, 2, self.compute, "conv")(layer_norm(self.compute, "norm")(x))


def patches(features: int, side: int, compute: ComputeConfig, name: str) -> Conv:
    """A convolution over squares of this side that lie side by side; what is left at the border is not seen."""
    return Conv(
        features,
        kernel_size=(side, side),
        stride=side,
        padding_mode="crop",
        initialization=SMALL_NORMAL,
        compute=compute,
        name=name,
    )


class Stem(nn.Module):
    """4x4 patches and a LayerNorm: [B, H, W, C] -> [B, H / 4, W / 4, features]."""

    features: int
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return layer_norm(self.compute, "norm")(patches(self.features, 4, self.compute, "conv")(x))


class ConvNeXt(Classifier):
    """A stem, four stages of blocks, a global mean, a LayerNorm.

    `config.keys` lists the choices; `depths` and `widths` are what the networks of the family differ in.
    """

    depths: tuple[int, ...] = (3, 3, 9, 3)
    widths: tuple[int, ...] = (96, 192, 384, 768)
    layer_scale: float = 1e-6
    stochastic_depth: float = 0.1
    dropout: float = 0.0

    @property
    def conventions(self) -> dict[str, Any]:
        return {"epsilon": EPSILON}

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        x = maybe_remat(Stem, self.compute, static_argnums=())(self.widths[0], self.compute, name="stem")(x)
        block, before = partial(Block, layer_scale=self.layer_scale, compute=self.compute), 0
        for number, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True), start=1):
            blocks = tuple(
                partial(
                    block,
                    downsample_to=width if number > 1 and i == 0 else None,
                    stochastic_depth=self.stochastic_depth * (before + i) / (sum(self.depths) - 1),  # it grows
                )
                for i in range(depth)
            )
            x = maybe_remat(Stage, self.compute)(blocks, name=f"stage{number}")(x, train)
            before += depth
        return layer_norm(self.compute, "norm")(x.mean(axis=(1, 2)))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(
            self.num_classes, dropout=self.dropout, initialization=SMALL_NORMAL, compute=self.compute, name="head"
        )(x, train)


ConvNeXtAtto = partial(ConvNeXt, depths=(2, 2, 6, 2), widths=(40, 80, 160, 320))
ConvNeXtFemto = partial(ConvNeXt, depths=(2, 2, 6, 2), widths=(48, 96, 192, 384))
ConvNeXtPico = partial(ConvNeXt, depths=(2, 2, 6, 2), widths=(64, 128, 256, 512))
ConvNeXtNano = partial(ConvNeXt, depths=(2, 2, 8, 2), widths=(80, 160, 320, 640))
ConvNeXtTiny = ConvNeXt
