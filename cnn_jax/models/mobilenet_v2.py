"""MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov & Chen 2018): inverted residuals with linear bottlenecks."""

import dataclasses
from functools import partial
from typing import Any

import jax

from cnn_jax.models.activations import relu6
from cnn_jax.models.blocks import (
    NORMAL_001,
    ConvNorm,
    InvertedResidual,
    Origin,
    make_divisible,
    mobile_backbone,
)
from cnn_jax.models.layers import Classifier, Head

ORIGINS = {
    "torchvision": Origin(),  # and timm
    "tensorflow": Origin(epsilon=1e-3, momentum=0.999, padding_mode="same"),  # Keras
}
# Expansion, channels, blocks and stride of each stage: table 2 of the paper.
STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


class MobileNetV2(Classifier):
    """A stem, seven stages of inverted residuals, a 1x1 convolution to 1280 channels, a global mean.

    `config.keys` lists the choices.
    """

    stages: tuple[tuple[int, int, int, int], ...] = STAGES
    origin: str = "torchvision"
    width_multiplier: float = 1.0
    dropout: float = 0.2

    @property
    def conventions(self) -> dict[str, Any]:
        return dataclasses.asdict(ORIGINS[self.origin])

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        unit: dict[str, Any] = {"activation": relu6, "origin": ORIGINS[self.origin]}
        block = partial(InvertedResidual, unit=partial(ConvNorm, compute=self.compute, **unit))
        stem = entering = make_divisible(32 * self.width_multiplier)
        stages = []
        for expansion, channels, depth, stride in self.stages:
            features, blocks = make_divisible(channels * self.width_multiplier), []
            for i in range(depth):
                blocks.append(partial(block, features, expansion * entering, stride=stride if i == 0 else 1))
                entering = features
            stages.append(tuple(blocks))
        last = make_divisible(1280 * max(1.0, self.width_multiplier))
        return mobile_backbone(x, train, stem=stem, stages=stages, last=last, compute=self.compute, **unit)

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        head = Head(
            self.num_classes, dropout=self.dropout, initialization=NORMAL_001, compute=self.compute, name="head"
        )
        return head(x, train)
