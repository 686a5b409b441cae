"""Every choice of the configurable network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.models import make_table
from cnn_jax.models.activations import ACTIVATIONS
from cnn_jax.models.cnn import CNN
from tests.support.helpers import QUICK


def outputs(**choices: object) -> tuple[int, ...]:
    """The shape of the maps behind two blocks for 12x12 images."""
    table = make_table(CNN(filters=(8, 16), hidden=(), **choices), (12, 12, 3))  # type: ignore[arg-type]
    return [layer.output_shape for layer in table.layers if layer.name.startswith("block2")][-1]


@pytest.mark.parametrize(
    ("choices", "shape"),
    [
        ({}, (3, 3, 16)),
        ({"padding_mode": "crop"}, (1, 1, 16)),
        ({"stem": (4, (5, 5), 2)}, (1, 1, 16)),
        ({"stem": (4, (4, 2), 4), "pooling": "none"}, (3, 3, 16)),
        ({"padding_mode": "extend"}, (3, 3, 16)),
        ({"padding_mode": "reflect"}, (3, 3, 16)),
        ({"padding_mode": "wrap"}, (3, 3, 16)),
        ({"padding_mode": "full"}, (4, 4, 16)),
        ({"pooling": "blur_max"}, (3, 3, 16)),
        ({"pooling": "blur", "padding_mode": "crop", "blur_filter_size": 7}, (2, 2, 16)),
        ({"pooling": "none"}, (12, 12, 16)),
        ({"pool_last": False}, (6, 6, 16)),
        ({"pooling": "none", "stride": 2}, (3, 3, 16)),
        ({"pooling": "none", "stride": 2, "convs_per_block": 2}, (3, 3, 16)),
        ({"pooling": "mean", "pool_window": 3, "pool_stride": 2}, (2, 2, 16)),
        ({"kernel_size": (5, 3), "padding_mode": "crop"}, (1, 1, 16)),
    ],
)
def test_shapes_of_the_configurable_network(choices: dict[str, object], shape: tuple[int, ...]) -> None:
    if choices.get("kernel_size") == (5, 3):
        with pytest.raises(ValueError, match="block2/conv1: a 5x3 kernel does not fit into a map of 4x5"):
            outputs(**choices)
    else:
        assert outputs(**choices) == shape


def test_a_stem_is_a_convolution_like_those_of_blocks_before_them() -> None:
    """Two networks with the same weights: block1 of the one is the stem of the other."""
    blocks = CNN(filters=(4, 8), kernel_size=(3, 3), padding_mode="crop", pooling="none", hidden=())
    stem = CNN(filters=(8,), stem=(4, (3, 3), 1), padding_mode="crop", pooling="none", hidden=())
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    theirs = blocks.init(jax.random.key(1), images)
    ours = {
        kind: {"stem_norm": tree["block1"]["norm1"], "block1": tree["block2"]}
        | ({"stem": tree["block1"]["conv1"], "head": tree["head"]} if kind == "params" else {})
        for kind, tree in theirs.items()
    }
    for train in (False, True):
        kept = ["batch_stats"] if train else False
        expected, got = (
            jax.tree.leaves(model.apply(tree, images, train=train, mutable=kept))
            for model, tree in ((blocks, theirs), (stem, ours))
        )
        np.testing.assert_array_equal(got[0], expected[0])
    too_small = CNN(stem=(4, (5, 5), 2))
    with pytest.raises(ValueError, match="stem: a 5x5 kernel does not fit into a map of 4x4"):
        jax.eval_shape(lambda: too_small.init(jax.random.key(0), images[:, :4, :4]))


@pytest.mark.parametrize(
    ("activation", "norm", "pooling", "global_pool"),
    [*((name, "group", "mean", "global_mean") for name in ACTIVATIONS), ("relu", "layer", "none", "global_max")],
)
def test_choices_of_the_configurable_network(activation: str, norm: str, pooling: str, global_pool: str) -> None:
    model = CNN(
        filters=(8, 8),
        norm=norm,
        pooling=pooling,
        global_pool=global_pool,
        activation=ACTIVATIONS[activation],
        convs_per_block=2,
        hidden=(5, 5),
    )
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    logits, variables = jax.jit(model.init_with_output, compiler_options=QUICK)(jax.random.key(1), images)
    assert bool(jnp.isfinite(logits).all())
    assert jax.eval_shape(lambda: model.apply(variables, images, method="embed")).shape == (2, 8)
    assert set(variables["params"]["block2"]) == {"conv1", "norm1", "conv2", "norm2"}
    assert set(variables["params"]["head"]) == {"hidden1", "hidden2", "logits"}


def test_dropout_acts_in_training_only() -> None:
    model = CNN(filters=(4,), dropout=0.5)
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    variables = model.init(jax.random.key(1), images)

    def train(key: int) -> jax.Array:
        rngs = {"dropout": jax.random.key(key)}
        return model.apply(variables, images, train=True, rngs=rngs, mutable=["batch_stats"])[0]

    assert not jnp.array_equal(train(0), train(1))
    assert jnp.array_equal(train(0), train(0))
    assert jnp.array_equal(model.apply(variables, images), model.apply(variables, images))
