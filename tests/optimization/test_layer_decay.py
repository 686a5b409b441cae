"""Rates that fall from the head to the first block."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.experiment.setup import build
from cnn_jax.models import variable_shapes
from cnn_jax.optimization.layer_decay import block_of, layer_rates
from tests.support.helpers import QUICK, tiny_config

LAYERS = (
    "stem/conv",
    "stage1/block1/conv1/conv",
    "stage1/block2/conv1/conv",
    "stage2/block1/shortcut/conv",
    "head/logits",
)


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("stem/conv/kernel", "stem"),
        ("stem_norm/scale", "stem_norm"),
        ("stage1/block2/conv1/norm/scale", "stage1/block2"),
        ("stage10/block12/expand/conv/kernel", "stage10/block12"),
        ("block1/conv1/kernel", "block1"),
        ("head/logits/bias", "head"),
        ("kernel", "kernel"),
    ],
)
def test_blocks_are_told_by_names(name: str, block: str) -> None:
    assert block_of(name) == block


def test_each_block_has_its_power() -> None:
    rate = layer_rates(0.5, LAYERS)
    names = [f"{layer}/kernel" for layer in LAYERS]
    assert [rate(name) for name in names] == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]
    assert rate("stage1/block1/norm/scale") == 1 / 8  # of the same block
    assert rate("position_embedding") == 1 / 16  # of none: as the first


def test_an_experiment_slows_its_first_blocks() -> None:
    """Of two blocks and a head: the whole update, with its weight decay, and each block by its place in the network."""

    def updates(decay: float) -> Any:
        experiment = build(tiny_config(optimizer__layer_decay=decay, optimizer__weight_decay=0.1))
        shapes = variable_shapes(experiment.model, (8, 8, 1))["params"]

        def first() -> Any:
            ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes)
            return experiment.optimizer.update(ones, experiment.optimizer.init(ones), ones)[0]

        return jax.jit(first, compiler_options=QUICK)()

    slowed, plain = updates(0.5), updates(1.0)
    for part, factor in {"block1": 0.25, "block2": 0.5, "head": 1.0}.items():
        for ours, whole in zip(jax.tree.leaves(slowed[part]), jax.tree.leaves(plain[part]), strict=True):
            np.testing.assert_allclose(ours, factor * whole, rtol=1e-6)
