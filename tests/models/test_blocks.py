"""Blocks of published networks, by closed forms; whole networks are compared in pretrained/."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.models.activations import hard_sigmoid, hard_swish, relu6
from cnn_jax.models.blocks import FAN_OUT, ConvNorm, InvertedResidual, make_divisible
from cnn_jax.models.classifier import Head
from cnn_jax.models.efficientnet import EfficientNet
from cnn_jax.models.mobilenet_v3 import MobileNetV3
from tests.support.helpers import QUICK


def test_activations_of_three_lines() -> None:
    """Their values, and their slopes as in PyTorch: 0 at both bends of relu6."""
    x = jnp.array([-4.0, -3.0, -1.0, 0.0, 1.5, 3.0, 6.0, 7.0])
    np.testing.assert_allclose(relu6(x), [0, 0, 0, 0, 1.5, 3, 6, 6])
    np.testing.assert_allclose(jax.vmap(jax.grad(relu6))(x), [0, 0, 0, 0, 1, 1, 0, 0])
    np.testing.assert_allclose(hard_sigmoid(x), [0, 0, 1 / 3, 0.5, 0.75, 1, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(hard_swish(x), [0, 0, -1 / 3, 0, 1.125, 3, 6, 7], rtol=1e-6)
    np.testing.assert_allclose(jax.grad(hard_swish)(1.5), 1.5 / 3 + 0.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("channels", "rounded"), [(32 * 0.35, 16), (16 * 0.5, 8), (3, 8), (24 * 1.1, 24), (40 * 1.1, 48), (11, 16)]
)
def test_channels_are_multiples_of_eight(channels: float, rounded: int) -> None:
    """The nearest one, but for those more than a tenth smaller: 11 goes to 16."""
    assert make_divisible(channels) == rounded


def test_stochastic_depth_passes_by_whole_examples() -> None:
    """In training an example stays as it is, or gets 1 / (1 - rate) times what the block adds; later all of it."""
    block = InvertedResidual(4, 8, partial(ConvNorm, activation=nn.relu), stochastic_depth=0.75)
    x = jax.random.normal(jax.random.key(0), (64, 4, 4, 4))
    variables = jax.jit(block.init, static_argnums=2, compiler_options=QUICK)(jax.random.key(1), x, False)

    @partial(jax.jit, static_argnums=(0, 1), compiler_options=QUICK)
    def applied(rate: float, train: bool) -> jax.Array:
        chosen, rngs = block.clone(stochastic_depth=rate), {"dropout": jax.random.key(2)}
        return chosen.apply(variables, x, train, mutable=["batch_stats"], rngs=rngs)[0]

    certain, y = applied(0.0, True), applied(0.75, True)
    shares = np.asarray((y - x) / jnp.where(certain == x, jnp.inf, certain - x)).reshape(64, -1)
    passed = np.abs(shares).max(1) < 1e-5
    np.testing.assert_allclose(np.median(shares[~passed], axis=1), 4, rtol=1e-3)
    assert 8 <= (~passed).sum() <= 26  # 16 of 64 are expected, and 3 standard deviations are 10
    np.testing.assert_array_equal(applied(0.75, False), applied(0.0, False))


def rates(model: nn.Module, *arguments: Any) -> list[float]:
    """Of all dropout layers, in order."""
    seen: list[float] = []

    def record(next_call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if isinstance(context.module, nn.Dropout):
            seen.append(context.module.rate)
        return next_call(*args, **kwargs)

    with nn.intercept_methods(record):
        jax.eval_shape(lambda: model.init(jax.random.key(0), *arguments))
    return seen


def test_rates_of_dropping_are_torchvisions() -> None:
    """Stochastic depth grows with the number of the block, of all 16; blocks without a way around have none."""
    around, images = [2, 4, 6, 7, 9, 10, 12, 13, 14], jnp.zeros((1, 32, 32, 3))
    np.testing.assert_allclose(rates(EfficientNet(), images), [*(0.2 * i / 16 for i in around), 0.2])
    assert [rate for rate in rates(MobileNetV3(), images) if rate] == [0.2]  # between the layers of the head


def test_each_layer_of_a_head_may_have_its_own_dropout() -> None:
    """As in AlexNet: before the first two of three layers."""
    head = Head(3, hidden=(4, 5), dropout=(0.25, 0.5, 0.0))
    assert rates(head, jnp.ones((1, 2)), False) == [0.25, 0.5, 0.0]
    with pytest.raises(ValueError, match="zip"):
        rates(head.clone(dropout=(0.25, 0.5)), jnp.ones((1, 2)), False)


def test_kernels_start_as_in_torchvision() -> None:
    """Standard deviation sqrt(2 / fan_out); of a depthwise kernel, too, PyTorch counts all outputs."""
    draw = FAN_OUT.kernel(jax.random.key(0), (3, 3, 1, 4096))
    np.testing.assert_allclose(draw.std(), (2 / (9 * 4096)) ** 0.5, rtol=0.02)
    model = EfficientNet(num_classes=25, stages=((1, 3, 1, 16, 1),))
    made = jax.jit(lambda: model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3))), compiler_options=QUICK)()
    last = made["params"]["head"]["logits"]
    np.testing.assert_allclose(jnp.abs(last["kernel"]).max(), 1 / 5, rtol=1e-3)
    assert not last["bias"].any()
