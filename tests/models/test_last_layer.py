"""What the last layer of a network sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.models.classifier import Classifier
from cnn_jax.models.cnn import CNN
from cnn_jax.models.last_layer import last_layer_inputs
from tests.support.helpers import QUICK


def test_the_last_layer_of_it_gives_the_logits() -> None:
    """Behind hidden layers of the head, with running statistics and without dropout."""
    model = CNN(3, filters=(4,), hidden=(5,), dropout=0.5)
    images = jax.random.normal(jax.random.key(0), (2, 6, 6, 1))

    def both() -> tuple[jax.Array, jax.Array]:
        variables = model.init(jax.random.key(1), images)
        variables["batch_stats"] = jax.tree.map(lambda leaf: leaf + 0.5, variables["batch_stats"])
        last = variables["params"]["head"]["logits"]
        inputs = last_layer_inputs(model, variables, images)
        return inputs @ last["kernel"] + last["bias"].reshape(1, -1), model.apply(variables, images)

    ours, logits = jax.jit(both, compiler_options=QUICK)()
    np.testing.assert_allclose(ours, logits, rtol=1e-5, atol=1e-5)


def test_a_network_without_such_a_layer() -> None:
    class Headless(Classifier):
        def backbone(self, x: jax.Array, train: bool) -> jax.Array:
            return x.mean(axis=(1, 2))

        def head(self, x: jax.Array, train: bool) -> jax.Array:
            return x

    with pytest.raises(ValueError, match="Headless has no layer head/logits"):
        last_layer_inputs(Headless(), {}, jnp.zeros((1, 2, 2, 1)))
