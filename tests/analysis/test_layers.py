"""Layers by name: what they give out in textbook order, and gradients with respect to it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis.layers import Apply, find_layer, list_layers, with_offset, with_outputs
from cnn_jax.config.tree import default_config
from cnn_jax.errors import InputError
from cnn_jax.models import Classifier, make_model
from tests.support.networks import randomized

SHAPE = (8, 8, 3)


def network(name: str, in_order: bool = True) -> tuple[Apply, Classifier]:
    model = make_model(default_config(model=name).model, 5, in_order=in_order)
    return lambda variables, images: model.apply(variables, images, train=False), model


@pytest.fixture(scope="module")
def cnn() -> tuple[Apply, Any, jax.Array]:
    apply, model = network("cnn")
    variables = randomized(model.init(jax.random.key(0), jnp.zeros((1, *SHAPE))))
    return apply, variables, jax.random.normal(jax.random.key(1), (4, *SHAPE))


def test_layers_stand_in_their_order(cnn: Any) -> None:
    apply, variables, _ = cnn
    layers = list_layers(apply, variables, SHAPE)
    assert list(layers)[:5] == ["block1/conv1", "block1/norm1", "block1/act1", "block1/pool", "block1"]
    assert [layers[name] for name in ("block1/act1", "block1", "head/logits")] == [(8, 8, 32), (4, 4, 32), (5,)]


def test_layers_give_what_their_name_says(cnn: Any) -> None:
    """Convolution and BatchNorm by their formulas in NumPy, of the layer before as it was recorded."""
    apply, variables, images = cnn
    _, seen = with_outputs(apply, ["block2/conv1", "block2/norm1", "block2/act1", "block2", "block1"])(
        variables, images
    )
    kernel = variables["params"]["block2"]["conv1"]["kernel"]
    x = np.pad(np.asarray(seen["block1"], np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    conv = sum(x[:, i : i + 4, j : j + 4] @ np.asarray(kernel[i, j], np.float64) for i in range(3) for j in range(3))
    np.testing.assert_allclose(seen["block2/conv1"], conv, rtol=0, atol=1e-5)
    kinds = ("batch_stats", "params")
    stats, params = (jax.tree.map(np.asarray, variables[kind]["block2"]["norm1"]) for kind in kinds)
    norm = (conv - stats["mean"]) / np.sqrt(np.asarray(stats["var"]) + 1e-5) * params["scale"] + params["bias"]
    np.testing.assert_allclose(seen["block2/norm1"], norm, rtol=0, atol=1e-4)
    act = np.maximum(norm, 0)
    np.testing.assert_allclose(seen["block2/act1"], act, rtol=0, atol=1e-4)
    np.testing.assert_allclose(seen["block2"], act.reshape(4, 2, 2, 2, 2, -1).max((2, 4)), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["cnn", "lenet5", "speednet"])
def test_order_changes_no_logits(name: str) -> None:
    shape = (32, 32, 3)
    (plain, model), (fast, _) = network(name), network(name, in_order=False)
    variables = randomized(model.init(jax.random.key(0), jnp.zeros((1, *shape))))
    images = jax.random.normal(jax.random.key(1), (2, *shape))
    np.testing.assert_allclose(plain(variables, images), fast(variables, images), rtol=0, atol=2e-5)


def test_offset_has_the_layers_gradient(cnn: Any) -> None:
    """Of the last layer the gradient of its logit is 1; of any layer it is what finite differences give."""
    apply, variables, images = cnn
    logits, seen = with_offset(apply, "head/logits")(variables, images, jnp.ones((4, 5)))
    np.testing.assert_allclose(logits, seen + 1, rtol=0, atol=1e-6)
    moved = with_offset(apply, "block1")
    zeros = jnp.zeros((4, 4, 4, 32))
    gradient = jax.grad(lambda offset: moved(variables, images, offset)[0][:, 0].sum())(zeros)
    step = zeros.at[1, 2, 2, 3].set(1e-2)
    difference = (moved(variables, images, step)[0] - moved(variables, images, -step)[0])[:, 0].sum() / 2e-2
    np.testing.assert_allclose(gradient[1, 2, 2, 3], difference, rtol=0.02, atol=1e-4)


def test_unknown_layer_is_named(cnn: Any) -> None:
    with pytest.raises(InputError, match="no layer 'conv9'; there are block1/conv1"):
        find_layer(list(list_layers(*cnn[:2], SHAPE)), "conv9")
