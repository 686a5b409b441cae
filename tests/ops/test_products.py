"""Convolutions by rows and by planes against XLA's, and which layers take them."""

from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cnn_jax.ops import convolution, planes, rows
from cnn_jax.ops.geometry import Geometry
from tests.support.arrays import normal, xla_conv


def geometry(strides: tuple[int, int] = (1, 1), **more: Any) -> Geometry:
    return Geometry(strides, ((0, 0), (0, 0)), **more)


def assert_chosen_way_is_xlas(
    size: tuple[int, int], kernel: tuple[int, int], channels: int, features: int, padding: Any
) -> None:
    """Through the one function that chooses: in float64 all three results of what it takes and of XLA agree."""
    x, k = normal(0, 2, *size, channels), normal(1, *kernel, channels, features)

    @jax.jit
    def pairs(x: jax.Array, k: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
        y, pull_back = jax.vjp(lambda x, k: xla_conv(x, k, padding), x, k)
        ours, mine = jax.vjp(lambda x, k: convolution._conv(x, k, Geometry((1, 1), padding), False), x, k)
        g = jnp.sin(y + jnp.arange(y.size).reshape(y.shape))
        return [(ours, y), *zip(mine(g), pull_back(g), strict=True)]

    for ours, theirs in pairs(x, k):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)


@settings(max_examples=6, deadline=None)
@given(
    size=st.tuples(st.integers(4, 7), st.integers(4, 12)), kernel=st.tuples(*[st.integers(2, 4)] * 2),
    channels=st.integers(1, 3), features=st.integers(1, 3), amounts=st.tuples(*[st.integers(0, 2)] * 4),
)  # fmt: skip
@example(size=(5, 12), kernel=(3, 5), channels=2, features=3, amounts=(1, 0, 2, 2))  # two stretches of 6
def test_rows_give_the_same(
    size: tuple[int, int], kernel: tuple[int, int], channels: int, features: int, amounts: tuple[int, int, int, int]
) -> None:
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_MIN_OUTPUTS", 0)
        assert rows.is_profitable((2, *size, features), jnp.zeros((*kernel, channels, features)), (1, 1))
        assert_chosen_way_is_xlas(size, kernel, channels, features, (amounts[:2], amounts[2:]))


@settings(max_examples=4, deadline=None)
@given(
    size=st.tuples(*[st.integers(3, 8)] * 2), kernel=st.tuples(*[st.integers(2, 3)] * 2),
    amounts=st.tuples(*[st.integers(0, 2)] * 4),
)  # fmt: skip
def test_planes_give_the_same(
    size: tuple[int, int], kernel: tuple[int, int], amounts: tuple[int, int, int, int]
) -> None:
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        patch.setattr(planes, "_MIN_OUTPUTS", 0)
        k = jnp.zeros((*kernel, 1, 17))
        assert planes.is_profitable((2, *size, 17), k, (1, 1))
        assert convolution._as_product((2, *size, 17), k, geometry()) is planes.conv
        assert_chosen_way_is_xlas(size, kernel, 1, 17, (amounts[:2], amounts[2:]))


@pytest.mark.parametrize(
    ("outputs", "kernel", "strides", "way"),
    [
        ((256, 28, 28, 6), (5, 5, 1, 6), (1, 1), rows.conv),
        ((256, 28, 28, 16), (3, 3, 1, 16), (1, 1), rows.conv),
        ((256, 10, 10, 16), (5, 5, 6, 16), (1, 1), rows.conv),
        ((256, 10, 10, 16), (5, 5, 8, 16), (1, 1), rows.conv),
        ((256, 10, 10, 16), (5, 5, 9, 16), (1, 1), None),  # channels enough
        ((256, 10, 10, 17), (5, 5, 8, 17), (1, 1), None),
        ((256, 10, 10, 8), (5, 5, 64, 8), (1, 1), rows.conv),
        ((256, 28, 28, 32), (3, 3, 1, 32), (1, 1), planes.conv),
        ((256, 28, 28, 32), (5, 5, 1, 32), (1, 1), None),  # 25 planes
        ((256, 28, 28, 32), (3, 3, 3, 32), (1, 1), None),  # channels enough
        ((256, 29, 29, 6), (3, 3, 1, 6), (1, 1), planes.conv),  # 31 pixels a row for 3 columns: mostly zeros
        ((256, 29, 29, 6), (3, 3, 2, 6), (1, 1), None),
        ((256, 14, 14, 6), (5, 5, 1, 6), (2, 2), None),
        ((1, 28, 28, 6), (5, 5, 1, 6), (1, 1), None),
        ((3000, 64, 64, 32), (3, 3, 1, 32), (1, 1), None),  # planes would fill the memory
    ],
)
def test_which_layers_are_one_product(outputs: Any, kernel: Any, strides: Any, way: Any) -> None:
    assert convolution._as_product(outputs, jnp.zeros(kernel), geometry(strides)) is way
    assert convolution._as_product(outputs, jnp.zeros(kernel, jnp.bfloat16), geometry(strides)) is None
    assert convolution._as_product(outputs, jnp.zeros(kernel), geometry(strides, dilation=(1, 2))) is None


def test_the_gradient_of_images_asks_for_the_stretches_of_the_outputs() -> None:
    """25 columns of an image have stretches of 5; the 23 of its outputs only one, most of it zeros."""
    kernel = jnp.zeros((3, 3, 8, 6))
    assert rows.is_profitable((64, 25, 25, 8), kernel, (1, 1))
    assert not rows.is_profitable_for_images((64, 23, 23, 6), kernel, (1, 1))
    assert rows.is_profitable_for_images((64, 25, 25, 99), jnp.zeros((3, 3, 8, 99)), (1, 1)), (
        "to few channels, from many"
    )
