"""What the last layer of a network sees."""

from typing import Any

import flax.linen as nn
import jax

from cnn_jax.models.classifier import Classifier

LAST_LAYER = ("head", "logits")


def last_layer_inputs(model: Classifier, variables: Any, images: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, D], in evaluation mode: what enters `head/logits`.

    That is `embed`, and what hidden layers of the head make of it where there are some.

    Raises:
      ValueError: the model calls no module of that name.
    """
    seen: list[jax.Array] = []

    def keep(call: Any, arguments: Any, keywords: Any, context: nn.module.InterceptorContext) -> Any:
        if context.module.path == LAST_LAYER and context.method_name == "__call__":
            seen.append(arguments[0])
        return call(*arguments, **keywords)

    with nn.intercept_methods(keep):
        model.apply(variables, images, train=False)
    if not seen:
        raise ValueError(f"{type(model).__name__} has no layer {'/'.join(LAST_LAYER)}")
    return seen[0]
