"""Theoretical receptive fields: published tables, closed forms, and every kind of way that a program can take."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from cnn_jax.analysis.receptive_fields.field import Field
from cnn_jax.analysis.receptive_fields.theoretical import late_layers, receptive_field, receptive_fields
from cnn_jax.config.tree import default_config
from cnn_jax.models import Classifier, make_model
from cnn_jax.models.blocks import ConvNorm, Origin
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.layers import Conv, Pool
from cnn_jax.models.resnet import ResNet, conv_shortcut

IN_ORDER = ComputeConfig(in_order=True)
SAME = Origin(padding_mode="same")


def fields_of(module: nn.Module, shape: tuple[int, int, int] = (64, 64, 3), **arguments: Any) -> dict[str, Field]:
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, *shape)), **arguments))
    return receptive_fields(lambda weights, x: module.apply(weights, x, **arguments), variables, shape)  # type: ignore


def fields_of_model(name: str, shape: tuple[int, int, int] = (64, 64, 3), **keys: Any) -> dict[str, Field]:
    model = default_config(model=name).model
    model.update(keys)
    return fields_of(make_model(model, 10, in_order=True), shape)


def summary(field: Field) -> tuple[int, int | None, int]:
    """Size, stride and padding as in tables; rows and columns must agree."""
    assert field.stride is not None
    assert field.padding is not None
    for pair in (field.size, field.stride, field.padding):
        assert pair[0] == pair[1]
    return field.size[0], field.stride[0], field.padding[0]


class BottleneckV1(nn.Module):
    """Of He et al. 2016: the stride is in the first 1x1; torchvision's networks have it in the 3x3."""

    width: int
    stride: int = 1
    last_scale: Any = None
    compute: ComputeConfig = IN_ORDER

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        unit = partial(ConvNorm, compute=self.compute)
        y = unit(self.width, 1, self.stride, name="conv1")(x, train)
        y = unit(self.width, 3, name="conv2")(y, train)
        y = unit(4 * self.width, 1, activation=None, name="conv3")(y, train)
        return nn.relu(y + conv_shortcut(x, y, train, unit, self.stride))


def tensorflow_stem(x: jax.Array, train: bool, unit: Any, pool: Any, small_images: bool) -> jax.Array:
    x = unit(8, 7, stride=2, name="stem")(x, train)
    return nn.max_pool(x, (3, 3), (2, 2), "SAME")


def resnet_v1(*blocks: int) -> Classifier:
    return ResNet(blocks=blocks, widths=(8,) * 4, block=BottleneckV1, stem=tensorflow_stem, compute=IN_ORDER)


class MobileNetV1(nn.Module):
    """Howard et al. 2017, table 1: 3x3, then 13 times a depthwise 3x3 and a 1x1."""

    strides: tuple[int, ...] = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        unit = partial(ConvNorm, origin=SAME, compute=IN_ORDER)
        x = unit(8, 3, 2, name="stem")(x, False)
        for i, stride in enumerate(self.strides):
            x = unit(8, 3, stride, groups=8, name=f"depthwise{i}")(x, False)
            x = unit(8, 1, name=f"pointwise{i}")(x, False)
        return x


# Araujo, Norris & Sim 2019; alexnet_v2 there is slim's, whose first convolution pads nothing, as ours of 2012.
PUBLISHED: dict[str, tuple[Callable[[], nn.Module], int, str, tuple[int, int, int]]] = {
    "alexnet_v2": (lambda: made("alexnet_2012"), 227, "stage2/block3/pool", (195, 32, 64)),
    "vgg_16": (lambda: made("vgg16"), 64, "stage5/block3/pool", (212, 32, 90)),
    "mobilenet_v1": (MobileNetV1, 64, "pointwise12", (315, 32, 126)),
    "resnet_v1_50": (lambda: resnet_v1(3, 4, 6, 3), 64, "stage4", (483, 32, 239)),
}
DEEP = {
    "resnet_v1_101": (lambda: resnet_v1(3, 4, 23, 3), 64, "stage4", (1027, 32, 511)),
    "resnet_v1_152": (lambda: resnet_v1(3, 8, 36, 3), 64, "stage4", (1507, 32, 751)),
    "resnet_v1_200": (lambda: resnet_v1(3, 24, 36, 3), 64, "stage4", (1763, 32, 879)),
}


