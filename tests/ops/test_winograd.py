"""Winograd's convolution against XLA's, and which layers take it."""

from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax import ops
from cnn_jax.ops import winograd
from tests.support.arrays import normal, xla_conv


@settings(max_examples=6, deadline=None)
@given(
    size=st.tuples(*[st.integers(3, 9)] * 2), channels=st.integers(1, 4), features=st.integers(1, 4),
    amounts=st.tuples(*[st.integers(0, 2)] * 4),
)  # fmt: skip
def test_winograds_convolution_is_exact(
    size: tuple[int, int], channels: int, features: int, amounts: tuple[int, int, int, int]
) -> None:
    """In float64, so that nothing hides in the rounding; padding on all sides by itself."""
    padding = (amounts[:2], amounts[2:])
    with jax.enable_x64(True):
        x, k = normal(0, 2, *size, channels), normal(1, 3, 3, channels, features)

        @jax.jit
        def pairs(x: jax.Array, k: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
            y, pull_back = jax.vjp(lambda x, k: xla_conv(x, k, padding), x, k)
            g = jnp.sin(y + jnp.arange(y.size).reshape(y.shape))
            of_images, of_kernel = pull_back(g)
            return [
                (winograd.conv(x, k, padding), y),
                (winograd.images_gradient(g, k, padding, size), of_images),
                (winograd.kernel_gradient(x, g, padding), of_kernel),
            ]

        for ours, theirs in pairs(x, k):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)


def test_wide_layers_take_it_and_round_as_xla_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "_MIN_WORK", 0)
    x, k = normal(0, 2, 6, 6, 128, dtype=np.float32), normal(1, 3, 3, 128, 130, dtype=np.float32) / 34
    assert winograd.is_profitable(x.shape, k, (1, 1))
    text = jax.jit(jax.grad(lambda x, k: (ops.conv(x, k) ** 2).sum(), (0, 1))).lower(x, k).as_text()
    assert text.count("dot_general") == 3 * 16, "outputs, the gradient of the images and that of the kernel"
    ours, pull_back = jax.vjp(ops.conv, x, k)
    theirs, their_pull_back = jax.vjp(lambda x, k: xla_conv(x, k, ((1, 1), (1, 1))), x, k)
    exact = np.zeros(ours.shape)
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    for i in range(3):
        for j in range(3):
            exact += padded[:, i : i + 6, j : j + 6] @ np.asarray(k[i, j], np.float64)
    assert np.abs(ours - exact).max() < 4 * np.abs(theirs - exact).max() < 1e-5
    g = normal(2, *ours.shape, dtype=np.float32)
    for mine, other in zip(pull_back(g), their_pull_back(g), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=2e-6 * float(jnp.abs(other).max()))


def test_narrower_layers_take_their_kernel_gradient_from_patches() -> None:
    k = jnp.zeros((3, 3, 64, 64))
    assert winograd.is_profitable((64, 32, 32, 64), k, (1, 1))
    assert not winograd.is_profitable_for_kernels((64, 32, 32, 64), k, (1, 1))


@pytest.mark.parametrize(
    ("shape", "strides", "dtype"),
    [
        ((3, 3, 16, 128), (1, 1), jnp.float32),
        ((3, 3, 128, 128), (2, 2), jnp.float32),
        ((1, 1, 128, 128), (1, 1), jnp.float32),
        ((5, 5, 128, 128), (1, 1), jnp.float32),
        ((3, 3, 128, 128), (1, 1), jnp.bfloat16),
    ],
)
def test_other_layers_do_not(shape: tuple[int, ...], strides: tuple[int, int], dtype: Any) -> None:
    wide = (64, 16, 16)
    assert winograd.is_profitable((*wide, 128), jnp.zeros((3, 3, 128, 128)), (1, 1))
    assert not winograd.is_profitable((*wide, shape[2]), jnp.zeros(shape, dtype), strides)
    assert not winograd.is_profitable((2, 8, 8, 128), jnp.zeros((3, 3, 128, 128)), (1, 1)), "too little work"
    assert not winograd.is_profitable((10_000, 8, 8, 128), jnp.zeros((3, 3, 128, 128)), (1, 1)), (
        "tiles would fill the memory"
    )
