"""Depthwise convolutions as sums of shifted products against XLA's own, and who takes them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cnn_jax import ops
from cnn_jax.ops import convolution, depthwise
from cnn_jax.ops.geometry import Geometry, Padding
from cnn_jax.ops.sums import sums_of_images
from tests.support.arrays import normal


def results(conv: Any, x: jax.Array, k: jax.Array) -> Any:
    """Output and both gradients."""
    y, pull_back = jax.vjp(conv, x, k)
    return y, *pull_back(jnp.sin(jnp.arange(y.size)).reshape(y.shape).astype(y.dtype))


@settings(max_examples=3, deadline=None)
@given(
    more=st.tuples(*[st.integers(0, 6)] * 2), kernel=st.tuples(*[st.integers(1, 5)] * 2),
    strides=st.tuples(*[st.integers(1, 3)] * 2), amounts=st.tuples(*[st.integers(0, 3)] * 4),
    dilation=st.tuples(*[st.integers(1, 2)] * 2), channels=st.integers(2, 4),
)  # fmt: skip
@example(more=(9, 8), kernel=(3, 3), strides=(2, 2), amounts=(0, 1, 0, 1), dilation=(1, 1), channels=3)
@example(more=(0, 1), kernel=(1, 2), strides=(3, 3), amounts=(0, 0, 0, 1), dilation=(1, 2), channels=2)
@example(more=(37, 1), kernel=(2, 1), strides=(1, 1), amounts=(0, 0, 0, 0), dilation=(1, 1), channels=2)  # 38 rows
def test_shifted_products_give_the_same(
    more: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int], amounts: tuple[int, int, int, int],
    dilation: tuple[int, int], channels: int,
) -> None:  # fmt: skip
    """Through the one function that chooses, in float64: strides and padding need not leave every pixel with a use."""
    padding: Padding = (amounts[:2], amounts[2:])
    spans = [(side - 1) * step + 1 for side, step in zip(kernel, dilation, strict=True)]
    size = [max(1, span - sum(pair) + n) for span, pair, n in zip(spans, padding, more, strict=True)]
    geometry = Geometry(strides, padding, dilation, channels)
    with jax.enable_x64(True):
        x, k = jnp.asarray(normal(0, 2, *size, channels)), jnp.asarray(normal(1, *kernel, 1, channels))
        assert depthwise.is_profitable(k, geometry)
        ways = (
            lambda x, k: convolution._conv(x, k, geometry, False),
            lambda x, k: convolution._xla_conv(x, k, geometry),
        )
        ours, theirs = jax.jit(lambda x, k: [results(way, x, k) for way in ways])(x, k)
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.dtype == other.dtype
            np.testing.assert_allclose(mine, other, rtol=0, atol=1e-11)


def test_half_precision_is_summed_in_float32() -> None:
    """All three are a rounding away from the exact sums of these numbers."""
    numbers = [normal(0, 4, 24, 24, 8), normal(1, 3, 3, 1, 8), normal(2, 4, 24, 24, 8)]
    halves = [jnp.asarray(each, jnp.bfloat16) for each in numbers]

    def of(x: jax.Array, k: jax.Array, g: jax.Array) -> Any:
        y, pull_back = jax.vjp(lambda x, k: ops.conv(x, k, groups=8), x, k)
        return y, *pull_back(g)

    for half, exact in zip(of(*halves), of(*(each.astype(jnp.float32) for each in halves)), strict=True):
        assert half.dtype == jnp.bfloat16
        np.testing.assert_allclose(half.astype(np.float32), exact, rtol=2**-8, atol=1e-4 * float(jnp.abs(exact).max()))


def test_gradients_of_depthwise_gradients() -> None:
    geometry = Geometry((2, 2), ((0, 1), (0, 1)), (1, 1), 2)
    with jax.enable_x64(True):
        x, k = jnp.asarray(normal(0, 1, 6, 6, 2)), jnp.asarray(normal(1, 3, 3, 1, 2))

        def second(conv: Any) -> Any:
            def first(x: jax.Array, k: jax.Array) -> jax.Array:
                of_x, of_k = jax.grad(lambda *both: (conv(*both) ** 3).sum(), (0, 1))(x, k)
                return (of_x**2).sum() + jnp.sin(of_k).sum()

            return jax.jit(jax.grad(first, (0, 1)))(x, k)

        ours = second(lambda x, k: ops.conv(x, k, (2, 2), "same", groups=2))
        for mine, theirs in zip(ours, second(lambda x, k: convolution._xla_conv(x, k, geometry)), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9)


@pytest.mark.parametrize(("side", "features", "taken"), [(3, 8, True), (7, 8, True), (3, 16, False), (9, 8, False)])
def test_depthwise_layers_take_no_convolution(side: int, features: int, taken: bool) -> None:
    """On CPU neither the value nor a gradient has one; two outputs a channel and huge windows are left to XLA."""
    x, k = (
        jax.ShapeDtypeStruct((2, 16, 16, 8), jnp.float32),
        jax.ShapeDtypeStruct((side, side, 1, features), jnp.float32),
    )
    traced = jax.jit(lambda x, k: results(lambda x, k: ops.conv(x, k, groups=8), x, k)).trace(x, k)
    assert ("stablehlo.convolution" not in traced.lower(lowering_platforms=("cpu",)).as_text()) is taken
    assert "stablehlo.convolution" in traced.lower(lowering_platforms=("cuda",)).as_text()


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (11, 13), (64, 48), (16, 17)])
def test_sums_of_images_are_exact_to_rounding(size: tuple[int, int]) -> None:
    """Of positive numbers, and so that one of 40,000 in a row would be seen."""
    x = np.random.default_rng(0).random((2, *size, 5)).astype(np.float32) + 100
    np.testing.assert_allclose(sums_of_images(jnp.asarray(x)), x.astype(np.float64).sum((1, 2)), rtol=1e-6)
