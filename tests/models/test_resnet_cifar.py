"""Residual networks for 32x32: the shortcut without parameters, and what a block without convolutions hands on."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.models.resnet_cifar import ResNet20, ResNetCifar, zero_shortcut
from tests.support.helpers import QUICK


def test_the_shortcut_takes_every_second_pixel() -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    y = np.asarray(zero_shortcut(jnp.asarray(x), jnp.zeros((2, 3, 2, 8)), False, None, 2))
    assert y.shape == (2, 3, 2, 8)
    np.testing.assert_array_equal(y[..., 2:5], x[:, [0, 2, 4]][:, :, [0, 2]])
    assert not y[..., :2].any()
    assert not y[..., 5:].any()
    np.testing.assert_array_equal(zero_shortcut(jnp.asarray(x), jnp.zeros_like(x), False, None, 1), x)


def test_blocks_that_add_nothing_hand_on_the_stem() -> None:
    """With scales of zero (`zero_init_residual`) features are means of every fourth pixel, between 48 zeros."""
    model = ResNetCifar(10, blocks=1, zero_init_residual=True)
    images = jax.random.normal(jax.random.key(0), (2, 16, 16, 3))

    def run(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        variables: Any = model.init(jax.random.key(1), images)
        stem = variables["params"]["stem"]["conv"]["kernel"]
        x = jax.lax.conv_general_dilated(images, stem, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jnp.maximum(x / np.sqrt(1 + 1e-5), 0)[:, ::4, ::4].mean((1, 2))
        return x, model.apply(variables, images, method="embed")

    x, features = jax.jit(run, compiler_options=QUICK)(images)
    np.testing.assert_allclose(features[:, 24:40], x, rtol=1e-5, atol=1e-6)
    assert not features[:, :24].any()
    assert not features[:, 40:].any()


def test_there_are_twenty_layers_without_projections() -> None:
    variables = jax.eval_shape(lambda: ResNet20(10).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3))))
    kernels = [leaf for leaf in jax.tree.leaves(variables["params"]) if leaf.ndim > 1]
    assert len(kernels) == 20
    assert not any(leaf.shape[:2] == (1, 1) for leaf in kernels)
