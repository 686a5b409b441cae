"""Gradients of every model, compiled as they come, against a second way, and against what other engines computed.

XLA on CPU hands parts of a program to YNN, which has computed wrong sums before (jax#39103). The second way is the same
program without YNN and without LLVM's optimisation, in float64. `tests/tools/make_gradient_fixtures.py` records norms
and projections of the gradients, which every supported version of JAX must give.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.config import default_config
from cnn_jax.models import make_model
from tests.support.helpers import ROOT
from tests.support.networks import REPRESENTATIVES, image_size, shallow

# One of each family, and what has other blocks.
ALL = sorted({*REPRESENTATIVES, "resnet50", "efficientnet_lite0"})
# Of these few blocks are tried.
SHALLOW = ("mobilenet", "efficientnet", "alexnet", "vgg", "regnet", "convnext", "vit", "coatnet")
LARGE = ("resnet", "speednet", *SHALLOW)
NAMES = [pytest.param(name, marks=pytest.mark.slow if name.startswith(LARGE) else ()) for name in ALL]
WITHOUT_YNN = {"xla_cpu_experimental_ynn_fusion_type": "", "xla_backend_optimization_level": 0}


def gradient(name: str, precision: str, options: dict[str, Any] | None = None) -> Any:
    """Of the loss of 8 made-up images with respect to all parameters, drawn in float64; to be called within x64.

    AlexNet and VGG have small heads, the other deep networks few blocks: a norm over 8 single pixels is all rounding.
    """
    size, channels = (max(32, image_size(name)), 3) if name.startswith(LARGE) else (28, 1)
    draw = np.random.default_rng(0)
    images, labels = draw.normal(size=(8, size, size, channels)), np.arange(8)

    def made(precision: str) -> Any:
        model = make_model(default_config(model=name).model, 10, precision)
        return shallow(model) if name.startswith(SHALLOW) else model

    exact = made("float64")
    drawn = jax.jit(lambda: exact.init(jax.random.key(0), jnp.asarray(images[:1])))()
    model = made(precision)
    images, variables = jax.tree.map(lambda x: jnp.asarray(x, precision), (images, drawn))

    def loss(params: Any) -> jax.Array:
        logits, _ = model.apply(
            variables | {"params": params}, images, train=True, mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(1)},
        )  # fmt: skip
        return -jax.nn.log_softmax(logits)[jnp.arange(8), labels].mean()

    return jax.device_get(jax.jit(jax.grad(loss), compiler_options=options)(variables["params"]))


def summary(tree: Any) -> np.ndarray:
    """[leaves, 2]: of each parameter the norm of its gradient, and its sum weighted by a made-up wave."""
    leaves = [np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)]
    return np.array([(np.linalg.norm(leaf), leaf @ np.cos(1.7 * np.arange(leaf.size))) for leaf in leaves])


def distance(first: Any, second: Any) -> float:
    """Of two gradients, relative to the norm of the whole second one."""
    pairs = list(zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))
    apart = sum(float(((np.float64(a) - np.float64(b)) ** 2).sum()) for a, b in pairs)
    return (apart / sum(float((np.float64(b) ** 2).sum()) for _, b in pairs)) ** 0.5


@pytest.mark.parametrize("name", NAMES)
def test_gradients_agree_with_a_second_way(name: str) -> None:
    with jax.enable_x64(True):
        exact, compiled = gradient(name, "float64", WITHOUT_YNN), gradient(name, "float64")
        rounded, second = gradient(name, "float32"), gradient(name, "float32", WITHOUT_YNN)
    assert distance(compiled, exact) < 1e-9
    assert distance(rounded, second) < 1e-5
    assert distance(rounded, exact) < 2e-3  # rounding may send a maximum, or an input of ReLU, to the other side
    stored = np.load(ROOT / "tests/fixtures/gradients.npz", allow_pickle=False)[name]
    np.testing.assert_allclose(summary(exact), stored, rtol=1e-9, atol=1e-9 * np.linalg.norm(stored[:, 0]))
