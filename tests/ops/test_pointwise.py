"""Convolutions of single pixels as products against XLA's own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.ops import convolution
from cnn_jax.ops.geometry import Geometry
from tests.support.arrays import normal


@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_single_pixels_are_one_product(strides: tuple[int, int]) -> None:
    """Output, both gradients, and those of the gradients, in float64; three products and no convolution on CPU."""
    geometry = Geometry(strides, ((0, 0), (0, 0)))

    def results(conv: Any, x: jax.Array, k: jax.Array) -> Any:
        y, pull_back = jax.vjp(conv, x, k)
        return y, *pull_back(jnp.sin(jnp.arange(y.size)).reshape(y.shape).astype(y.dtype))

    def ours(x: jax.Array, k: jax.Array) -> jax.Array:
        return ops.conv(x, k, strides)

    def theirs(x: jax.Array, k: jax.Array) -> jax.Array:
        return convolution._xla_conv(x, k, geometry)

    def second(conv: Any) -> Any:
        def first(x: jax.Array, k: jax.Array) -> jax.Array:
            of_x, of_k = jax.grad(lambda *both: (conv(*both) ** 3).sum(), (0, 1))(x, k)
            return (of_x**2).sum() + jnp.sin(of_k).sum()

        return jax.grad(first, (0, 1))

    with jax.enable_x64(True):
        x, k = jnp.asarray(normal(0, 2, 7, 8, 3)), jnp.asarray(normal(1, 1, 1, 3, 4))
        both = jax.jit(lambda x, k: [(*results(conv, x, k), *second(conv)(x, k)) for conv in (ours, theirs)])(x, k)
        for mine, expected in zip(*both, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-12 * float(jnp.abs(expected).max()))
        text = jax.jit(lambda x, k: results(ours, x, k)).trace(x, k).lower(lowering_platforms=("cpu",)).as_text()
    assert (text.count("stablehlo.dot_general"), text.count("stablehlo.convolution")) == (3, 0)
