"""The table of layers: published counts, and counts by hand."""

from functools import partial
from typing import Any

import jax
import pytest

from cnn_jax.config.tree import default_config
from cnn_jax.models import make_model, make_table
from cnn_jax.models.layers import Pool
from cnn_jax.models.lenet import LeNet5
from cnn_jax.models.resnet import Bottleneck, ResNet, conv_shortcut
from cnn_jax.models.speednet import SpeedNet


@pytest.mark.parametrize(
    ("name", "shape", "classes", "parameters", "billions"),
    [
        ("lenet5", (28, 28, 1), 10, 61_706, None),
        ("resnet18", (224, 224, 3), 1000, 11_689_512, 1.814),
        ("resnet34", (224, 224, 3), 1000, 21_797_672, 3.664),
        ("resnet50", (224, 224, 3), 1000, 25_557_032, 4.089),
        ("resnet101", (224, 224, 3), 1000, 44_549_160, 7.801),
        ("resnet152", (224, 224, 3), 1000, 60_192_808, 11.514),
        ("resnext50_32x4d", (224, 224, 3), 1000, 25_028_904, 4.23),
        ("regnet_x_400mf", (224, 224, 3), 1000, 5_495_976, 0.414),
        ("regnet_x_800mf", (224, 224, 3), 1000, 7_259_656, 0.8),
        ("regnet_y_400mf", (224, 224, 3), 1000, 4_344_144, 0.402),
        ("regnet_y_800mf", (224, 224, 3), 1000, 6_432_512, 0.834),
        ("alexnet", (224, 224, 3), 1000, 61_100_840, 0.714),
        ("vgg11", (224, 224, 3), 1000, 132_863_336, 7.609),
        ("vgg13", (224, 224, 3), 1000, 133_047_848, 11.308),
        ("vgg16", (224, 224, 3), 1000, 138_357_544, 15.47),
        ("vgg19", (224, 224, 3), 1000, 143_667_240, 19.632),
        ("vgg11_bn", (224, 224, 3), 1000, 132_868_840, 7.609),
        ("vgg13_bn", (224, 224, 3), 1000, 133_053_736, 11.308),
        ("vgg16_bn", (224, 224, 3), 1000, 138_365_992, 15.47),
        ("vgg19_bn", (224, 224, 3), 1000, 143_678_248, 19.632),
        # Krizhevsky et al. 2012, layer by layer
        ("alexnet_2012", (227, 227, 3), 1000,
         34_944 + 307_456 + 885_120 + 663_936 + 442_624 + 37_752_832 + 16_781_312 + 4_097_000, 0.724),
        # He et al. 2016, table 6: 0.27, 0.46, 0.66, 0.85 and 1.7 million
        ("resnet20", (32, 32, 3), 10, 269_722, None),
        ("resnet32", (32, 32, 3), 10, 464_154, None),
        ("resnet44", (32, 32, 3), 10, 658_586, None),
        ("resnet56", (32, 32, 3), 10, 853_018, None),
        ("resnet110", (32, 32, 3), 10, 1_727_962, None),
        ("speednet", (32, 32, 3), 10, 1_971_352 + 2 * 2 * 3 * 24, None),  # Jordan 2024, whose first kernel is frozen
        # torchvision's
        ("mobilenet_v2", (224, 224, 3), 1000, 3_504_872, 0.301),
        ("mobilenet_v3_small", (224, 224, 3), 1000, 2_542_856, 0.057),
        ("mobilenet_v3_large", (224, 224, 3), 1000, 5_483_032, 0.217),
        ("efficientnet_b0", (224, 224, 3), 1000, 5_288_548, 0.386),
        ("efficientnet_b1", (240, 240, 3), 1000, 7_794_184, 0.687),
        ("efficientnet_b2", (288, 288, 3), 1000, 9_109_994, 1.088),
        # of the published files
        ("efficientnet_lite0", (224, 224, 3), 1000, 4_652_008, None),
        ("efficientnet_lite1", (240, 240, 3), 1000, 5_416_680, None),
        ("efficientnet_lite2", (260, 260, 3), 1000, 6_092_072, None),
        ("linear", (28, 28, 1), 10, 7_850, None),
        ("mlp", (28, 28, 1), 10, 784 * 512 + 512 + 512 * 256 + 256 + 256 * 10 + 10, None),
    ],
)  # fmt: skip
def test_published_counts(
    name: str, shape: tuple[int, int, int], classes: int, parameters: int, billions: float | None
) -> None:
    """Multiply-adds are of torchvision's model pages, to their last digit; alexnet_2012's of its paper's layers.

    They count convolutions and dense layers, as we do.
    """
    table = make_table(make_model(default_config(name).model, classes), shape)
    assert table.parameters == parameters
    assert billions in (None, round(table.multiply_adds / 1e9, 3))


