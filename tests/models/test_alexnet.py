"""The two networks that are called AlexNet, and VGG: what they begin with, and what they make of other sizes."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.models import variable_shapes
from cnn_jax.models.alexnet import AlexNet, AlexNet2012
from cnn_jax.models.blocks import PlainConv
from cnn_jax.models.layers import Pool
from cnn_jax.models.parameter_names import parameter_names
from cnn_jax.models.vgg import VGG11
from tests.support.helpers import QUICK


def test_it_begins_as_in_the_paper() -> None:
    """Normal with deviation 0.01; biases of 1 in convolutions 2, 4 and 5 and in the hidden layers, of 0 elsewhere."""
    model = AlexNet2012(1000, hidden=(64, 64))
    init = jax.jit(lambda: model.init(jax.random.key(0), jnp.zeros((1, 67, 67, 3))), compiler_options=QUICK)
    params = init()["params"]
    leaves = dict(zip(jax.tree.leaves(parameter_names(params)), jax.tree.leaves(params), strict=True))
    ones = {name.removesuffix("/bias") for name, leaf in leaves.items() if name.endswith("bias") and (leaf == 1).all()}
    zeros = {name.removesuffix("/bias") for name, leaf in leaves.items() if name.endswith("bias") and (leaf == 0).all()}
    assert ones == {
        "stage1/block1/conv", "stage2/block2/conv", "stage2/block3/conv", "head/hidden1", "head/hidden2",
    }  # fmt: skip
    assert zeros == {"stem/conv", "stage2/block1/conv", "head/logits"}
    for name, leaf in leaves.items():
        if name.endswith("kernel"):
            assert float(leaf.std()) == pytest.approx(0.01, rel=0.05)


def test_towers_see_their_half() -> None:
    """The second, fourth and fifth convolution; 227x227 end in 6x6."""
    params = variable_shapes(AlexNet2012(1000), (227, 227, 3))["params"]
    kernels = {
        name: leaf.shape
        for name, leaf in zip(jax.tree.leaves(parameter_names(params)), jax.tree.leaves(params), strict=True)
        if leaf.ndim == 4
    }
    assert list(kernels.values()) == [
        (5, 5, 48, 256), (3, 3, 256, 384), (3, 3, 192, 384), (3, 3, 192, 256), (11, 11, 3, 96),
    ]  # fmt: skip
    assert params["head"]["hidden1"]["kernel"].shape == (6 * 6 * 256, 4096)


def test_response_norm_stands_between_relu_and_maximum() -> None:
    """By hand, for positive channels of which each sees all: x / (2 + 1e-4 * sum of squares)^0.75, then the maximum."""
    x = np.random.default_rng(0).normal(size=(2, 7, 7, 3)).astype(np.float32) * 100
    pool = partial(Pool, "max", window=3, stride=2)
    block = PlainConv(3, 1, response_norm=True, pool=pool)
    variables = {"params": {"conv": {"kernel": jnp.eye(3).reshape(1, 1, 3, 3), "bias": jnp.zeros(3)}}}
    positive = np.maximum(np.asarray(x, np.float64), 0)
    divided = positive / (2 + 1e-4 * (positive**2).sum(3, keepdims=True)) ** 0.75
    windows = np.lib.stride_tricks.sliding_window_view(divided, (3, 3), (1, 2))[:, ::2, ::2]
    y = jax.jit(block.apply, static_argnums=2, compiler_options=QUICK)(variables, x, False)
    np.testing.assert_allclose(y, windows.max((4, 5)), rtol=1e-5)


def test_response_norm_of_half_precision_is_float32s() -> None:
    """Rounded once, at the end; float64 stays float64."""
    draw = np.random.default_rng(0).normal(size=(1, 4, 4, 16)) * 100
    half = jnp.asarray(draw, jnp.bfloat16)
    y = ops.local_response_norm(half)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y, ops.local_response_norm(half.astype(jnp.float32)).astype(jnp.bfloat16))
    with jax.enable_x64(True):
        assert ops.local_response_norm(jnp.asarray(draw)).dtype == jnp.float64


@pytest.mark.parametrize("make", [partial(AlexNet, hidden=(4,)), partial(VGG11, hidden=(4,))])
def test_images_of_other_sizes_fit_the_same_head(make: Any) -> None:
    shapes = [variable_shapes(make(5), (size, size, 3)) for size in (96, 224)]
    assert shapes[0] == shapes[1]


def test_dropout_stands_where_torchvision_has_it() -> None:
    """Before both hidden layers (AlexNet), behind both (VGG and 2012): three rates for three dense layers."""
    rates: list[float] = []

    def record(next_call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if isinstance(context.module, nn.Dropout):
            rates.append(context.module.rate)
        return next_call(*args, **kwargs)

    for make in (AlexNet, AlexNet2012, VGG11):
        with nn.intercept_methods(record):
            variable_shapes(make(5), (96, 96, 3))
    assert rates == [0.5, 0.5, 0.0, 0.0, 0.5, 0.5, 0.0, 0.5, 0.5]
