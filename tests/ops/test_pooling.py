"""Maximum pooling against XLA's."""

import functools
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnn_jax import ops
from cnn_jax.ops import pooling
from tests.support.arrays import normal


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 4, 4, 1), (1, 5, 4, 17)])
@pytest.mark.parametrize("window", [(2, 2), (2, 4), (3, 3), (4, 4), (5, 5), (1, 2)])
def test_pooling_of_tiles_where_they_do_not_fit_evenly(shape: tuple[int, ...], window: tuple[int, int]) -> None:
    if window[0] > shape[1] or window[1] > shape[2]:
        pytest.skip("it does not fit")
    x = normal(0, *shape, dtype=np.float32)
    expected, pull_back = jax.vjp(
        lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *window, 1), "VALID"), x
    )
    y, ours = jax.vjp(lambda x: ops.max_pool(x, window, window), x)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(ops.max_pool(x, window, window), expected)  # without a gradient: another way
    g = normal(1, *y.shape, dtype=np.float32)
    np.testing.assert_array_equal(ours(g)[0], pull_back(g)[0])


@pytest.mark.parametrize("channels", [1, 17])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.uint8, jnp.int32])
def test_maximum_pooling_without_a_gradient_takes_every_type(dtype: Any, channels: int) -> None:
    x = (100 + 50 * normal(0, 2, 4, 6, channels)).astype(dtype)
    y = ops.max_pool(x, (2, 2), (2, 2))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, x.reshape(2, 2, 2, 3, 2, channels).max((2, 4)))


def test_overlapping_windows_are_left_to_xla_but_on_cpu() -> None:
    def gradient(x: jax.Array) -> jax.Array:
        return jax.grad(lambda x: ops.max_pool(x, (3, 3), (2, 2), (1, 1)).sum())(x)

    for platform, is_xlas in (("cpu", False), ("cuda", True), ("tpu", True)):
        program = jax.export.export(jax.jit(gradient), platforms=[platform])(jnp.zeros((1, 8, 8, 2)))
        assert ("select_and_scatter" in program.mlir_module()) == is_xlas


def test_ways_of_overlapping_windows_agree() -> None:
    x = normal(0, 2, 9, 8, 3)
    windows = ((3, 3), (2, 1), (1, 0), (1, 1))
    (by_slices, of_slices), (by_xla, of_xla) = (
        jax.vjp(functools.partial(way, windows=windows), x) for way in (pooling._by_slices, pooling._by_xla)
    )
    np.testing.assert_array_equal(by_slices, by_xla)
    np.testing.assert_allclose(of_slices(by_slices)[0], of_xla(by_xla)[0], rtol=1e-6)
