"""Which layers move with the picture: exact cases, and the layers that break it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis.equivariance import Equivariance, layer_strides, measure_equivariance
from cnn_jax.analysis.layers import Apply
from cnn_jax.config.tree import default_config, override
from cnn_jax.models import make_model
from tests.support.networks import randomized

SHAPE = (16, 16, 3)
IMAGES = np.random.RandomState(0).randint(0, 256, (4, *SHAPE)).astype(np.uint8)


def network(name: str, shape: tuple[int, int, int] = SHAPE, **changes: Any) -> tuple[Apply, Any]:
    block = override(default_config(model=name), [(f"model.{key}", value) for key, value in changes.items()]).model
    model = make_model(block, 5, in_order=True)
    variables = randomized(jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, *shape))))
    return lambda variables, images: model.apply(variables, images / 255, train=False), variables


def measured(**changes: Any) -> Equivariance:
    small = {"filters": (4, 4), "hidden": (), "global_pool": "global_mean", "padding_mode": "wrap"}
    return measure_equivariance(*network("cnn", **(small | changes)), IMAGES)


def test_circular_network_is_equivariant() -> None:
    """Circular padding, stride 1, no pooling: maps move with the picture, and logits stay, to 1e-5."""
    found = measured(pooling="none")
    assert found.shift == 1
    assert (found.first, found.most) == (None, None)
    assert [row.name for row in found.layers][-1] == "head/logits"
    assert max(row.one_pixel for row in found.layers) < 1e-5
    assert min(row.chance for row in found.layers if row.stride) > 0.05


def test_pooling_breaks_what_stride_skips() -> None:
    """By whole steps a circular network stays exact; by one pixel it breaks at the first pool."""
    found = measured(pooling="max")
    assert found.shift == 4
    errors = {row.name: row for row in found.layers}
    assert max(row.whole_steps for row in found.layers if row.whole_steps is not None) < 1e-5
    assert errors["block1/act1"].one_pixel < 1e-5
    assert errors["block1/pool"].one_pixel > 0.1
    assert (found.first, found.most) == ("block1/pool", "head/logits")  # of noise, that is
    assert "block1" not in errors


def test_zeros_break_at_the_first_border() -> None:
    found = measured(pooling="none", padding_mode="zero")
    assert found.first == "block1/conv1"
    error = found.layers[0].one_pixel
    assert 0.05 < error < 0.8


def test_error_is_the_formula() -> None:
    """In NumPy, of a convolution with zeros beyond the border, and of means whose step is two pixels."""
    apply, variables = network("cnn", filters=(4,), pooling="mean", hidden=(), norm="none")
    rows = {row.name: row for row in measure_equivariance(apply, variables, IMAGES).layers}
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"]["block1"]["conv1"])

    def conv(images: np.ndarray) -> np.ndarray:
        x = np.pad(images / 255, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return params["bias"] + sum(
            x[:, i : i + 16, j : j + 16] @ params["kernel"][i, j] for i in range(3) for j in range(3)
        )

    def error(plain: np.ndarray, moved: np.ndarray, images: np.ndarray) -> float:
        return np.linalg.norm(moved - images) / np.linalg.norm(plain)

    plain, moved = conv(IMAGES), conv(np.roll(IMAGES, (1, 1), (1, 2)))
    expected = error(plain, moved, np.roll(plain, (1, 1), (1, 2)))
    np.testing.assert_allclose(rows["block1/conv1"].one_pixel, expected, rtol=1e-5)
    plain, moved = (np.maximum(maps, 0).reshape(4, 8, 2, 8, 2, 4).mean((2, 4)) for maps in (plain, moved))
    half_way = sum(np.roll(plain, (i, j), (1, 2)) for i in (0, 1) for j in (0, 1)) / 4
    np.testing.assert_allclose(rows["block1/pool"].one_pixel, error(plain, moved, half_way), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("cnn", 8, {"block1/conv1": 1, "block1/pool": 2, "block2/conv1": 2, "block2/pool": 4}),
        ("lenet5", 28, {"conv1": 1, "pool1": 2, "conv2": 2, "pool2": 4}),
        ("resnet18", 64, {"stem/conv": 2, "stem_pool": 4, "stage2/block1": 8, "stage4/block2": 32}),
        ("mlp", 8, {}),
        ("vit_tiny", 32, {"stem/conv": 16}),
    ],
)
def test_strides_are_seen_in_growth(name: str, size: int, expected: dict[str, int]) -> None:
    """Also where a head takes maps of one size, and where windows are left out at the border."""
    block = default_config(model=name).model
    model = make_model(block, 5, in_order=True)
    shape = (size, size, 3)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *shape))))
    strides = layer_strides(lambda variables, images: model.apply(variables, images, train=False), variables, shape)
    assert {layer: strides[layer] for layer in expected} == {layer: (step, step) for layer, step in expected.items()}
    assert bool(strides) == bool(expected)


def test_a_perceptron_has_vectors_only() -> None:
    found = measure_equivariance(*network("mlp", hidden=(8,)), IMAGES)
    assert [row.stride for row in found.layers] == [None] * len(found.layers)
    assert found.first == found.layers[0].name
