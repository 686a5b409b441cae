"""Convolutions in groups as dense ones against XLA's own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.ops import convolution
from cnn_jax.ops.geometry import Geometry
from tests.support.arrays import normal


@pytest.mark.parametrize(
    ("groups", "channels", "features", "convolutions"),
    [
        (16, 4, 2, 2),  # blocks of 8 groups
        (2, 48, 3, 2),  # AlexNet's: a group is enough
        (3, 5, 2, 1),  # fewer channels in all than a block should have
        (4, 1, 2, 1),  # two outputs a channel
    ],
)
def test_groups_are_dense_blocks(groups: int, channels: int, features: int, convolutions: int) -> None:
    """Output and both gradients in float64, and second ones; so many convolutions each way, none of them in groups."""
    geometry = Geometry((2, 1), ((0, 1), (1, 1)), (1, 1), groups)

    def results(conv: Any, x: jax.Array, k: jax.Array) -> Any:
        y, pull_back = jax.vjp(conv, x, k)
        return y, *pull_back(jnp.sin(jnp.arange(y.size)).reshape(y.shape).astype(y.dtype))

    def ours(x: jax.Array, k: jax.Array) -> Any:
        return results(lambda x, k: ops.conv(x, k, (2, 1), "same", groups=groups), x, k)

    def theirs(x: jax.Array, k: jax.Array) -> Any:
        return results(lambda x, k: convolution._xla_conv(x, k, geometry), x, k)

    def second(of: Any) -> Any:
        return jax.grad(lambda x, k: sum((part**2).sum() for part in of(x, k)), (0, 1))

    with jax.enable_x64(True):
        x = jnp.asarray(normal(0, 2, 6, 5, groups * channels))
        k = jnp.asarray(normal(1, 3, 3, channels, groups * features))
        both = jax.jit(lambda x, k: [(*of(x, k), *second(of)(x, k)) for of in (ours, theirs)])(x, k)
        for mine, expected in zip(*both, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-12 * float(jnp.abs(expected).max()))
        text = jax.jit(lambda x, k: ours(x, k)[0]).trace(x, k).lower(lowering_platforms=("cpu",)).as_text()
        assert text.count("stablehlo.convolution") == convolutions
