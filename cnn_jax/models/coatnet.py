"""CoAtNet (Dai, Liu, Le & Tan 2021, "Marrying convolution and attention for all data sizes").

`CoAtNet0` is the paper's; `CoAtNet0RW` is what timm calls coatnet_0_rw: another network, for which there are weights.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.errors import InputError
from cnn_jax.models.activations import Activation, gelu
from cnn_jax.models.blocks import FAN_OUT, ConvNorm, Origin, SqueezeExcite, Stage, make_divisible
from cnn_jax.models.classifier import Classifier, Head
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.initializers import INITIALIZATIONS
from cnn_jax.models.layers import Conv, Pool, make_norm, maybe_remat
from cnn_jax.models.transformer import EPSILON, Attention, FeedForward, layer_norm, stochastic_depth

_GLOROT = INITIALIZATIONS["glorot_uniform"]  # of the attention's layers, as in timm
HEAD_SIZE = 32


class Stem(nn.Module):
    """3x3 with stride 2, BatchNorm, activation, 3x3: [B, H, W, C] -> [B, H / 2, W / 2, widths[1]]."""

    widths: tuple[int, int]
    activation: Activation
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        first, second = self.widths
        x = ConvNorm(first, 3, stride=2, activation=self.activation, compute=self.compute, name="conv1")(x, train)
        return Conv(second, use_bias=False, initialization=FAN_OUT, compute=self.compute, name="conv2")(x)


class Shortcut(nn.Module):
    """Means of 2x2 where the block halves the map, and 1x1 where it has other channels."""

    features: int
    halves: bool
    use_bias: bool = True
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = Pool("mean", name="pool")(x) if self.halves else x
        if self.features == x.shape[-1]:
            return x
        return Conv(
            self.features,
            kernel_size=(1, 1),
            use_bias=self.use_bias,
            initialization=FAN_OUT,
            compute=self.compute,
            name="conv",
        )(x)


class MBConv(nn.Module):
    """BatchNorm, 1x1 to more channels, depthwise 3x3, squeeze-and-excitation, 1x1 to `features`; beside it the input.

    Attributes:
      features: channels that leave.
      halves: whether the map that leaves has half the height and width.
      expands_features: whether the depthwise convolution has four times the channels that leave, and
        squeeze-and-excitation a quarter of these; otherwise it is those that enter, and a quarter of the four times.
      pre_activation: whether the activation follows the first BatchNorm, too.
      pools: whether means of 2x2 halve the map, before the first 1x1; otherwise the depthwise convolution has a stride.
      squeezes_early: whether squeeze-and-excitation comes before the depthwise convolution's BatchNorm.
      squeeze_activation: the one inside squeeze-and-excitation.
      use_bias: of the last 1x1 and of the shortcut.
      stochastic_depth: how often in training an example passes by the block.
    """

    features: int
    halves: bool = False
    expands_features: bool = True
    activation: Activation = gelu
    pre_activation: bool = False
    pools: bool = False
    squeezes_early: bool = False
    squeeze_activation: Activation = nn.silu
    use_bias: bool = True
    stochastic_depth: float = 0.0
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        expanded = make_divisible(4 * (self.features if self.expands_features else x.shape[-1]))
        conv = partial(Conv, initialization=FAN_OUT, compute=self.compute)
        squeezed = (self.features if self.expands_features else expanded) // 4
        squeeze = SqueezeExcite(squeezed, self.squeeze_activation, compute=self.compute, name="squeeze_excite")

        def norm(y: jax.Array, name: str) -> jax.Array:
            return make_norm("batch", self.compute, name=name)(y, use_running_average=not train)  # type: ignore[misc]

        y = norm(x, "pre_norm")
        y = self.activation(y) if self.pre_activation else y
        y = Pool("mean", name="pool")(y) if self.pools and self.halves else y
        y = ConvNorm(expanded, 1, activation=self.activation, compute=self.compute, name="expand")(y, train)
        stride = 2 if self.halves and not self.pools else 1
        y = conv(expanded, stride=stride, groups=expanded, use_bias=False, name="depthwise")(y)
        y = squeeze(y) if self.squeezes_early else y
        y = self.activation(norm(y, "norm"))
        y = y if self.squeezes_early else squeeze(y)
        y = conv(self.features, kernel_size=(1, 1), use_bias=self.use_bias, name="project")(y)
        shortcut = Shortcut(self.features, self.halves, self.use_bias, self.compute, name="shortcut")
        return shortcut(x) + stochastic_depth(y, self.stochastic_depth, train)


class TransformerBlock(nn.Module):
    """x + attention(norm(x)) with relative positions, and of that x + mlp(norm(x)): [B, H, W, C] -> `features`.

    Attributes:
      halves: whether the map that leaves has half the height and width.
      expands_first: whether queries, keys and values have the channels that leave; otherwise those that enter.
      use_bias: of the shortcut.
    """

    features: int
    halves: bool = False
    expands_first: bool = True
    use_bias: bool = True
    stochastic_depth: float = 0.0
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        shortcut = Shortcut(self.features, self.halves, self.use_bias, self.compute, name="shortcut")
        y = layer_norm(self.compute, "norm1")(x)
        y = Pool("mean", name="pool")(y) if self.halves else y
        batch, height, width, channels = y.shape
        attention = Attention(
            self.features,
            (self.features if self.expands_first else channels) // HEAD_SIZE,
            HEAD_SIZE,
            grid=(height, width),
            initialization=_GLOROT,
            compute=self.compute,
            name="attention",
        )
        y = attention(y.reshape(batch, height * width, channels)).reshape(batch, height, width, self.features)
        x = shortcut(x) + stochastic_depth(y, self.stochastic_depth, train)
        mlp = FeedForward(initialization=_GLOROT, compute=self.compute, name="mlp")
        return x + stochastic_depth(mlp(layer_norm(self.compute, "norm2")(x)), self.stochastic_depth, train)


class CoAtNet(Classifier):
    """A convolutional stem, two stages of MBConv, two of attention; each halves the map.

    `config.keys` lists the choices. Raises InputError where a side of the images is no multiple of 32.

    Attributes:
      blocks: of each stage, what makes a block of a number of features.
      hidden: units of the head's hidden layer, a tanh behind it; the LayerNorm is then of the mean of the last map.
        None: there is no such layer, and the mean is that of the normalised map.
    """

    depths: tuple[int, ...] = (2, 3, 5, 2)
    widths: tuple[int, ...] = (96, 192, 384, 768)
    stem: tuple[int, int] = (64, 64)
    blocks: tuple[Callable[..., Any], ...] = (MBConv, MBConv, TransformerBlock, TransformerBlock)
    activation: Activation = gelu
    hidden: int | None = 768
    stochastic_depth: float = 0.2
    dropout: float = 0.0

    @property
    def conventions(self) -> dict[str, Any]:
        return {"epsilon": EPSILON, "batch_norm_epsilon": Origin().epsilon}

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        if x.shape[1] % 32 or x.shape[2] % 32:
            raise InputError(f"images of {x.shape[1]}x{x.shape[2]} cannot be halved five times; choose multiples of 32")
        x = maybe_remat(Stem, self.compute)(self.stem, self.activation, self.compute, name="stem")(x, train)
        before = 0
        for number, (depth, width, block) in enumerate(
            zip(self.depths, self.widths, self.blocks, strict=True), start=1
        ):
            blocks = tuple(
                partial(
                    block,
                    width,
                    halves=i == 0,
                    stochastic_depth=self.stochastic_depth * (before + i) / (sum(self.depths) - 1),  # it grows
                    compute=self.compute,
                )
                for i in range(depth)
            )
            x = maybe_remat(Stage, self.compute)(blocks, name=f"stage{number}")(x, train)
            before += depth
        norm = layer_norm(self.compute, "norm")
        return norm(x).mean(axis=(1, 2)) if self.hidden is None else norm(x.mean(axis=(1, 2)))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(
            self.num_classes,
            hidden=() if self.hidden is None else (self.hidden,),
            dropout=self.dropout if self.hidden is None else (0.0, self.dropout),
            activation=jnp.tanh,
            initialization=INITIALIZATIONS["truncated_normal"],
            compute=self.compute,
            name="head",
        )(x, train)


CoAtNet0 = CoAtNet
_MBConvRW = partial(
    MBConv,
    expands_features=False,
    activation=nn.silu,
    pre_activation=True,
    pools=True,
    squeezes_early=True,
    squeeze_activation=nn.relu,
    use_bias=False,
)
_TransformerBlockRW = partial(TransformerBlock, expands_first=False, use_bias=False)
CoAtNet0RW = partial(
    CoAtNet,
    depths=(2, 3, 7, 2),
    stem=(32, 64),
    blocks=(_MBConvRW, _MBConvRW, _TransformerBlockRW, _TransformerBlockRW),
    activation=nn.silu,
    hidden=None,
)
