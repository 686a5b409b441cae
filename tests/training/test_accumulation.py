"""Gradients of many parts of a batch: the loop over them is bounded in size, and as exact as writing them out."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cnn_jax.config.tree import default_config
from cnn_jax.models import make_model
from cnn_jax.optimization.losses import cross_entropy
from cnn_jax.training.state import init_state
from cnn_jax.training.step import StepOptions, make_grad_fn
from tests.support.helpers import QUICK


def gradients(parts: int, unroll: int, name: str, precision: str = "float32") -> tuple[Any, tuple[Any, ...]]:
    """The function of a model, and its arguments: parts of two images of 4x4 pixels."""
    config = default_config(model=name)
    if name == "cnn":  # with BatchNorm and dropout
        config.model.filters, config.model.hidden, config.model.dropout = (4,), (), 0.2
    model = make_model(config.model, 3, precision)
    state = init_state(model, optax.sgd(0.1), (4, 4, 1), 0)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2 * parts, 4, 4, 1)), model.compute.param_dtype)
    labels, mask = jnp.arange(2 * parts) % 3, jnp.arange(2 * parts) < 2 * parts - 1
    options = StepOptions(accumulate_steps=parts, unroll=unroll)
    return make_grad_fn(model, cross_entropy, options), (state, images, labels, mask, jax.random.key(0))


def test_a_loop_computes_what_parts_written_out_do() -> None:
    """11 parts in blocks of 4 with a rest of 3: gradients, statistics and sums to the rounding of float64."""
    with jax.enable_x64(True):
        found = []
        for unroll in (11, 4):
            function, arguments = gradients(11, unroll, "cnn", "float64")
            found.append(jax.jit(function, compiler_options=QUICK)(*arguments))
        for one, other in zip(*map(jax.tree.leaves, found), strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-15)
        assert found[0][0]["block1"]["conv1"]["kernel"].dtype == np.float64
        assert found[0][2]["count"] == 21


def test_the_program_does_not_grow_without_bound() -> None:
    """By the matrix products that are compiled: of 8 parts all, of more those of a block and of the rest."""

    def products(parts: int) -> int:
        function, arguments = gradients(parts, StepOptions().unroll, "linear")
        return jax.jit(function, compiler_options=QUICK).lower(*arguments).compile().as_text().count(" dot(")

    one = products(1)
    assert one > 0
    assert {parts: products(parts) / one for parts in (8, 20, 64)} == {8: 8, 20: 12, 64: 8}
