"""EfficientNet (Tan & Le 2019, "Rethinking model scaling for convolutional neural networks") and EfficientNet-Lite.

The Lite networks are those of tensorflow/tpu, models/official/efficientnet/lite: relu6, no squeeze-and-excitation, and
neither stem nor head grow with the rest.
"""

import math
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
from jax.nn.initializers import variance_scaling

from cnn_jax.models.activations import Activation, relu6
from cnn_jax.models.blocks import InvertedResidual, SqueezeExcite, make_divisible
from cnn_jax.models.classifier import Head
from cnn_jax.models.initializers import Initialization
from cnn_jax.models.mobile import TENSORFLOW, TORCHVISION, MobileClassifier

# Expansion, kernel size, stride, channels and blocks of each stage: table 1 of the paper.
STAGES = (
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)  # fmt: skip
# U(-1 / sqrt(classes), 1 / sqrt(classes)), and biases of zero.
_LAST = Initialization(variance_scaling(1 / 3, "fan_out", "uniform"))


class EfficientNet(MobileClassifier):
    """A stem, seven stages of inverted residuals, a 1x1 convolution, a global mean.

    `config.keys` lists the choices. What makes the networks of the family differ:

    Attributes:
      depth_multiplier: of the blocks of a stage (rounded up).
      squeezes: whether blocks have squeeze-and-excitation, to a quarter of the channels that enter the block.
      scales_ends: whether the stem, the depth of the first and of the last stage, and the last convolution scale too.
    """

    origins: ClassVar = {
        "torchvision": TORCHVISION,  # of B0 to B4, and timm's efficientnet_*
        "tensorflow": TENSORFLOW,
    }
    stages: tuple[tuple[int, int, int, int, int], ...] = STAGES
    depth_multiplier: float = 1.0
    activation: Activation = nn.silu
    squeezes: bool = True
    scales_ends: bool = True
    stochastic_depth: float = 0.2

    def _depth(self, stage: int, blocks: int) -> int:
        is_end = stage in (0, len(self.stages) - 1)
        return blocks if is_end and not self.scales_ends else math.ceil(blocks * self.depth_multiplier)

    def _blocks(self, stem: int) -> list[tuple[partial[InvertedResidual], ...]]:
        depths = [self._depth(i, row[-1]) for i, row in enumerate(self.stages)]
        unit = self.unit(self.activation)
        squeeze = partial(SqueezeExcite, activation=self.activation, compute=self.compute)
        stages, entering, before = [], stem, 0
        for (expansion, kernel_size, stride, channels, _), depth in zip(self.stages, depths, strict=True):
            features, blocks = make_divisible(channels * self.width_multiplier), []
            for i in range(depth):
                block = partial(
                    InvertedResidual,
                    features,
                    make_divisible(expansion * entering),
                    unit=unit,
                    kernel_size=kernel_size,
                    stride=stride if i == 0 else 1,
                    squeeze_excite=partial(squeeze, max(1, entering // 4)) if self.squeezes else None,
                    stochastic_depth=self.stochastic_depth * (before + i) / sum(depths),  # it grows with depth
                )
                blocks.append(block)
                entering = features
            stages.append(tuple(blocks))
            before += depth
        return stages

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        width = self.width_multiplier if self.scales_ends else 1.0
        stem = make_divisible(32 * width)
        return self.features(
            x,
            train,
            stem=stem,
            stages=self._blocks(stem),
            last=make_divisible(1280 * width),
            activation=self.activation,
        )

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        head = Head(self.num_classes, dropout=self.dropout, initialization=_LAST, compute=self.compute, name="head")
        return head(x, train)


EfficientNetB0 = EfficientNet
EfficientNetB1 = partial(EfficientNet, depth_multiplier=1.1)
EfficientNetB2 = partial(EfficientNet, width_multiplier=1.1, depth_multiplier=1.2, dropout=0.3)

EfficientNetLite0 = partial(EfficientNet, activation=relu6, squeezes=False, scales_ends=False, origin="tensorflow")
EfficientNetLite1 = partial(EfficientNetLite0, depth_multiplier=1.1)
EfficientNetLite2 = partial(EfficientNetLite0, width_multiplier=1.1, depth_multiplier=1.2, dropout=0.3)
