"""The network of the fastest trainings on CIFAR-10: a whitening layer, then groups of two or three convolutions."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import flax.linen as nn
import jax

from cnn_jax.models.layers import ACTIVATIONS, Classifier, Conv, Head, Pool, make_norm, stage
from cnn_jax.models.whitening import WINDOW, whitening_kernel


class Group(nn.Module):
    """Convolution, maximum, norm, activation; then one convolution, or two beside a way around them.

    [B, H, W, C] -> [B, H / 2, W / 2, filters].
    """

    filters: int
    convs: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    activation: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        def norm(number: int) -> nn.Module:
            return self.norm(train, path=self.path, name=f"norm{number}")

        x = self.conv(self.filters, name="conv1")(x, pool=Pool(name="pool"))
        x = entered = self.activation(norm(1)(x))
        for i in range(2, self.convs + 1):
            x = norm(i)(self.conv(self.filters, name=f"conv{i}")(x))
            x = self.activation(x + entered if i == 3 else x)
        return x


class SpeedNet(Classifier):
    """Jordan 2024, "94 % on CIFAR-10 in 3.29 seconds" (arXiv 2404.00498), figure 4; with 3 convolutions section 5.

    Normalisations have a bias but no scale, and epsilon 1e-12; the other convolutions and the last layer have no bias.
    `config.keys` lists the choices. Raises ValueError, naming the layer, where an image is too small for the groups.
    """

    filters: tuple[int, ...] = (64, 256, 256)
    convs_per_group: int = 2
    whitening: bool = True
    activation: str = "gelu"
    norm_momentum: float = 0.9
    logit_scale: float = 1 / 9
    initialization: str = "dirac"

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        conv: Any = partial(Conv, initialization=self.initialization, setting=self.setting)
        norm = partial(
            make_norm, "batch", setting=self.setting, epsilon=1e-12, momentum=self.norm_momentum, use_scale=False
        )  # fmt: skip
        act = ACTIVATIONS[self.activation]
        whiten = conv(2 * WINDOW**2 * x.shape[-1], kernel_size=(WINDOW, WINDOW), edges="crop", name="whiten")
        x = act(whiten(x))
        group = stage(Group, self.setting)
        for i, filters in enumerate(self.filters, start=1):
            parts = (filters, self.convs_per_group, partial(conv, use_bias=False), norm, act)
            x = group(*parts, name=f"group{i}")(x, train)
        return x.max(axis=(1, 2))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        head = Head(
            self.num_classes, initialization=self.initialization, setting=self.setting, use_bias=False, name="head"
        )
        return head(x, train) * self.logit_scale

    def from_data(self, batches: Iterable[jax.Array]) -> dict[str, Any]:
        return {"whiten": {"kernel": whitening_kernel(batches)}} if self.whitening else {}