def made(name: str) -> Classifier:
    return make_model(default_config(model=name).model, 10, in_order=True)


@pytest.mark.parametrize("name", [*PUBLISHED, *(pytest.param(name, marks=pytest.mark.slow) for name in DEEP)])
def test_published_table(name: str) -> None:
    module, side, layer, expected = {**PUBLISHED, **DEEP}[name]
    field = fields_of(module(), (side, side, 3))[layer]
    assert summary(field) == expected
    assert field.is_aligned
    assert not field.whole_image


@pytest.mark.parametrize(
    ("name", "layer", "expected"),
    [
        ("resnet18", "stage4", (435, 32, 217)),
        ("resnet50", "stage4", (427, 32, 213)),  # its stride is in the 3x3: 56 pixels less
        ("alexnet", "stage2/block3/pool", (195, 32, 66)),  # it pads the image by 2
        ("mobilenet_v2", "stage8", (491, 32, 245)),
        ("cnn", "block2", (10, 4, 3)),
    ],
)
def test_closed_form(name: str, layer: str, expected: tuple[int, int, int]) -> None:
    """r = 1 + sum of (k - 1) times the strides before, along the longest way."""
    assert summary(fields_of_model(name, (96, 96, 3))[layer]) == expected


def test_centre_is_that_of_the_formula() -> None:
    """-padding + unit * stride + (size - 1) / 2 is the middle of the box."""
    field = fields_of_model("cnn", (32, 32, 3))["block2"]
    top, left, bottom, right = field.box((3, 4))
    assert (bottom - top, right - left) == field.size
    assert field.centre is not None
    assert ((top + bottom - 1) / 2, (left + right - 1) / 2) == (field.centre[0] + 3 * 4, field.centre[1] + 4 * 4)
    assert field.middle == (3, 3)
    assert field.share == pytest.approx(100 / 32**2)
    assert field.box((0, 0)) == (0, 0, 7, 7)


