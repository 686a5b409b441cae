"""Convolution, lowered for the platform and for the shape."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops import depthwise, grouped, patches, planes, pointwise, rows, winograd
from cnn_jax.ops.geometry import Geometry, Padding, same_padding, size_of, spans_of, strided_padding

# Edge handling by the names of the course notes -> the mode of `jnp.pad` ("crop" pads nothing).
PAD_MODES = {"zero": "constant", "extend": "edge", "reflect": "reflect", "wrap": "wrap"}


def pad(images: jax.Array, padding: Padding, padding_mode: str) -> jax.Array:
    """Pads height and width by (before, after) amounts; raises ValueError where a map is too small to be mirrored."""
    for size, amounts in zip(images.shape[1:3], padding, strict=True):
        if padding_mode in ("reflect", "wrap") and max(amounts) > size - (padding_mode == "reflect"):
            raise ValueError(f"padding_mode='{padding_mode}' cannot add {max(amounts)} pixels to a map of {size}")
    return jnp.pad(images, ((0, 0), *padding, (0, 0)), mode=PAD_MODES[padding_mode])


def conv(
    images: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int] = (1, 1),
    padding_mode: str = "zero",
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    pooled: bool = False,
) -> jax.Array:
    """2-D convolution (cross-correlation, as in every deep-learning library).

    Forward-mode differentiation (`jax.jvp`) raises.

    Args:
      images: [batch, height, width, in].
      kernel: [kernel height, kernel width, in / groups, out].
      strides: of height and width.
      padding_mode: what stands beyond the border: "zero" (black), "extend" (the border pixel), "reflect", "wrap";
        "same": black as TensorFlow pads, by a number that depends on size and stride, and of which the odd pixel comes
        last (see `strided_padding`); "crop": nothing, outputs that would need pixels from beyond are left out;
        "full": so much black that each window which holds a pixel of the image gives an output.
      dilation: steps from one pixel of a window to the next; a window spans (kernel - 1) * dilation + 1.
      groups: into which the channels are divided, in and out; each output sees those of its group.
      pooled: says that a `max_pool` of small tiles follows. The result is the same, the whole map; but without a
        gradient the way is then left to XLA, which on a CPU makes one of all that stands up to the maximum.

    Returns:
      [batch, ceil(height / stride), ceil(width / stride), out]; with "crop", floor((size - span) / stride) + 1; with
      "full", floor((size + span - 2) / stride) + 1.

    Raises:
      ValueError: the kernel does not fit into the image ("crop") or to its channels, or the image is too small to be
        mirrored.
    """
    if kernel.shape[2] * groups != images.shape[3] or kernel.shape[3] % groups:
        raise ValueError(
            f"a kernel from {kernel.shape[2]} to {kernel.shape[3]} channels does not fit to {images.shape[3]} channels"
            f" in {groups} group{'s' * (groups != 1)}"
        )
    window = (kernel.shape[0], kernel.shape[1])
    spans = spans_of(window, dilation)
    padding = same_padding(window, dilation)
    if padding_mode == "crop":
        padding = ((0, 0), (0, 0))
    elif padding_mode == "full":
        padding = ((spans[0] - 1,) * 2, (spans[1] - 1,) * 2)
    elif padding_mode == "same":
        padding = strided_padding((images.shape[1], images.shape[2]), window, strides, dilation)
    elif padding_mode != "zero":
        images, padding = pad(images, padding, padding_mode), ((0, 0), (0, 0))
    for size, amounts, span in zip(images.shape[1:3], padding, spans, strict=True):
        if size + sum(amounts) < span:
            raise ValueError(f"a {spans[0]}x{spans[1]} kernel does not fit into {size_of(images)}")
    return _conv(images, kernel, Geometry(strides, padding, dilation, groups), pooled)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(images: jax.Array, kernel: jax.Array, geometry: Geometry, pooled: bool) -> jax.Array:
    by_xla = functools.partial(_xla_conv, geometry=geometry)
    if (way := _way_of_channels(kernel, geometry)) is not None:
        return lax.platform_dependent(images, kernel, cpu=functools.partial(way, geometry=geometry), default=by_xla)
    outputs = jax.eval_shape(by_xla, images, kernel).shape
    faster = _as_product(outputs, kernel, geometry)
    if faster is None and geometry.is_dense and winograd.is_profitable(images.shape, kernel, geometry.strides):
        faster = winograd.conv
    # By rows is faster even than XLA's convolution and maximum as one.
    if faster is None or (pooled and faster is not rows.conv):
        return by_xla(images, kernel)
    by_product = functools.partial(faster, padding=geometry.padding)
    return lax.platform_dependent(images, kernel, cpu=by_product, default=by_xla)


def _special(kernel: jax.Array, geometry: Geometry) -> Any:
    """The module, with a value and both gradients, that has a way of its own for such a kernel on CPU; or None."""
    return next((way for way in (depthwise, pointwise) if way.is_profitable(kernel, geometry)), None)


def _way_of_channels(kernel: jax.Array, geometry: Geometry) -> Callable[..., jax.Array] | None:
    """The way that pays on CPU whatever the size of the maps."""
    if (special := _special(kernel, geometry)) is not None:
        return special.conv
    return functools.partial(grouped.conv, dense=_dense_conv) if geometry.groups > 1 else None


def _dense_conv(images: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    outputs: jax.Array = _conv(images, kernel, geometry, False)
    return outputs


def _as_product(outputs: tuple[int, ...], kernel: jax.Array, geometry: Geometry) -> Callable[..., jax.Array] | None:
    """The way through one large product that pays for these outputs on CPU."""
    ways = (rows, planes) if geometry.is_dense else ()
    return next((way.conv for way in ways if way.is_profitable(outputs, kernel, geometry.strides)), None)


def _xla_conv(images: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    return lax.conv_general_dilated(
        images, kernel, geometry.strides, geometry.padding, rhs_dilation=geometry.dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=geometry.groups,
    )  # fmt: skip


def _conv_forward(
    images: jax.Array, kernel: jax.Array, geometry: Geometry, pooled: bool
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _conv(images, kernel, geometry, False), (images, kernel)


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _conv_backward(
    geometry: Geometry, pooled: bool, residuals: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    images, kernel = residuals
    of_images = _images_gradient(images.shape, kernel, gradient, geometry)
    return of_images, _kernel_gradient(images, kernel, gradient, geometry)


def _images_gradient(shape: tuple[int, ...], kernel: jax.Array, gradient: jax.Array, geometry: Geometry) -> jax.Array:
    def pulled(conv: Callable[..., jax.Array], g: jax.Array, k: jax.Array) -> jax.Array:
        like = jnp.zeros(shape, g.dtype)  # only its shape counts: a convolution is linear in the images
        return jax.vjp(lambda x: conv(x, k), like)[1](g)[0]

    by_xla = functools.partial(pulled, functools.partial(_xla_conv, geometry=geometry))
    faster: Callable[..., jax.Array]
    size = (shape[1], shape[2])
    # The platform is asked in here: asked before it is derived, what both ways keep would be kept.
    if (special := _special(kernel, geometry)) is not None:
        faster = functools.partial(special.images_gradient, geometry=geometry, size=size)
    elif (way := _way_of_channels(kernel, geometry)) is not None:
        faster = functools.partial(pulled, functools.partial(way, geometry=geometry))
    elif geometry.is_dense and rows.is_profitable_for_images(gradient.shape, kernel, geometry.strides):
        faster = functools.partial(rows.images_gradient, padding=geometry.padding, size=size)
    elif geometry.is_dense and winograd.is_profitable(shape, kernel, geometry.strides):
        faster = functools.partial(winograd.images_gradient, padding=geometry.padding, size=size)
    else:
        return by_xla(gradient, kernel)
    return lax.platform_dependent(gradient, kernel, cpu=faster, default=by_xla)


def _kernel_gradient(images: jax.Array, kernel: jax.Array, gradient: jax.Array, geometry: Geometry) -> jax.Array:
    def pulled(conv: Callable[..., jax.Array], x: jax.Array, g: jax.Array) -> jax.Array:
        return jax.vjp(lambda k: conv(x, k), kernel)[1](g)[0]

    by_xla = functools.partial(pulled, functools.partial(_xla_conv, geometry=geometry))
    if (special := _special(kernel, geometry)) is not None:
        faster = functools.partial(special.kernel_gradient, kernel=kernel, geometry=geometry)
    elif (way := _way_of_channels(kernel, geometry)) is not None:
        faster = functools.partial(pulled, functools.partial(way, geometry=geometry))
    elif (way := _as_product(gradient.shape, kernel, geometry)) is not None:
        faster = functools.partial(pulled, functools.partial(way, padding=geometry.padding))
    elif geometry.is_dense and winograd.is_profitable_for_kernels(images.shape, kernel, geometry.strides):
        faster = functools.partial(winograd.kernel_gradient, padding=geometry.padding)
    elif patches.is_profitable(gradient.shape, kernel):
        faster = functools.partial(patches.kernel_gradient, kernel=kernel, geometry=geometry)
    else:
        return by_xla(images, gradient)
    return lax.platform_dependent(images, gradient, cpu=faster, default=by_xla)


_conv.defvjp(_conv_forward, _conv_backward)
