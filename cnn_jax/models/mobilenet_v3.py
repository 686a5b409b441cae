"""MobileNetV3 (Howard et al. 2019, "Searching for MobileNetV3"), tables 1 and 2."""

from functools import partial
from typing import ClassVar, NamedTuple

import flax.linen as nn
import jax

from cnn_jax.models.activations import hard_sigmoid, hard_swish
from cnn_jax.models.blocks import NORMAL_001, InvertedResidual, Origin, SqueezeExcite, make_divisible
from cnn_jax.models.classifier import Head
from cnn_jax.models.mobile import TENSORFLOW, MobileClassifier


class Row(NamedTuple):
    """A block, as the paper's tables have it: "SE" and "HS" are `squeezes` and `hard_swish`."""

    kernel_size: int
    expanded: int
    channels: int
    stride: int = 1
    squeezes: bool = False
    hard_swish: bool = True


_relu = partial(Row, hard_swish=False)
# A stage ends where the next block changes the resolution or the number of channels.
LARGE = (
    (_relu(3, 16, 16),),
    (_relu(3, 64, 24, 2), _relu(3, 72, 24)),
    (_relu(5, 72, 40, 2, True), _relu(5, 120, 40, 1, True), _relu(5, 120, 40, 1, True)),
    (Row(3, 240, 80, 2), Row(3, 200, 80), Row(3, 184, 80), Row(3, 184, 80)),
    (Row(3, 480, 112, 1, True), Row(3, 672, 112, 1, True)),
    (Row(5, 672, 160, 2, True), Row(5, 960, 160, 1, True), Row(5, 960, 160, 1, True)),
)
SMALL = (
    (_relu(3, 16, 16, 2, True),),
    (_relu(3, 72, 24, 2), _relu(3, 88, 24)),
    (Row(5, 96, 40, 2, True), Row(5, 240, 40, 1, True), Row(5, 240, 40, 1, True)),
    (Row(5, 120, 48, 1, True), Row(5, 144, 48, 1, True)),
    (Row(5, 288, 96, 2, True), Row(5, 576, 96, 1, True), Row(5, 576, 96, 1, True)),
)


class MobileNetV3(MobileClassifier):
    """A stem, stages of inverted residuals, a 1x1 convolution, a global mean; the head has a hidden layer.

    `config.keys` lists the choices; `MobileNetV3Large` and `MobileNetV3Small` are the paper's.
    """

    origins: ClassVar = {
        "torchvision": Origin(epsilon=1e-3, momentum=0.99),
        "timm": Origin(),
        "tensorflow": TENSORFLOW,
    }
    stages: tuple[tuple[Row, ...], ...] = LARGE
    hidden: int = 1280

    def _channels(self, channels: int) -> int:
        return make_divisible(channels * self.width_multiplier)

    def _block(self, row: Row) -> partial[InvertedResidual]:
        expanded = self._channels(row.expanded)
        squeeze = partial(SqueezeExcite, make_divisible(expanded // 4), gate=hard_sigmoid, compute=self.compute)
        return partial(
            InvertedResidual,
            self._channels(row.channels),
            expanded,
            kernel_size=row.kernel_size,
            stride=row.stride,
            squeeze_excite=squeeze if row.squeezes else None,
            unit=self.unit(hard_swish if row.hard_swish else nn.relu),
        )

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        return self.features(
            x,
            train,
            stem=self._channels(16),
            stages=[tuple(self._block(row) for row in rows) for rows in self.stages],
            last=6 * self._channels(self.stages[-1][-1].channels),
            activation=hard_swish,
        )

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(
            self.num_classes,
            hidden=(self._channels(self.hidden),),
            dropout=(0.0, self.dropout),
            activation=hard_swish,
            initialization=NORMAL_001,
            compute=self.compute,
            name="head",
        )(x, train)


MobileNetV3Large = partial(MobileNetV3, stages=LARGE, hidden=1280)
MobileNetV3Small = partial(MobileNetV3, stages=SMALL, hidden=1024)
