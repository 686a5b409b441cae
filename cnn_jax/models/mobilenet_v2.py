"""MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov & Chen 2018): inverted residuals with linear bottlenecks."""

import dataclasses
from functools import partial
from typing import ClassVar

import jax

from cnn_jax.models.activations import relu6
from cnn_jax.models.blocks import NORMAL_001, InvertedResidual, make_divisible
from cnn_jax.models.classifier import Head
from cnn_jax.models.mobile import TENSORFLOW, TORCHVISION, MobileClassifier

# Expansion, channels, blocks and stride of each stage: table 2 of the paper.
STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


class MobileNetV2(MobileClassifier):
    """A stem, seven stages of inverted residuals, a 1x1 convolution to 1280 channels, a global mean.

    `config.keys` lists the choices.
    """

    origins: ClassVar = {
        "torchvision": TORCHVISION,  # and timm
        "tensorflow": dataclasses.replace(TENSORFLOW, momentum=0.999),  # Keras
    }
    stages: tuple[tuple[int, int, int, int], ...] = STAGES

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        block = partial(InvertedResidual, unit=self.unit(relu6))
        stem = entering = make_divisible(32 * self.width_multiplier)
        stages = []
        for expansion, channels, depth, stride in self.stages:
            features, blocks = make_divisible(channels * self.width_multiplier), []
            for i in range(depth):
                blocks.append(partial(block, features, expansion * entering, stride=stride if i == 0 else 1))
                entering = features
            stages.append(tuple(blocks))
        last = make_divisible(1280 * max(1.0, self.width_multiplier))
        return self.features(x, train, stem=stem, stages=stages, last=last, activation=relu6)

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        head = Head(
            self.num_classes, dropout=self.dropout, initialization=NORMAL_001, compute=self.compute, name="head"
        )
        return head(x, train)
