"""The residual networks for images of 32x32 (He, Zhang, Ren & Sun 2016, section 4.2): 6 n + 2 layers, no projections.

The paper's recipe: batches of 128, SGD with momentum 0.9 and weight decay 1e-4, a rate of 0.1 divided by 10 after
32,000 and 48,000 of 64,000 steps; images padded by 4 pixels and cropped, and mirrored. Test errors on CIFAR-10: 8.75,
7.51, 7.17, 6.97 and 6.43 % with 20, 32, 44, 56 and 110 layers; the last began with a rate of 0.01 until the training
error was below 80 % (some 400 steps).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn.initializers import ones, zeros

from cnn_jax.models.blocks import ConvNorm, apply_stages
from cnn_jax.models.classifier import Classifier, Head
from cnn_jax.models.initializers import INITIALIZATIONS
from cnn_jax.models.layers import maybe_remat
from cnn_jax.models.resnet import BasicBlock, strided_stages


def zero_shortcut(x: jax.Array, y: jax.Array, train: bool, unit: Any, stride: int) -> jax.Array:
    """Every `stride`-th pixel of x, between channels of zeros: option A, which has no parameters.

    Half of the zeros come before the channels of x and half behind, as in github.com/akamaster/pytorch_resnet_cifar10.
    """
    missing = y.shape[-1] - x.shape[-1]
    around = (missing // 2, missing - missing // 2)
    return jnp.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), around))


class ResNetCifar(Classifier):
    """3x3 to 16 channels, three stages of `blocks` blocks with 16, 32 and 64 channels, a global mean."""

    blocks: int = 3
    widths: tuple[int, ...] = (16, 32, 64)
    zero_init_residual: bool = False
    dropout: float = 0.0

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        x = maybe_remat(ConvNorm, self.compute)(self.widths[0], 3, compute=self.compute, name="stem")(x, train)
        block = partial(
            BasicBlock,
            last_scale=zeros if self.zero_init_residual else ones,
            shortcut=zero_shortcut,
            compute=self.compute,
        )
        stages = strided_stages((self.blocks,) * len(self.widths), self.widths, block)
        return apply_stages(x, train, stages, self.compute).mean(axis=(1, 2))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(
            self.num_classes,
            dropout=self.dropout,
            initialization=INITIALIZATIONS["he_normal"],
            compute=self.compute,
            name="head",
        )(x, train)


ResNet20 = partial(ResNetCifar, blocks=3)
ResNet32 = partial(ResNetCifar, blocks=5)
ResNet44 = partial(ResNetCifar, blocks=7)
ResNet56 = partial(ResNetCifar, blocks=9)
ResNet110 = partial(ResNetCifar, blocks=18)
