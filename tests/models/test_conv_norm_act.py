"""One unit of every network: it computes what its definition says, and the maximum goes first where it may."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.models.activations import ACTIVATIONS, MONOTONE
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.conv_norm_act import conv_norm_act
from cnn_jax.models.initializers import INITIALIZATIONS
from cnn_jax.models.layers import BatchNorm, Conv, Pool, make_norm
from tests.support.helpers import QUICK

POOLS = {"none": None, "tiles": ("max", 2, 2), "overlapping": ("max", 3, 2, 1), "mean": ("mean", 2, 2)}


class Unit(nn.Module):
    """`conv_norm_act`, or the composition that one reads in its definition."""

    norm: str
    act: str
    pool: str
    pool_before_norm: bool
    is_textbook: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        compute, act = ComputeConfig(jnp.result_type(float)), ACTIVATIONS.get(self.act)
        conv = Conv(4, initialization=INITIALIZATIONS["torch"], compute=compute, name="conv")
        norm = make_norm(self.norm, compute, groups=2, name="norm")
        pool = None if POOLS[self.pool] is None else Pool(*POOLS[self.pool], name="pool")
        if not self.is_textbook:
            return conv_norm_act(x, conv, norm, act, pool, train=train, pool_before_norm=self.pool_before_norm)
        x = conv(x)
        if pool is not None and self.pool_before_norm:
            x = pool(x)
        if norm is not None:
            x = norm(x, use_running_average=not train) if isinstance(norm, BatchNorm) else norm(x)
        x = x if act is None else act(x)
        return x if pool is None or self.pool_before_norm else pool(x)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("norm", ["none", "batch", "group"])
def test_conv_norm_act_is_the_textbook_composition(norm: str, pool: str) -> None:
    """Values, new statistics and gradients, for both orders, in training and (where it differs) in evaluation."""

    def run(unit: Unit, variables: Any, x: jax.Array, train: bool) -> Any:
        def weighted(params: Any, x: jax.Array) -> Any:
            y, updated = unit.apply({**variables, "params": params}, x, train, mutable=["batch_stats"])
            return (y * jnp.sin(jnp.arange(y.size)).reshape(y.shape)).sum(), (y, updated)  # type: ignore[attr-defined]

        return jax.value_and_grad(weighted, argnums=(0, 1), has_aux=True)(variables["params"], x)

    def pairs(variables: Any, x: jax.Array) -> Any:
        return {
            (act, first, train): [run(Unit(norm, act, pool, first, book), variables, x, train) for book in (0, 1)]
            for act in ("none", "relu", "leaky_relu", "gelu")
            for first in ((False,) if pool == "none" else (False, True))
            for train in ((True, False) if norm == "batch" else (True,))
        }

    with jax.enable_x64(True):
        random = np.random.default_rng(0)
        x = random.standard_normal((2, 6, 7, 3))
        start = Unit(norm, "none", pool, False).init(jax.random.key(0), x, True)
        # Scales of both signs: a negative one makes a minimum of a maximum.
        variables = jax.tree.map(lambda leaf: leaf + random.standard_normal(leaf.shape), start)
        variables |= {"batch_stats": jax.tree.map(jnp.abs, variables.get("batch_stats", {}))}
        if norm != "none":
            variables["params"]["norm"]["scale"] = jnp.array([1.5, -0.5, 0.7, -2.0])
        for case, results in jax.jit(pairs, compiler_options=QUICK)(variables, x).items():
            for ours, textbook in zip(*map(jax.tree.leaves, results), strict=True):
                np.testing.assert_allclose(ours, textbook, rtol=1e-10, atol=1e-10, err_msg=str(case))


@pytest.mark.parametrize(
    ("act", "pool", "heights"),
    [
        ("relu", "tiles", [4, 4]),
        ("leaky_relu", "overlapping", [4, 4]),
        ("gelu", "tiles", [8, 8]),
        ("relu", "mean", [8, 8]),
    ],
)
def test_maximum_goes_before_bias_and_activation(
    act: str, pool: str, heights: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heights of the maps to which the bias is added, and of which the activation is taken."""
    seen: list[int] = []

    def spy(function: Any) -> Any:
        return lambda *arguments: seen.append(arguments[-1].shape[1]) or function(*arguments)

    monkeypatch.setitem(ACTIVATIONS, act, spy(ACTIVATIONS[act]))
    monkeypatch.setattr("cnn_jax.models.conv_norm_act.MONOTONE", (ACTIVATIONS["relu"], ACTIVATIONS["leaky_relu"]))
    x = jnp.zeros((2, 8, 8, 3))
    variables = Unit("none", act, pool, False).init(jax.random.key(0), x, True)
    monkeypatch.setattr(Conv, "add_bias", spy(Conv.add_bias))
    seen.clear()
    Unit("none", act, pool, False).apply(variables, x, True)
    assert seen == heights


def test_maximum_commutes_to_the_bit() -> None:
    """With a bias and with the activations for which it changes its place, in float32."""
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype(np.float32)
    conv = Conv(4, initialization=INITIALIZATIONS["torch"])
    bound = conv.bind(conv.init(jax.random.key(0), x))
    for pool in (Pool(), Pool("max", 3, 2, 1)):
        for act in (None, *MONOTONE):
            expected = bound(x) if act is None else act(bound(x))
            np.testing.assert_array_equal(conv_norm_act(x, bound, act=act, pool=pool, train=True), pool(expected))


def test_a_convolution_in_groups_is_one_of_each() -> None:
    """Output channels 2, 3 see input channels 3 to 5 alone; the kernel and its fan-in are those of a group."""
    x = np.random.default_rng(0).standard_normal((1, 5, 5, 9)).astype(np.float32)
    conv = Conv(6, groups=3, stride=2, padding_mode="same", use_bias=False)
    variables = conv.init(jax.random.key(0), x)
    kernel = variables["params"]["kernel"]
    assert kernel.shape == (3, 3, 3, 6)
    parts = [
        Conv(2, stride=2, padding_mode="same", use_bias=False).apply(
            {"params": {"kernel": kernel[..., 2 * i : 2 * i + 2]}}, x[..., 3 * i : 3 * i + 3]
        )
        for i in range(3)
    ]
    np.testing.assert_allclose(conv.apply(variables, x), jnp.concatenate(parts, axis=-1), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="Conv: 9 channels to 6 in 2 groups"):
        Conv(6, groups=2).init(jax.random.key(0), x)
