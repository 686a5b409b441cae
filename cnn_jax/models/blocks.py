"""The blocks of published networks, and what differs between the libraries that trained them."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import flax.linen as nn
import jax
from jax.nn.initializers import Initializer, normal, ones, variance_scaling

from cnn_jax import ops
from cnn_jax.models.activations import Activation
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.conv_norm_act import conv_norm_act
from cnn_jax.models.initializers import Initialization
from cnn_jax.models.layers import Conv, Dense, Pool, make_norm, maybe_remat

# The gradient keeps its size on the way back (He et al. 2015, section 2.2), as in torchvision.
FAN_OUT = Initialization(variance_scaling(2.0, "fan_out", "normal"))
NORMAL_001 = Initialization(normal(0.01))  # of torchvision's last layers, with biases of zero


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a file of weights does not say, though its logits depend on it: how the library that trained it computes.

    Attributes:
      epsilon: of BatchNorm.
      momentum: the share of a running statistic that BatchNorm keeps at each step (PyTorch calls 1 minus it momentum).
      padding_mode: "zero": PyTorch's, the same on both sides; "same": TensorFlow's, which depends on the size.
    """

    epsilon: float = 1e-5
    momentum: float = 0.9
    padding_mode: str = "zero"


class ConvNorm(nn.Module):
    """Convolution without bias, BatchNorm, activation."""

    features: int
    kernel_size: int = 3
    stride: int = 1
    groups: int = 1
    activation: Activation | None = nn.relu
    scale_init: Initializer = ones
    origin: Origin = Origin()
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        conv = Conv(
            self.features,
            kernel_size=(self.kernel_size, self.kernel_size),
            stride=self.stride,
            padding_mode=self.origin.padding_mode,
            groups=self.groups,
            use_bias=False,
            initialization=FAN_OUT,
            compute=self.compute,
            name="conv",
        )
        norm = make_norm(
            "batch",
            self.compute,
            epsilon=self.origin.epsilon,
            momentum=self.origin.momentum,
            scale_init=self.scale_init,
            name="norm",
        )
        return conv_norm_act(x, conv, norm, self.activation, train=train)


class SqueezeExcite(nn.Module):
    """Each channel times a gate that the means of all channels give (Hu, Shen & Sun 2018, "Squeeze-and-excitation").

    [B, H, W, C] -> the same; two dense layers, `features` units between them.
    """

    features: int
    activation: Activation = nn.relu
    gate: Activation = nn.sigmoid
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        def dense(features: int, name: str) -> Dense:
            return Dense(features, initialization=FAN_OUT, compute=self.compute, name=name)

        squeezed = self.activation(dense(self.features, "reduce")(x.mean(axis=(1, 2))))
        gates = self.gate(dense(x.shape[-1], "expand")(squeezed))
        return x * gates[:, None, None, :]


class InvertedResidual(nn.Module):
    """1x1 to `expanded` channels, depthwise, 1x1 to `features` without activation; beside it the input, where it fits.

    Sandler et al. 2018, "MobileNetV2"; with `squeeze_excite` the block of MobileNetV3 and EfficientNet. The first part
    is left out where `expanded` is the number of channels already.

    Attributes:
      unit: makes a `ConvNorm` with the network's activation.
      squeeze_excite: makes what stands behind the depthwise convolution.
      stochastic_depth: how often in training an example passes by the block (Huang et al. 2016), and what is kept of
        the others' is scaled up for it, as in torchvision.
    """

    features: int
    expanded: int
    unit: Callable[..., Any]
    kernel_size: int = 3
    stride: int = 1
    squeeze_excite: Callable[..., SqueezeExcite] | None = None
    stochastic_depth: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y = x
        if self.expanded != x.shape[-1]:
            y = self.unit(self.expanded, 1, name="expand")(y, train)
        y = self.unit(self.expanded, self.kernel_size, self.stride, groups=self.expanded, name="depthwise")(y, train)
        if self.squeeze_excite is not None:
            y = self.squeeze_excite(name="squeeze_excite")(y)
        y = self.unit(self.features, 1, activation=None, name="project")(y, train)
        if self.stride > 1 or self.features != x.shape[-1]:
            return y
        return x + nn.Dropout(self.stochastic_depth, broadcast_dims=(1, 2, 3), deterministic=not train)(y)


class Stage(nn.Module):
    """Blocks in a row, named block1, block2 and so on."""

    blocks: tuple[Callable[..., nn.Module], ...]

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for i, block in enumerate(self.blocks, start=1):
            x = block(name=f"block{i}")(x, train)
        return x


class PlainConv(nn.Module):
    """Convolution with bias, BatchNorm if asked for, ReLU, maximum if asked for: what networks without shortcuts have.

    Attributes:
      response_norm: whether `ops.local_response_norm`, as in its paper, stands behind the ReLU.
      pool: makes the maximum.
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    padding_mode: str = "zero"
    groups: int = 1
    norm: str = "none"
    response_norm: bool = False
    pool: Callable[..., Pool] | None = None
    initialization: Initialization = FAN_OUT
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        conv = Conv(
            self.features,
            kernel_size=(self.kernel_size, self.kernel_size),
            stride=self.stride,
            padding_mode=self.padding_mode,
            groups=self.groups,
            initialization=self.initialization,
            compute=self.compute,
            name="conv",
        )
        norm = make_norm(self.norm, self.compute, name="norm")
        pool = None if self.pool is None else self.pool(name="pool")
        if not self.response_norm:
            return conv_norm_act(x, conv, norm, nn.relu, pool, train=train)
        y = ops.local_response_norm(conv_norm_act(x, conv, norm, nn.relu, train=train))
        return y if pool is None else pool(y)


def apply_stages(
    x: jax.Array, train: bool, stages: Iterable[tuple[Callable[..., nn.Module], ...]], compute: ComputeConfig
) -> jax.Array:
    """Stages in a row, named stage1, stage2 and so on; each is given as what makes its blocks, given a name."""
    for number, blocks in enumerate(stages, start=1):
        x = maybe_remat(Stage, compute)(blocks, name=f"stage{number}")(x, train)
    return x


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of the divisor, but none that is more than a tenth smaller (Sandler et al. 2018's code).

    >>> make_divisible(32 * 0.35), make_divisible(24 * 1.1)
    (16, 24)
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor
