"""The network of the fastest trainings on CIFAR-10: a whitening layer, then groups of two or three convolutions."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import flax.linen as nn
import jax

from cnn_jax.models.activations import Activation, gelu
from cnn_jax.models.classifier import Classifier, Head
from cnn_jax.models.conv_norm_act import conv_norm_act
from cnn_jax.models.initializers import INITIALIZATIONS, Initialization
from cnn_jax.models.layers import Conv, Pool, make_norm, maybe_remat
from cnn_jax.models.whitening import WINDOW, whitening_kernel


class Group(nn.Module):
    """Convolution, maximum, norm, activation; then one convolution, or two beside a way around them.

    [B, H, W, C] -> [B, H / 2, W / 2, filters].
    """

    filters: int
    convs: int
    conv: Callable[..., Conv]
    norm: Callable[..., nn.Module]
    activation: Activation

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        def unit(i: int, x: jax.Array, act: Activation | None, pool: Pool | None = None) -> jax.Array:
            conv, norm = self.conv(self.filters, name=f"conv{i}"), self.norm(name=f"norm{i}")
            return conv_norm_act(x, conv, norm, act, pool, train=train, pool_before_norm=True)

        act = self.activation
        entered = unit(1, x, act, Pool(name="pool"))
        x = unit(2, entered, act)
        return x if self.convs == 2 else act(unit(3, x, None) + entered)


class SpeedNet(Classifier):
    """Jordan 2024, "94 % on CIFAR-10 in 3.29 seconds" (arXiv 2404.00498), figure 4; with 3 convolutions section 5.

    Normalisations have a bias but no scale, and epsilon 1e-12; the other convolutions and the last layer have no bias.
    `config.keys` lists the choices. Raises ValueError, naming the layer, where an image is too small for the groups.
    """

    filters: tuple[int, ...] = (64, 256, 256)
    convs_per_group: int = 2
    whitening: bool = True
    activation: Activation = gelu
    norm_momentum: float = 0.9
    logit_scale: float = 1 / 9
    initialization: Initialization = INITIALIZATIONS["dirac"]

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        conv = partial(Conv, initialization=self.initialization, compute=self.compute)
        group = partial(
            maybe_remat(Group, self.compute),
            convs=self.convs_per_group,
            conv=partial(conv, use_bias=False),
            norm=partial(
                make_norm, "batch", compute=self.compute, epsilon=1e-12, momentum=self.norm_momentum, use_scale=False
            ),
            activation=self.activation,
        )
        whiten = conv(2 * WINDOW**2 * x.shape[-1], kernel_size=(WINDOW, WINDOW), padding_mode="crop", name="whiten")
        x = conv_norm_act(x, whiten, act=self.activation, train=train)
        for i, filters in enumerate(self.filters, start=1):
            x = group(filters, name=f"group{i}")(x, train)
        return x.max(axis=(1, 2))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        head = Head(
            self.num_classes, use_bias=False, initialization=self.initialization, compute=self.compute, name="head"
        )
        return head(x, train) * self.logit_scale

    def from_data(self, batches: Iterable[jax.Array]) -> dict[str, Any]:
        return {"whiten": {"kernel": whitening_kernel(batches)}} if self.whitening else {}