class Way(nn.Module):
    """Calls a function of what makes a named convolution, and the image."""

    function: Callable[..., jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Conv(2, (1, 1), name="last")(self.function(partial(Conv, 2, compute=IN_ORDER), x))


def halves_in_two_ways(conv: Any, x: jax.Array) -> jax.Array:
    return conv(stride=2, name="conv")(x) + conv(kernel_size=(1, 1), name="one")(Pool("mean", name="pool")(x))


WAYS: dict[str, tuple[Callable[..., jax.Array], tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    "dilated": (lambda c, x: nn.Conv(2, (3, 3), kernel_dilation=(2, 4))(x), (5, 9), (1, 1), (2, 4)),
    "tall": (lambda c, x: c(kernel_size=(5, 1), stride=2)(x), (5, 1), (2, 2), (2, 0)),
    "odd_padding": (lambda c, x: nn.Conv(2, (4, 4), padding=((3, 0), (1, 2)))(x), (4, 4), (1, 1), (3, 1)),
    "reflect": (lambda c, x: c(padding_mode="reflect")(c(padding_mode="reflect")(x)), (5, 5), (1, 1), (2, 2)),
    "wrap": (lambda c, x: c(padding_mode="wrap")(c(padding_mode="wrap")(x)), (5, 5), (1, 1), (2, 2)),
    "extend": (lambda c, x: c(padding_mode="extend")(c(padding_mode="extend")(x)), (5, 5), (1, 1), (2, 2)),
    "concatenated": (lambda c, x: jnp.concatenate([c()(x), c(kernel_size=(5, 5))(x)], -1), (5, 5), (1, 1), (2, 2)),
    "pooled_by_reshape": (lambda c, x: x.reshape(1, 8, 2, 8, 2, 3).max((2, 4)), (2, 2), (2, 2), (0, 0)),
    "padded_and_cut": (lambda c, x: jnp.pad(x, ((0, 0), (2, 1), (0, 3), (0, 0)))[:, 1::3], (1, 1), (3, 1), (1, 0)),
    "tokens_and_back": (lambda c, x: c()(x.reshape(1, 256, 3).reshape(1, 16, 16, 3)), (3, 3), (1, 1), (1, 1)),
    "upsampled": (lambda c, x: c()(jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)), (2, 2), (1, 1), (0, 0)),
    "checkpointed": (lambda c, x: jax.checkpoint(lambda y: nn.avg_pool(y, (3, 3), (2, 2)))(x), (3, 3), (2, 2), (0, 0)),
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_through_a_program(way: str) -> None:
    function, size, stride, padding = WAYS[way]
    field = fields_of(Way(function), (16, 16, 3))["last"]
    assert (field.size, field.stride, field.padding) == (size, stride, padding)
    assert field.is_aligned
    assert not field.whole_image


def test_misaligned_ways_are_named() -> None:
    """A 3x3 with stride 2 is centred on pixels, the mean of 2x2 between them: half a pixel apart, for good."""
    fields = fields_of(Way(halves_in_two_ways), (16, 16, 3))
    field = fields["last"]
    assert not field.is_aligned
    assert [(path.source, path.stride, path.centre) for path in field.paths] == [
        ("conv", (2, 2), (0.0, 0.0)),
        ("one", (2, 2), (0.5, 0.5)),
    ]
    coatnet = fields_of_model("coatnet_0")
    assert next(name for name, field in coatnet.items() if field.paths) == "stage1/block1"
    assert not coatnet["stage4"].is_aligned
    assert coatnet["stem"].is_aligned


def test_squeeze_sees_whole_image_besides() -> None:
    fields = fields_of_model("mobilenet_v3_small", (64, 64, 3))
    before, field = fields["stage1/block1/depthwise"], fields["stage1/block1/squeeze_excite"]
    assert not before.whole_image
    assert before.share < 1
    assert field.whole_image
    assert field.share == 1
    assert (field.size, field.stride) == (before.size, before.stride) == ((7, 7), (4, 4))
    assert fields["stage1/block1/squeeze_excite/expand"].local is None


def test_tokens_keep_their_patch() -> None:
    fields = fields_of_model("vit_tiny", (64, 64, 3))
    assert summary(fields["block1/attention/query"]) == (16, 16, 0)
    assert fields["block1/attention/query"].box((6,)) == (16, 16, 32, 32)  # the first one is the class token
    assert not fields["block1/attention/query"].whole_image
    assert fields["block1/attention"].whole_image
    assert fields["block1/attention"].box((6,)) == (0, 0, 64, 64)
    assert fields["norm"].local is None
    assert fields["norm"].whole_image


def test_pixels_that_no_kernel_reaches() -> None:
    """30 or 46 pixels by patches of 4: two are left over, and not even the mean over the map sees them."""
    field = fields_of_model("convnext_atto", (46, 46, 3))["stem"]
    assert field.box((10, 10)) == (40, 40, 44, 44)
    logits = fields_of(
        Way(lambda conv, x: nn.Conv(2, (4, 4), (4, 4), "VALID")(x).mean((1, 2), keepdims=True)), (30, 30, 3)
    )
    assert logits["last"].local is None
    assert not logits["last"].whole_image
    assert logits["last"].box(()) == (0, 0, 28, 28)


def test_layers_beyond_the_image_are_named() -> None:
    """In ResNet-20 the field is 31 before stage2/block3/conv1 and 33 behind it; the next 3x3 begins beyond 32."""
    fields = fields_of_model("resnet20", (32, 32, 3))
    assert fields["stage2/block3/conv1"].size == (33, 33)
    assert late_layers(fields)[0] == "stage2/block3/conv2/conv"
    assert not late_layers(fields_of_model("resnet20", (96, 96, 3)))
    assert late_layers(fields_of_model("cnn", (8, 8, 1))) == []


def test_field_of_a_model_is_its_last_maps() -> None:
    field = receptive_field(made("lenet5"), (28, 28, 1))
    assert (field.name, summary(field)) == ("pool2", (16, 4, 2))
    assert receptive_field(made("mlp"), (28, 28, 1)).whole_image
