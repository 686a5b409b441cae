"""What a unit can see, and where the gradient of a unit is not zero: the one is the border of the other."""

from itertools import pairwise
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.analysis.layers import Apply, with_outputs
from cnn_jax.analysis.receptive_fields.field import Box, Field
from cnn_jax.analysis.receptive_fields.theoretical import receptive_fields
from cnn_jax.config.model_keys import MODELS
from cnn_jax.config.tree import default_config
from cnn_jax.models import Classifier, make_model
from cnn_jax.models.blocks import SqueezeExcite
from tests.support.networks import REPRESENTATIVES, image_size, shallow

QUICK = ("linear", "mlp", "lenet5", "cnn", "resnet20")


def positive(shapes: Any) -> Any:
    """Weights that take means, with some noise: all units are active, and no two ways cancel each other."""
    random = np.random.RandomState(0)

    def draw(path: Any, value: Any) -> np.ndarray:
        noise = random.uniform(0.5, 1.5, value.shape).astype(np.float32)
        inputs = np.prod(value.shape[:-1]) if path[-1].key == "kernel" else 1
        drawn: np.ndarray = noise * 0 if path[-1].key in ("bias", "mean") else noise / np.float32(inputs)
        return drawn

    return jax.tree_util.tree_map_with_path(draw, shapes)


def without_gates(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    """Squeeze-and-excitation sees the whole image: what is local shows without it."""
    is_gate = isinstance(context.module, SqueezeExcite) and context.method_name == "__call__"
    return args[0] if is_gate else call(*args, **kwargs)


def supports(apply: Apply, variables: Any, fields: list[Field], side: int) -> list[Box]:
    """Of each layer where the gradient of its middle unit is not zero, over several images and all channels."""

    def gradients(images: jax.Array) -> list[jax.Array]:
        def units(pixels: jax.Array) -> list[jax.Array]:
            outputs = with_outputs(apply, [field.name for field in fields])(variables, pixels)[1]
            middles = [outputs[field.name][(slice(None), *field.middle)] for field in fields]
            # With a sign for each channel: a sum over normalised ones has no gradient.
            return [(y * jax.random.rademacher(jax.random.key(2), y.shape, y.dtype)).sum() for y in middles]

        _, pull = jax.vjp(units, images)
        return [pull([jnp.float32(i == chosen) for i in range(len(fields))])[0] for chosen in range(len(fields))]

    images = jax.random.uniform(jax.random.key(1), (2, side, side, 3), minval=0.5, maxval=1.5)
    found = []
    for gradient in jax.jit(gradients)(images):
        rows, columns = (np.flatnonzero(np.abs(gradient).max((0, axis, 3))) for axis in (2, 1))
        found.append((int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1))
    return found


def check(model: Classifier, side: int) -> None:
    def apply(weights: Any, x: jax.Array) -> jax.Array:
        logits: jax.Array = model.apply(weights, x, train=False)  # type: ignore[assignment]
        return logits

    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, side, side, 3))))
    variables, fields = positive(shapes), list(receptive_fields(apply, shapes, (side, side, 3)).values())
    places = [field for field in fields if field.local is not None]
    part = [field for field in places if field.share < 0.7][-1:]  # where borders of the image hide nothing
    chosen = [*part, *places[-1:], fields[-1]]
    assert supports(apply, variables, chosen, side) == [field.box(field.middle) for field in chosen]
    gated = [behind for gate, behind in pairwise(places) if gate.name.endswith("squeeze_excite")][:1]
    if gated:
        with nn.intercept_methods(without_gates):
            boxes = supports(apply, variables, gated, side)
        assert boxes == [gated[0].local_box(gated[0].middle)]
        assert boxes != [gated[0].box(gated[0].middle)]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in REPRESENTATIVES]
)
def test_gradient_fills_the_box(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Means stand for maxima, whose gradient knows one pixel of a window alone."""
    monkeypatch.setattr(ops, "max_pool", ops.mean_pool)
    check(shallow(make_model(default_config(model=name).model, 3, in_order=True)), image_size(name))


# Whole networks take more than shallow ones: a pixel must be left at the end, and a gate must stand before the field
# has grown over the image.
_SIDES = {"convnext_femto": 32, "convnext_pico": 32, "convnext_nano": 32, "convnext_tiny": 32, "mobilenet_v3_large": 64}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if name not in REPRESENTATIVES])
def test_gradient_fills_the_box_of_all(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "max_pool", ops.mean_pool)
    check(make_model(default_config(model=name).model, 3, in_order=True), _SIDES.get(name, image_size(name)))
