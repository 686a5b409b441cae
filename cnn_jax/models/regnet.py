"""RegNet (Radosavovic et al. 2020, "Designing network design spaces"): bottlenecks whose widths follow a line."""

import dataclasses
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.nn.initializers import ones

from cnn_jax.models.blocks import NORMAL_001, ConvNorm, Origin, SqueezeExcite, apply_stages, make_divisible
from cnn_jax.models.classifier import Classifier, Head
from cnn_jax.models.layers import maybe_remat
from cnn_jax.models.resnet import Bottleneck

# To a multiple of the group width. They part where a width lies half-way: 392 is 400 in torchvision, 384 in the paper.
_ROUNDED: dict[str, Callable[[int, int], int]] = {
    "torchvision": make_divisible,
    "timm": lambda width, group_width: round(width / group_width) * group_width,  # and the paper
}


def block_widths(depth: int, initial: int, slope: float, multiplier: float) -> list[int]:
    """The width of each block: a line, whose values are rounded to powers of the multiplier (eq. 2 to 4), then to 8.

    >>> block_widths(4, 24, 24.48, 2.54)
    [24, 64, 64, 64]
    """
    line = initial + slope * np.arange(depth)  # eq. 2
    powers = np.round(np.log(line / initial) / np.log(multiplier))  # eq. 3
    return [int(width) for width in 8 * np.round(initial * multiplier**powers / 8)]  # eq. 4


class RegNet(Classifier):
    """A 3x3 stem with stride 2, a stage for each width, a global mean; `config.keys` lists the choices.

    Attributes:
      depth: blocks of all stages together.
      initial_width, slope, multiplier: of `block_widths`.
      group_width: channels of each group of the 3x3 convolutions.
      squeezes: whether blocks have squeeze-and-excitation, to a quarter of the channels that enter the block: RegNetY.
    """

    depth: int = 22
    initial_width: int = 24
    slope: float = 24.48
    multiplier: float = 2.54
    group_width: int = 16
    squeezes: bool = False
    origin: str = "torchvision"
    dropout: float = 0.0

    @property
    def conventions(self) -> dict[str, Any]:
        return dataclasses.asdict(Origin())

    def _stages(self, entering: int) -> list[tuple[Callable[..., nn.Module], ...]]:
        stages: list[tuple[Callable[..., nn.Module], ...]] = []
        widths = block_widths(self.depth, self.initial_width, self.slope, self.multiplier)
        for width, same in itertools.groupby(widths):
            features = _ROUNDED[self.origin](width, self.group_width)
            blocks: list[Callable[..., nn.Module]] = []
            for i, _ in enumerate(same):
                squeeze = partial(SqueezeExcite, round(entering / 4), compute=self.compute)
                block = partial(
                    Bottleneck,
                    features,
                    stride=1 if i else 2,
                    expansion=1,
                    groups=features // self.group_width,
                    squeeze_excite=squeeze if self.squeezes else None,
                    last_scale=ones,
                    compute=self.compute,
                )
                blocks.append(block)
                entering = features
            stages.append(tuple(blocks))
        return stages

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        x = maybe_remat(ConvNorm, self.compute)(32, 3, stride=2, compute=self.compute, name="stem")(x, train)
        return apply_stages(x, train, self._stages(entering=32), self.compute).mean(axis=(1, 2))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        head = Head(
            self.num_classes, dropout=self.dropout, initialization=NORMAL_001, compute=self.compute, name="head"
        )
        return head(x, train)


RegNetX400MF = partial(RegNet, depth=22, initial_width=24, slope=24.48, multiplier=2.54, group_width=16)
RegNetX800MF = partial(RegNet, depth=16, initial_width=56, slope=35.73, multiplier=2.28, group_width=16)
_Y = partial(RegNet, squeezes=True)
RegNetY400MF = partial(_Y, depth=16, initial_width=48, slope=27.89, multiplier=2.09, group_width=8)
RegNetY800MF = partial(_Y, depth=14, initial_width=56, slope=38.84, multiplier=2.4, group_width=16)
