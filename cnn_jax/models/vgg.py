"""VGG (Simonyan & Zisserman 2015): convolutions of 3x3 in five stages, then two large dense layers."""

import dataclasses
from functools import partial
from typing import Any

import jax

from cnn_jax import ops
from cnn_jax.models.blocks import NORMAL_001, Origin, PlainConv, apply_stages
from cnn_jax.models.classifier import Classifier, Head
from cnn_jax.models.layers import Pool, flatten


class VGG(Classifier):
    """`blocks` convolutions in each stage, a maximum behind each; 7x7 means, the identity for images of 224x224.

    With norm="batch" each convolution keeps its bias, as in torchvision. `embed` gives the 25,088 flattened means that
    the head's hidden layers see.
    """

    blocks: tuple[int, ...] = (1, 1, 2, 2, 2)
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    hidden: tuple[int, ...] = (4096, 4096)
    norm: str = "none"
    dropout: float = 0.5

    @property
    def conventions(self) -> dict[str, Any]:
        return dataclasses.asdict(Origin()) if self.norm == "batch" else {}

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        block, pool = partial(PlainConv, norm=self.norm, compute=self.compute), partial(Pool, "max")
        stages = [
            (*[partial(block, width)] * (depth - 1), partial(block, width, pool=pool))
            for depth, width in zip(self.blocks, self.widths, strict=True)
        ]
        return flatten(ops.adaptive_mean_pool(apply_stages(x, train, stages, self.compute), (7, 7)))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(
            self.num_classes,
            hidden=self.hidden,
            dropout=(0.0, *[self.dropout] * len(self.hidden)),
            initialization=NORMAL_001,
            compute=self.compute,
            name="head",
        )(x, train)


VGG11 = partial(VGG, blocks=(1, 1, 2, 2, 2))
VGG13 = partial(VGG, blocks=(2, 2, 2, 2, 2))
VGG16 = partial(VGG, blocks=(2, 2, 3, 3, 3))
VGG19 = partial(VGG, blocks=(2, 2, 4, 4, 4))

VGG11BN = partial(VGG11, norm="batch")
VGG13BN = partial(VGG13, norm="batch")
VGG16BN = partial(VGG16, norm="batch")
VGG19BN = partial(VGG19, norm="batch")
