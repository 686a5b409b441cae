"""Class activation maps: what a layer's maps say for a class, weighted by the logit's gradient."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.attribution.inputs import check, of_target
from cnn_jax.analysis.attribution.memory import in_chunks
from cnn_jax.analysis.layers import Apply, find_layer, list_layers, with_offset
from cnn_jax.errors import InputError


def grad_cam(apply: Apply, variables: Any, images: Any, targets: Any = None, **options: Any) -> np.ndarray:
    """relu(sum_k w_k A_k), w_k the mean of the logit's gradient over the map A_k (Selvaraju et al. 2017, eq. 1, 2).

    Args:
      apply: without test-time augmentation: it computes each layer once.
      images, targets: see `saliency`.
      layer: whose maps; None: the last with more than one position.
      relu: False keeps what is negative, and shows where a map has no positive evidence at all.
      upsample: to the image's size, by bilinear interpolation; False: the size of the layer's maps.
      chunk: see `saliency`.

    Returns:
      [B, H, W], in units of the logit, not rescaled.

    Raises:
      InputError: there is no such layer, or it has no maps.
    """
    return _cam(_grad_cam, apply, variables, images, targets, **options)


def grad_cam_plus_plus(apply: Apply, variables: Any, images: Any, targets: Any = None, **options: Any) -> np.ndarray:
    """Grad-CAM whose weights are sums of relu(g) g^2 / (2 g^2 + g^3 sum(A_k)) (Chattopadhyay et al. 2018, eq. 13, 19).

    With the gradient g of the logit, as pytorch-grad-cam has it. The arguments are those of `grad_cam`.
    """
    return _cam(_grad_cam_plus_plus, apply, variables, images, targets, **options)


def hires_cam(apply: Apply, variables: Any, images: Any, targets: Any = None, **options: Any) -> np.ndarray:
    """relu(sum_k g_k A_k), gradient times map place by place (Draelos & Carin 2020).

    Where all behind the layer is linear, its sum without `relu` is the logit less its bias. The arguments are those of
    `grad_cam`.
    """
    return _cam(_hires_cam, apply, variables, images, targets, **options)


def default_layer(layers: Mapping[str, tuple[int, ...]], positions: int = 2) -> str | None:
    """The last layer with maps of so many positions, or at least of more than one; None where there is none.

    None, too, where tokens [T, D] come behind the last maps, as in a ViT: these are its first layer, not its last.

    Args:
      layers: {name: shape of its output for one image}, in order, as `list_layers` gives it.
    """
    found = {name: shape[0] * shape[1] for name, shape in layers.items() if len(shape) == 3 and max(shape[:2]) > 1}
    names = list(layers)
    if not found or any(len(layers[name]) == 2 for name in names[names.index(list(found)[-1]) :]):
        return None
    return ([name for name, count in found.items() if count >= positions] or list(found))[-1]


def _cam(
    formula: Callable[[jax.Array, jax.Array], jax.Array],
    apply: Apply,
    variables: Any,
    images: Any,
    targets: Any,
    *,
    layer: str | None = None,
    relu: bool = True,
    upsample: bool = True,
    chunk: int | None = None,
) -> np.ndarray:
    pixels, classes, chunk = check(apply, variables, images, targets, chunk)
    layers = list_layers(apply, variables, pixels.shape[1:])
    name = default_layer(layers) if layer is None else find_layer(list(layers), layer)
    if name is None:
        raise InputError("no layer behind which only maps come: this network has no class activation maps")
    if len(layers[name]) != 3:
        raise InputError(f"layer '{name}' gives {list(layers[name])}, no maps [H, W, C]")
    seen = functools.partial(_maps_and_gradients, apply, name, layers[name], variables)
    maps, gradients = in_chunks(seen, chunk, pixels, classes)
    cam = formula(jnp.asarray(maps, jnp.float32), jnp.asarray(gradients, jnp.float32))
    cam = jax.nn.relu(cam) if relu else cam
    return np.asarray(jax.image.resize(cam, (len(cam), *pixels.shape[1:3]), "linear") if upsample else cam)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _maps_and_gradients(
    apply: Apply, layer: str, shape: tuple[int, ...], variables: Any, images: jax.Array, targets: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """What the layer gives [B, H, W, K], and the gradient of each image's target logit with respect to it."""

    def score(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits, output = with_offset(apply, layer)(variables, images, offset)
        return of_target(logits, targets).sum(), output

    gradient, output = jax.grad(score, has_aux=True)(jnp.zeros((len(images), *shape)))
    return output, gradient


def _grad_cam(maps: jax.Array, gradients: jax.Array) -> jax.Array:
    return jnp.einsum("bhwk,bk->bhw", maps, gradients.mean(axis=(1, 2)))


def _grad_cam_plus_plus(maps: jax.Array, gradients: jax.Array) -> jax.Array:
    square, sums = gradients**2, maps.sum(axis=(1, 2), keepdims=True)
    alpha = jnp.where(gradients == 0, 0, square / (2 * square + sums * square * gradients + 1e-6))
    return jnp.einsum("bhwk,bk->bhw", maps, (jax.nn.relu(gradients) * alpha).sum(axis=(1, 2)))


def _hires_cam(maps: jax.Array, gradients: jax.Array) -> jax.Array:
    return (maps * gradients).sum(axis=-1)
