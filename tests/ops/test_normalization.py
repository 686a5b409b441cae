"""Batch normalization against Flax's, gradients included."""

from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnn_jax import ops
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.layers import BatchNorm
from tests.support.arrays import normal


@pytest.fixture
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def both() -> tuple[Any, Any, Any]:
    """This package's and Flax's, with the same parameters that are not those of the beginning."""
    ours, theirs = BatchNorm(), nn.BatchNorm(momentum=0.9, epsilon=1e-5)
    variables = {
        "params": {"scale": normal(3, 5) + 1, "bias": normal(4, 5)},
        "batch_stats": {"mean": normal(5, 5), "var": normal(6, 5) ** 2 + 0.1},
    }
    return ours, theirs, variables


@pytest.mark.parametrize("train", [True, False])
def test_batch_normalization_is_flaxs(float64: None, train: bool) -> None:
    ours, theirs, variables = both()
    ours = ours.clone(compute=ComputeConfig(jnp.float64))
    theirs = theirs.clone(force_float32_reductions=False, dtype=jnp.float64, param_dtype=jnp.float64)
    x, cotangent = 3 * normal(0, 4, 3, 2, 5) + 7, normal(1, 4, 3, 2, 5)

    def run(module: Any, x: jax.Array, params: Any) -> Any:
        y, updated = module.apply({**variables, "params": params}, x, not train, mutable=["batch_stats"])
        return (y * cotangent).sum(), (y, updated["batch_stats"])

    results = [
        jax.value_and_grad(run, argnums=(1, 2), has_aux=True)(module, x, variables["params"])
        for module in (ours, theirs)
    ]
    for mine, other in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("size", "window"), [((4, 6), (2, 2)), ((5, 7), (2, 3)), ((3, 3), (3, 3))])
def test_the_maximum_of_a_batch_normalization_is_taken_on_the_way(
    float64: None, size: tuple[int, int], window: tuple[int, int]
) -> None:
    """Against Flax's, pooled by XLA: also where scales are negative, and pixels are left over or equal."""
    x, bias = 3 * normal(0, 4, *size, 5) + 7, normal(1, 5)
    x[:, :2, :2] = x[:, :1, :1]  # of equal pixels the first is the maximum
    scale = jnp.array([1.5, -0.5, 2.0, 0.1, -3.0])
    module = nn.BatchNorm(False, momentum=0, epsilon=1e-5, dtype=jnp.float64, param_dtype=jnp.float64)
    sums = normal(2, 4, size[0] // window[0], size[1] // window[1], 5)

    def ours(x: jax.Array, scale: jax.Array, bias: jax.Array) -> Any:
        y, statistics = ops.batch_norm(x, scale, bias, 1e-5, None, window)
        return (y * sums).sum(), (y, statistics)

    def theirs(x: jax.Array, scale: jax.Array, bias: jax.Array) -> Any:
        start = {"batch_stats": {"mean": jnp.zeros(5), "var": jnp.ones(5)}}
        full, new = module.apply({"params": {"scale": scale, "bias": bias}, **start}, x, mutable=["batch_stats"])
        y = lax.reduce_window(full, -jnp.inf, lax.max, (1, *window, 1), (1, *window, 1), "VALID")
        return (y * sums).sum(), (y, (new["batch_stats"]["mean"], new["batch_stats"]["var"]))

    results = [jax.value_and_grad(f, argnums=(0, 1, 2), has_aux=True)(x, scale, bias) for f in (ours, theirs)]
    for mine, other in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("pool", "sizes"), [({}, [8, 4]), ({"pool_window": 3}, [8, 8]), ({"norm": "none"}, [8, 4])])
def test_a_network_pools_while_it_normalizes(pool: dict[str, Any], sizes: list[int]) -> None:
    """The heights of what a convolution, and what comes behind it, make in training."""
    from cnn_jax.models.cnn import CNN

    model, x = CNN(filters=(4,), hidden=(), **pool), jnp.ones((2, 8, 8, 1))
    variables = model.init(jax.random.key(0), x)
    traced = jax.make_jaxpr(lambda v: model.apply(v, x, True, mutable=["batch_stats"])[0])(variables)
    calls = [e for e in traced.jaxpr.eqns if e.primitive.name == "custom_vjp_call"]
    assert [e.outvars[0].aval.shape[1] for e in calls if e.outvars[0].aval.ndim == 4][:2] == sizes


def test_batch_normalization_starts_as_flaxs() -> None:
    (ours, theirs, _), x = both(), jnp.ones((2, 3, 3, 5))
    assert jax.tree.all(
        jax.tree.map(jnp.array_equal, ours.init(jax.random.key(0), x, False), theirs.init(jax.random.key(0), x, False))
    )


def test_a_constant_map_has_no_variance_and_a_gradient() -> None:
    x = jnp.full((4, 3, 3, 2), 1000.1)
    gradient = jax.grad(lambda x: ops.batch_norm(x, jnp.ones(2), jnp.zeros(2), 1e-5)[0][0].sum())(x)
    assert bool(jnp.isfinite(gradient).all())
    assert float(ops.batch_norm(x, jnp.ones(2), jnp.zeros(2), 1e-5)[1][1].min()) >= 0


def test_statistics_of_many_pixels_are_exact() -> None:
    """200,704 a channel, all of one sign: added in a row, the variance was off by 1e-5."""
    x = normal(0, 256, 28, 28, 8).astype(np.float32) + 1
    _, (mean, variance) = ops.batch_norm(x, jnp.ones(8), jnp.zeros(8), 1e-5)
    np.testing.assert_allclose(mean, x.mean((0, 1, 2), np.float64), rtol=5e-7)
    np.testing.assert_allclose(variance, x.var((0, 1, 2), np.float64), rtol=2e-6)


def test_a_map_far_from_zero_keeps_its_gradients() -> None:
    """Ten deviations away, against float64."""
    x, dy = normal(0, 64, 8, 8, 3) + 10, normal(1, 64, 8, 8, 3)

    def pulled(dtype: Any) -> Any:
        with jax.enable_x64(dtype == np.float64):
            arguments = (jnp.asarray(x, dtype), jnp.ones(3, dtype), jnp.zeros(3, dtype))
            _, pull_back = jax.vjp(lambda *a: ops.batch_norm(*a, 1e-5)[0], *arguments)
            return pull_back(jnp.asarray(dy, dtype))

    for single, double in zip(pulled(np.float32), pulled(np.float64), strict=True):
        np.testing.assert_allclose(single, double, rtol=0, atol=3e-5 * np.abs(double).max())