def deep_stem(x: Any, train: bool, unit: Any, pool: Any, small_images: bool) -> Any:
    """Three 3x3 convolutions (He et al. 2019, "Bag of tricks", ResNet-C)."""
    for i, (features, stride) in enumerate(((32, 2), (32, 1), (64, 1)), start=1):
        x = unit(features, 3, stride, name=f"stem{i}")(x, train)
    return pool(name="stem_pool")(x)


def mean_shortcut(x: Any, y: Any, train: bool, unit: Any, stride: int) -> Any:
    """A mean takes the stride (ResNet-D)."""
    x = Pool("mean", stride, stride, name="shortcut_pool")(x) if stride > 1 else x
    return conv_shortcut(x, y, train, unit, stride=1)


@pytest.mark.parametrize(
    ("parts", "parameters"),
    [
        ({"stem": deep_stem, "block": partial(Bottleneck, shortcut=mean_shortcut)}, 25_576_264),  # timm's resnet50d
        # torchvision's wide_resnet50_2
        ({"widths": (128, 256, 512, 1024), "block": partial(Bottleneck, expansion=2)}, 68_883_240),
    ],
)
def test_published_counts_of_resnet_variants(parts: dict[str, Any], parameters: int) -> None:
    assert make_table(ResNet(1000, blocks=(3, 4, 6, 3), **parts), (224, 224, 3)).parameters == parameters


@pytest.mark.parametrize("choices", [{}, {"activation": jax.nn.relu, "pooling": "max"}])
def test_the_table_counts_by_hand(choices: dict[str, Any]) -> None:
    table = make_table(LeNet5(**choices), (28, 28, 1))
    by_name = {layer.name: layer for layer in table.layers}
    assert list(by_name) == ["conv1", "pool1", "conv2", "pool2", "dense", "head/hidden1", "head/logits"]
    assert by_name["conv2"].output_shape == (10, 10, 16)
    assert by_name["conv1"].multiply_adds == 28 * 28 * 6 * 25
    assert by_name["conv2"].multiply_adds == 10 * 10 * 16 * 6 * 25
    assert by_name["pool2"].output_shape == (5, 5, 16)
    assert by_name["dense"].kernel_shape == (400, 120)
    assert table.multiply_adds == sum(layer.multiply_adds for layer in table.layers)
    text = str(table)
    assert "61,706" in text
    assert all(layer.name in text for layer in table.layers)


def test_the_table_counts_convolutions_that_pool_on_the_way() -> None:
    table = make_table(SpeedNet(filters=(32, 64, 128)), (28, 28, 1))
    group1, group2, group3 = (
        27**2 * 8 * 32 + 13**2 * 32 * 32,
        (13**2 + 6**2 * 2) * 32 * 64,
        (6**2 + 3**2 * 2) * 64 * 128,
    )
    assert table.multiply_adds == 27**2 * 4 * 8 + 9 * (group1 + group2 + group3) + 128 * 10


@pytest.mark.parametrize("name", ["lenet5", "cnn"])
def test_an_image_that_is_too_small_is_said_with_the_layer(name: str) -> None:
    with pytest.raises(ValueError, match=r"(block2/pool|conv2): "):
        make_table(make_model(default_config(name).model, 10), (3, 3, 1))
