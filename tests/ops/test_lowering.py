"""How whole programs are lowered on CPU: what XLA gets, what is computed once; gradients of gradients."""

import functools
import re
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.models.cnn import CNN
from cnn_jax.models.lenet import LeNet5
from cnn_jax.models.speednet import SpeedNet
from cnn_jax.runtime.compilation import counted
from tests.support.arrays import normal, xla_conv


@pytest.fixture
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def products_and_convolutions(function: Any, *arguments: Any) -> tuple[int, int]:
    lowered = jax.jit(function).trace(*arguments).lower(lowering_platforms=("cpu",)).as_text()
    return lowered.count("stablehlo.dot_general"), lowered.count("stablehlo.convolution")


def test_without_a_gradient_xla_gets_the_convolutions_before_a_maximum() -> None:
    """Both of `cnn`, the first of each group of speednet; not LeNet-5's, which by rows are faster still."""
    images = jax.ShapeDtypeStruct((256, 28, 28, 1), jnp.float32)
    for model, expected in (
        (CNN(), (2, 2)),  # the head
        (SpeedNet(filters=(32, 64, 128)), (1 + 3 * 16 + 1, 3)),  # the first layer, Winograd's, the head
        (LeNet5(activation=nn.relu, pooling="max"), (2 + 3, 0)),
    ):
        variables = jax.eval_shape(model.init, jax.random.key(0), images)
        assert products_and_convolutions(model.apply, variables, images) == expected
    x, k = jax.ShapeDtypeStruct((256, 14, 14, 32), jnp.float32), jax.ShapeDtypeStruct((3, 3, 32, 64), jnp.float32)
    for pooled, expected in ((True, (0, 1)), (False, (16, 0))):
        conv = functools.partial(ops.conv, pooled=pooled)
        assert products_and_convolutions(conv, x, k) == expected
        assert products_and_convolutions(lambda x, k, conv=conv: jax.vjp(conv, x, k)[0], x, k) == (16, 0)


def maximum_of_tiles(x: jax.Array) -> jax.Array:
    y = ops.max_pool(x, (2, 2), (2, 2))
    return (y * jnp.flip(y)).sum()


def maximum_of_normalized(x: jax.Array) -> jax.Array:
    y = ops.batch_norm(x, jnp.ones(x.shape[3]), jnp.zeros(x.shape[3]), 1e-5, None, (2, 2))[0]
    return (y * jnp.flip(y)).sum()


def convolution_by_rows(x: jax.Array) -> jax.Array:
    return jnp.sin(ops.conv(x, jnp.ones((5, 5, x.shape[3], 2)))).sum()


@pytest.mark.parametrize(
    ("function", "size", "count"),
    [
        (maximum_of_tiles, 4, 3),  # maxima, where they are, and the way back
        (maximum_of_normalized, 4, 4),  # sums of each image, too; the way back is read once
        (convolution_by_rows, 28, 1),  # the image with its border
    ],
)
def test_what_several_places_read_is_computed_once(function: Any, size: int, count: int) -> None:
    x = jnp.zeros((32, size, size, 3))
    traced = jax.jit(jax.value_and_grad(function)).trace(x)
    on_cpu = traced.lower(lowering_platforms=("cpu",))
    compiled = on_cpu.compile().as_text()
    assert len(re.findall(r" call\(", compiled)) == count
    assert len(re.findall("inlineable", on_cpu.as_text())) == count, "and nothing within is kept from being written out"
    assert "inlineable" not in traced.lower(lowering_platforms=("cuda",)).as_text(), "elsewhere it is left to XLA"


def test_outside_of_jit_nothing_is_compiled_twice() -> None:
    x, k, scale = jnp.ones((8, 12, 12, 4)), jnp.ones((3, 3, 4, 8)), jnp.ones(4)
    for call in (
        lambda x: ops.conv(x, k), lambda x: ops.conv(jnp.tile(x, (2, 8, 1, 1)), k),
        lambda x: ops.conv(x, k[:, :, :1, :4], groups=4), lambda x: ops.conv(x, k[:, :, :2], groups=2),
        lambda x: ops.max_pool(x, (2, 2), (2, 2)),
        lambda x: ops.batch_norm(x, scale, scale, 1e-5, None, (2, 2))[0],
    ):  # fmt: skip
        for function in (call, jax.grad(lambda x, call=call: call(x).sum())):
            function(x)
            with counted() as names:
                function(x)
            assert not names


def test_gradients_of_gradients(float64: None) -> None:
    """Against XLA's; of equal pixels, of which rounding makes some, the first counts as the maximum."""
    x, k, scale = np.round(normal(0, 2, 4, 4, 2)), normal(1, 3, 3, 2, 3), normal(2, 2)

    def first_maximum(x: jax.Array) -> jax.Array:
        tiles = x.reshape(2, 2, 2, 2, 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(2, 2, 2, 2, 4)
        return jnp.take_along_axis(tiles, jnp.argmax(tiles, -1, keepdims=True), -1)[..., 0]

    def normalized(x: jax.Array, scale: jax.Array) -> jax.Array:
        return (x - x.mean((0, 1, 2), keepdims=True)) / jnp.sqrt(x.var((0, 1, 2), keepdims=True) + 1e-5) * scale

    def second(f: Any) -> Any:
        def first(*arguments: jax.Array) -> jax.Array:
            return (jax.grad(lambda *a: (f(*a) ** 3).sum())(*arguments) ** 2).sum()

        return jax.jit(jax.grad(first, argnums=(0, 1)))

    pairs = [
        (ops.conv, lambda x, k: xla_conv(x, k, ((1, 1), (1, 1))), k),
        (lambda x, s: ops.max_pool(x, (2, 2), (2, 2)) * s.reshape(1, 1, 1, -1),
         lambda x, s: first_maximum(x) * s.reshape(1, 1, 1, -1), scale),
        (lambda x, s: ops.batch_norm(x, s, 0 * s, 1e-5)[0], lambda x, s: normalized(x, s.reshape(1, 1, 1, -1)), scale),
        (lambda x, s: ops.batch_norm(x, s, 0 * s, 1e-5, None, (2, 2))[0],
         lambda x, s: first_maximum(normalized(x, s.reshape(1, 1, 1, -1))), scale),
    ]  # fmt: skip
    for ours, theirs, other in pairs:
        for mine, expected in zip(second(ours)(x, other), second(theirs)(x, other), strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-9)


def test_forward_mode_raises_instead_of_being_wrong() -> None:
    x = jnp.ones((1, 4, 4, 1))
    for call in (
        lambda x: ops.max_pool(x, (2, 2), (2, 2)),
        lambda x: ops.conv(x, jnp.ones((3, 3, 1, 1))),
        lambda x: ops.batch_norm(x, jnp.ones(1), jnp.zeros(1), 1e-5)[0],
    ):
        with pytest.raises(TypeError, match="forward-mode"):
            jax.jvp(call, (x,), (x,))
