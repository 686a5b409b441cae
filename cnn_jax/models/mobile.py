"""The frame of MobileNets and EfficientNets: inverted residuals between a convolution of 3x3 and one of 1x1."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax

from cnn_jax.models.activations import Activation
from cnn_jax.models.blocks import ConvNorm, Origin, apply_stages
from cnn_jax.models.classifier import Classifier
from cnn_jax.models.layers import maybe_remat

TORCHVISION = Origin()
TENSORFLOW = Origin(epsilon=1e-3, momentum=0.99, padding_mode="same")  # and timm's tf_*, which are Google's


class MobileClassifier(Classifier):
    """A network that several libraries have trained, each with conventions of its own.

    Attributes:
      origins: those of each library.
      origin: the library's name.
      width_multiplier: of the channels of all parts.
      dropout: before the last layer.
    """

    origins: ClassVar[Mapping[str, Origin]]
    origin: str = "torchvision"
    width_multiplier: float = 1.0
    dropout: float = 0.2

    @property
    def conventions(self) -> dict[str, Any]:
        return dataclasses.asdict(self.origins[self.origin])

    def unit(self, activation: Activation, kind: Callable[..., nn.Module] = ConvNorm) -> partial[nn.Module]:
        """What makes a `ConvNorm` as the library has it."""
        return partial(kind, activation=activation, origin=self.origins[self.origin], compute=self.compute)

    def features(
        self,
        x: jax.Array,
        train: bool,
        *,
        stem: int,
        stages: Sequence[tuple[Callable[..., nn.Module], ...]],
        last: int,
        activation: Activation,
    ) -> jax.Array:
        """3x3 with stride 2 to `stem` channels, the stages, 1x1 to `last` channels, the mean over all positions.

        [B, H, W, C] -> [B, last]. The parts are called stem, stage1, stage2 and so on; the last stage is the 1x1.

        Args:
          stages: of each what makes its blocks, given a name.
          activation: of the first and the last convolution.
        """
        unit = self.unit(activation, maybe_remat(ConvNorm, self.compute))
        x = apply_stages(unit(stem, 3, stride=2, name="stem")(x, train), train, stages, self.compute)
        return unit(last, 1, name=f"stage{len(stages) + 1}")(x, train).mean(axis=(1, 2))
