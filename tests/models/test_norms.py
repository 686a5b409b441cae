"""Normalisations: over what they take their statistics, and when they keep them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.models.cnn import CNN
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.layers import BatchNorm, make_norm


def test_layer_norm_is_over_the_whole_image_and_group_norm_over_groups() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 8)).astype(np.float32) * 3 + 1
    for kind, groups in (("layer", 1), ("group", 4)):
        module: Any = make_norm(kind, ComputeConfig(), 4)
        ours = module.apply(module.init(jax.random.key(0), x), x)
        parts = x.reshape(2, 12, groups, 8 // groups)
        mean, var = parts.mean((1, 3), keepdims=True), parts.var((1, 3), keepdims=True)
        np.testing.assert_allclose(ours, ((parts - mean) / np.sqrt(var + 1e-5)).reshape(x.shape), atol=1e-5)


@pytest.mark.parametrize(
    ("freeze", "still"),
    [("norm", True), ("block1/norm1/(scale|bias)", True), ("scale", False), ("norm2|conv", False), (None, False)],
)
def test_a_batch_norm_whose_scale_and_bias_are_frozen_keeps_its_statistics(freeze: str | None, still: bool) -> None:
    model = CNN(3, ComputeConfig(freeze=freeze), filters=(4,), hidden=())
    images = 3 + jax.random.normal(jax.random.key(0), (4, 6, 6, 1))
    variables = jax.jit(model.init)(jax.random.key(1), images)
    run = jax.jit(
        lambda images, train: model.apply(variables, images, train, mutable=["batch_stats"]), static_argnums=1
    )
    trained, updated = run(images, True)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, updated["batch_stats"], variables["batch_stats"])) == still
    assert np.allclose(trained, run(images, False)[0], atol=1e-6) == still


@pytest.mark.parametrize("axis", ["data", None])
def test_an_axis_joins_the_statistics_of_the_devices(axis: str | None) -> None:
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 4, 5)) * jnp.array([1.0, 3.0]).reshape(2, 1, 1, 1, 1)
    norm = BatchNorm(compute=ComputeConfig(axis=axis))
    variables = norm.init(jax.random.key(1), x[0], False)

    def apply(x: jax.Array) -> Any:
        return norm.apply(variables, x, False, mutable=["batch_stats"])

    parts, updated = jax.vmap(apply, axis_name="data")(x)
    whole, expected = BatchNorm().apply(variables, x.reshape(6, 4, 4, 5), False, mutable=["batch_stats"])
    close = np.allclose(parts.reshape(whole.shape), whole, atol=1e-5)
    assert close == (axis is not None)
    same = jax.tree.map(lambda ours, other: np.allclose(ours, jnp.stack([other, other]), atol=1e-6), updated, expected)
    assert jax.tree.all(same) == (axis is not None)
