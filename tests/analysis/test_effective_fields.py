"""Effective receptive fields: exact values of uniform weights, the law of random ones, no leak, standard errors."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis.layers import Apply
from cnn_jax.analysis.receptive_fields.effective import (
    Extent,
    Gradients,
    choose_layers,
    compile_gradients,
    mean_map,
    measure_extent,
    measure_gradients,
    standard_error,
)
from cnn_jax.analysis.receptive_fields.field import Field
from cnn_jax.analysis.receptive_fields.theoretical import receptive_fields
from cnn_jax.config.tree import default_config
from cnn_jax.models import make_model
from tests.support.networks import randomized


class Stack(nn.Module):
    """n convolutions k x k of one channel, stride 1, without activation."""

    depth: int
    side: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i in range(self.depth):
            x = nn.Conv(1, (self.side, self.side), use_bias=False, name=f"conv{i + 1}")(x)
        return x


def stacked(depth: int, side: int) -> tuple[Apply, Any, Field]:
    image = depth * (side - 1) + 5
    module = Stack(depth, side)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, image, image, 1))))

    def apply(variables: Any, x: jax.Array) -> jax.Array:
        output: jax.Array = module.apply(variables, x)  # type: ignore[assignment]
        return output

    return apply, shapes, receptive_fields(apply, shapes, (image, image, 1))[f"conv{depth}"]


def uniform(depth: int, side: int) -> tuple[Field, Extent]:
    apply, shapes, field = stacked(depth, side)
    weights = jax.tree.map(lambda shape: jnp.full(shape.shape, 1 / side**2), shapes)
    images = np.ones((1, *field.image, 1), np.float32)
    gradients = measure_gradients(compile_gradients(apply, [field]), [field], weights, images)[field.name]
    extent = measure_extent(mean_map(gradients, "absolute"), field.box(field.middle))
    assert extent is not None
    return field, extent


# The n-fold convolution of a box: field, standard deviation, size, and size over field.
EXACT = {
    (5, 3): (11, 1.826, 8.307, 0.755),
    (10, 3): (21, 2.582, 11.705, 0.557),
    (20, 3): (41, 3.651, 16.155, 0.394),
    (40, 3): (81, 5.164, 22.738, 0.281),
    (5, 5): (21, 3.162, 13.892, 0.662),
    (10, 5): (41, 4.472, 19.824, 0.484),
    (20, 5): (81, 6.325, 28.018, 0.346),
    (40, 5): (161, 8.944, 39.560, 0.246),
}


@pytest.mark.parametrize(("depth", "side"), EXACT)
def test_uniform_weights_are_exact(depth: int, side: int) -> None:
    """std = sqrt(n (k^2 - 1) / 12), and the numbers of pixels above 4.55 % of the centre, to 1 %."""
    size, std, effective, ratio = EXACT[depth, side]
    field, extent = uniform(depth, side)
    assert field.size == (size, size)
    found = (*extent.std, extent.size, extent.ratio)
    np.testing.assert_allclose(found, (std, std, effective, ratio), rtol=0.01)
    assert std == pytest.approx(math.sqrt(depth * (side**2 - 1) / 12), rel=1e-3)
    assert extent.leakage == 0
    assert extent.fit is not None
    np.testing.assert_allclose(extent.fit.std, std, rtol=0.05)
    assert extent.fit.r2 > 0.99


def test_random_weights_follow_the_law() -> None:
    """Of zero-mean weights the mean of squared gradients over seeds has the deviation of uniform weights."""
    apply, shapes, field = stacked(5, 3)
    keys = jax.random.split(jax.random.key(0), 5)
    leaves, tree = jax.tree.flatten(shapes)
    weights = [jax.random.normal(key, (4000, *leaf.shape)) / 3 for key, leaf in zip(keys, leaves, strict=True)]
    program = jax.vmap(compile_gradients(apply, [field]), (0, None, None))
    images, channels = jnp.ones((1, *field.image, 1)), jnp.zeros((1, 1), int)
    gradients = np.asarray(program(jax.tree.unflatten(tree, weights), images, channels))[:, 0, 0, :, :, 0]
    extent = measure_extent(np.square(gradients).mean(0), field.box(field.middle))
    assert extent is not None
    np.testing.assert_allclose(extent.std, math.sqrt(5 * 8 / 12), rtol=0.04)
    mean, error = gradients.mean(0), gradients.std(0) / math.sqrt(len(gradients))
    assert (np.abs(mean) <= 5 * error).all()  # no direction is preferred


def test_nothing_leaks_out_of_the_field() -> None:
    """To the bit, where a CPU's own ways leave 1e-8; and the layer sees no less than half of its field."""
    config = default_config(model="cnn").model
    config.filters = (16, 16)  # which takes Winograd's way
    model = make_model(config, 3, in_order=True)
    images = np.asarray(jax.random.normal(jax.random.key(1), (6, 32, 32, 3)))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images[:1]))
    draw = np.random.RandomState(0).normal
    variables = randomized(jax.tree.map(lambda leaf: draw(size=leaf.shape).astype(np.float32), shapes))

    def apply(weights: Any, x: jax.Array) -> jax.Array:
        logits: jax.Array = model.apply(weights, x, train=False)  # type: ignore[assignment]
        return logits

    fields = choose_layers(receptive_fields(apply, variables, (32, 32, 3)), 10)
    assert [field.name for field in fields] == ["block1/act1", "block1", "block2/act1", "block2"]
    program = compile_gradients(apply, fields)
    found = measure_gradients(program, fields, variables, images)
    for field in fields:
        extent = measure_extent(mean_map(found[field.name], "absolute"), field.box(field.middle))
        assert extent is not None
        assert extent.leakage == 0
        assert 0.5 < extent.ratio <= 1
    single = measure_gradients(program, fields, variables, images)  # the same draw
    np.testing.assert_array_equal(single["block2"].signed, found["block2"].signed)


def test_kinds_of_means() -> None:
    signed = np.array([[[1.0, -2.0]], [[-1.0, -2.0]]], np.float32)
    gradients = Gradients(signed, np.abs(signed), signed**2)
    assert mean_map(gradients, "signed").tolist() == [[0, -2]]
    assert mean_map(gradients, "absolute").tolist() == [[1, 2]]
    np.testing.assert_allclose(mean_map(gradients, "rms"), [[1, 2]])
    assert measure_extent(np.zeros((4, 4)), (0, 0, 4, 4)) is None


def test_standard_error_falls_with_images() -> None:
    """As of a mean: with 16 times as many images a quarter, of maps whose sizes differ at random."""
    random = np.random.RandomState(0)
    rows, columns = np.indices((41, 41)) - 20
    stds = random.uniform(2, 6, 256)[:, None, None]
    maps = (np.exp(-(rows**2 + columns**2) / (2 * stds**2)) / stds**2).astype(np.float32)
    few, many = (np.mean([standard_error(part) for part in parts]) for parts in (maps.reshape(16, 16, 41, 41), [maps]))
    assert few / many == pytest.approx(4, rel=0.35)
    assert standard_error(np.repeat(maps[:1], 8, axis=0)) == 0
