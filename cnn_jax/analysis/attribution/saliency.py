"""The gradient of a class's logit with respect to the pixels, and the gradient times the pixels."""

import functools
from typing import Any

import jax
import numpy as np

from cnn_jax.analysis.attribution.inputs import check, of_target
from cnn_jax.analysis.attribution.memory import in_chunks
from cnn_jax.analysis.layers import Apply


def saliency(apply: Apply, variables: Any, images: Any, targets: Any = None, *, chunk: int | None = None) -> np.ndarray:
    """The gradient [B, H, W, C] of each image's target logit (Simonyan, Vedaldi & Zisserman 2014, section 3).

    Raw and signed: by how much the logit rises with a pixel, per gray level. Pictures show its magnitude, the largest
    over the channels.

    Args:
      apply: (variables, pixels 0..255 [B, H, W, C]) -> logits [B, K]; each image's logits depend on it alone.
      images: [B, H, W, C], uint8 or float.
      targets: classes [B], one class for all, or None: of each the predicted class.
      chunk: images at once; None: as many as 256 MiB hold, by an estimate.
    """
    pixels, classes, chunk = check(apply, variables, images, targets, chunk)
    gradients: np.ndarray = in_chunks(functools.partial(gradient, apply, variables), chunk, pixels, classes)
    return gradients


def input_x_gradient(
    apply: Apply, variables: Any, images: Any, targets: Any = None, *, chunk: int | None = None
) -> np.ndarray:
    """The gradient times the pixel [B, H, W, C]: black pixels get nothing (Shrikumar et al. 2016).

    The arguments are those of `saliency`.
    """
    pixels, classes, chunk = check(apply, variables, images, targets, chunk)
    return pixels * saliency(apply, variables, pixels, classes, chunk=chunk)


@functools.partial(jax.jit, static_argnums=0)
def gradient(apply: Apply, variables: Any, images: jax.Array, targets: jax.Array) -> jax.Array:
    """Of each image's own target logit: one backward pass serves the batch, as the sum has each one's gradient."""
    return jax.grad(lambda pixels: of_target(apply(variables, pixels), targets).sum())(images)
