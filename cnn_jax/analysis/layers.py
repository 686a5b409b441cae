"""The layers of a network by name: what they give out, and what the logits owe to it.

A layer is a Flax module below the top, and its name its path: `block1/conv1`, `block1`, `head/hidden1`. What a layer
gives out is what its call returned, where that is one array. A network made with `in_order` computes each layer as its
name says; others may move a pool before a bias.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name

from cnn_jax.errors import InputError

Apply = Callable[[Any, jax.Array], jax.Array]  # (variables, images [B, H, W, C]) -> logits [B, K]


def list_layers(apply: Apply, variables: Any, image_shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The shape of each layer's output for one image, without the batch, in the order of the computation.

    Args:
      apply: calls linen modules inside.
      image_shape: (height, width, channels).
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, output: jax.Array) -> jax.Array:
        shapes[name] = output.shape[1:]
        return output

    image = jax.ShapeDtypeStruct((1, *image_shape), "float32")
    jax.eval_shape(lambda weights, pixels: _apply_with(apply, note, weights, pixels), variables, image)
    return shapes


def find_layer(layers: Sequence[str], name: str) -> str:
    """The layer of this name.

    Raises:
      InputError: there is none; it names those that are there.
    """
    if name in layers:
        return name
    raise InputError(f"there is no layer '{name}'; there are {', '.join(layers)}")


def with_outputs(
    apply: Apply, names: Sequence[str]
) -> Callable[[Any, jax.Array], tuple[jax.Array, dict[str, jax.Array]]]:
    """(variables, images) -> (logits, {name: output [B, ...]}); pure, not compiled."""

    def applied(variables: Any, images: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        outputs: dict[str, jax.Array] = {}

        def note(name: str, output: jax.Array) -> jax.Array:
            if name in names:
                outputs[name] = output
            return output

        logits = _apply_with(apply, note, variables, images)
        return logits, outputs

    return applied


def with_offset(apply: Apply, name: str) -> Callable[[Any, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """(variables, images, offset) -> (logits, the layer's output): the offset, of its shape, is added to what it gives.

    The gradient with respect to an offset of zeros is that of the layer's output.
    """

    def applied(variables: Any, images: jax.Array, offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        outputs: dict[str, jax.Array] = {}

        def shift(layer: str, output: jax.Array) -> jax.Array:
            if layer != name:
                return output
            outputs[name] = output
            return output + offset

        logits = _apply_with(apply, shift, variables, images)
        return logits, outputs[name]

    return applied


def with_names(apply: Apply, prefix: str) -> Apply:
    """The same, where each layer's output passes through `checkpoint_name(output, prefix + name)`."""
    return lambda variables, images: _apply_with(
        apply, lambda name, output: checkpoint_name(output, prefix + name), variables, images
    )


def _apply_with(
    apply: Apply, on_output: Callable[[str, jax.Array], jax.Array], variables: Any, images: jax.Array
) -> jax.Array:
    """The logits, where each layer's output is what `on_output(name, output)` makes of it."""

    def intercept(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        output = call(*args, **kwargs)
        path = context.module.path
        if context.method_name != "__call__" or not path or not isinstance(output, jax.Array):
            return output
        return on_output("/".join(path), output)

    with nn.intercept_methods(intercept):
        return apply(variables, images)
