"""Convolution, lowered for the platform and for the shape."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops import planes, rows, winograd

# Edge handling by the names of the course notes -> the mode of `jnp.pad` ("crop" pads nothing).
PAD_MODES = {"zero": "constant", "extend": "edge", "reflect": "reflect", "wrap": "wrap"}

Padding = tuple[tuple[int, int], tuple[int, int]]


def same_padding(kernel_size: tuple[int, int]) -> Padding:
    """The (before, after) amounts that keep the size at stride 1.

    Unlike XLA's SAME they do not depend on the stride, and so agree with PyTorch's `padding=k // 2` for odd k.
    """
    height, width = kernel_size
    return ((height - 1) // 2, height // 2), ((width - 1) // 2, width // 2)


def pad_edges(images: jax.Array, padding: Padding, edges: str) -> jax.Array:
    """Pads height and width by (before, after) amounts; raises ValueError where a map is too small to be mirrored."""
    for size, amounts in zip(images.shape[1:3], padding, strict=True):
        if edges in ("reflect", "wrap") and max(amounts) > size - (edges == "reflect"):
            raise ValueError(f"edges='{edges}' cannot add {max(amounts)} pixels to a map of {size}")
    return jnp.pad(images, ((0, 0), *padding, (0, 0)), mode=PAD_MODES[edges])


def conv(images: jax.Array, kernel: jax.Array, strides: tuple[int, int] = (1, 1), edges: str = "zero") -> jax.Array:
    """2-D convolution (cross-correlation, as in every deep-learning library).

    Args:
      images: [batch, height, width, in].
      kernel: [kernel height, kernel width, in, out].
      strides: of height and width.
      edges: what stands beyond the border: "zero" (black), "extend" (the border pixel), "reflect", "wrap";
        or "crop": outputs that would need pixels from beyond are left out.

    Returns:
      [batch, ceil(height / stride), ceil(width / stride), out]; with "crop", floor((size - kernel) / stride) + 1.

    Raises:
      ValueError: the kernel does not fit into the image ("crop"), or the image is too small to be mirrored.
    """
    padding = ((0, 0), (0, 0)) if edges == "crop" else same_padding((kernel.shape[0], kernel.shape[1]))
    if edges not in ("crop", "zero"):
        images, padding = pad_edges(images, padding, edges), ((0, 0), (0, 0))
    for size, amounts, window in zip(images.shape[1:3], padding, kernel.shape[:2], strict=True):
        if size + sum(amounts) < window:
            raise ValueError(f"a {kernel.shape[0]}x{kernel.shape[1]} kernel does not fit into {size_of(images)}")
    return _conv(images, kernel, strides, padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(images: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding) -> jax.Array:
    """Forward-mode differentiation (`jax.jvp`) raises."""
    return _apply(images, kernel, strides, padding)


def _apply(images: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding) -> jax.Array:
    by_xla = functools.partial(_xla_conv, strides=strides, padding=padding)
    outputs = jax.eval_shape(by_xla, images, kernel).shape
    if (faster := _as_product(outputs, kernel, strides)) is None and winograd.pays(images.shape, kernel, strides):
        faster = winograd.conv
    if faster is None:
        return by_xla(images, kernel)
    return lax.platform_dependent(images, kernel, cpu=functools.partial(faster, padding=padding), default=by_xla)


def _as_product(
    outputs: tuple[int, ...], kernel: jax.Array, strides: tuple[int, int]
) -> Callable[..., jax.Array] | None:
    """The way through one large product that pays for these outputs on CPU."""
    return next((way.conv for way in (rows, planes) if way.pays(outputs, kernel, strides)), None)


def _xla_conv(images: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding) -> jax.Array:
    return lax.conv_general_dilated(images, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _conv_forward(
    images: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _apply(images, kernel, strides, padding), (images, kernel)


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _conv_backward(
    strides: tuple[int, int], padding: Padding, residuals: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    images, kernel = residuals
    of_images = _images_gradient(images.shape, kernel, gradient, strides, padding)
    return of_images, _kernel_gradient(images, kernel, gradient, strides, padding)


def _images_gradient(
    shape: tuple[int, ...], kernel: jax.Array, gradient: jax.Array, strides: tuple[int, int], padding: Padding
) -> jax.Array:
    def by_xla(g: jax.Array, k: jax.Array) -> jax.Array:
        like = jnp.zeros(shape, g.dtype)  # only its shape counts: a convolution is linear in the images
        return jax.vjp(lambda x: _xla_conv(x, k, strides, padding), like)[1](g)[0]

    # The platform is asked in here: asked before it is derived, what both ways keep would be kept.
    if rows.pays_for_images(gradient.shape, kernel, strides):
        faster = rows.images_gradient
    elif winograd.pays(shape, kernel, strides):
        faster = winograd.images_gradient
    else:
        return by_xla(gradient, kernel)
    by_product = functools.partial(faster, padding=padding, size=(shape[1], shape[2]))
    return lax.platform_dependent(gradient, kernel, cpu=by_product, default=by_xla)


def _kernel_gradient(
    images: jax.Array, kernel: jax.Array, gradient: jax.Array, strides: tuple[int, int], padding: Padding
) -> jax.Array:
    def pulled(conv: Callable[..., jax.Array], x: jax.Array, g: jax.Array) -> jax.Array:
        return jax.vjp(lambda k: conv(x, k), kernel)[1](g)[0]

    by_xla = functools.partial(pulled, functools.partial(_xla_conv, strides=strides, padding=padding))
    if (way := _as_product(gradient.shape, kernel, strides)) is not None:
        by_product = functools.partial(pulled, functools.partial(way, padding=padding))
        return lax.platform_dependent(images, gradient, cpu=by_product, default=by_xla)
    if winograd.pays_for_kernels(images.shape, kernel, strides):
        by_tiles = functools.partial(winograd.kernel_gradient, padding=padding)
        return lax.platform_dependent(images, gradient, cpu=by_tiles, default=by_xla)
    chunk = _patch_chunk(gradient.shape, kernel)
    if chunk is None:
        return by_xla(images, gradient)
    by_patches = functools.partial(_sum_of_products, kernel=kernel, strides=strides, padding=padding, chunk=chunk)
    return lax.platform_dependent(images, gradient, cpu=by_patches, default=by_xla)


_conv.defvjp(_conv_forward, _conv_backward)

# Measured on two EPYC cores over the layers of LeNet-5, small CNNs and ResNets: patches of 1 to 2 MB stay in the cache,
# and there this beats XLA's kernel gradient by 1.1 to 9 times; where the kernel itself is larger than that, it loses.
_PATCH_BYTES = 3 * 2**19
_MOST_KERNEL_BYTES = 2**22


def _patch_chunk(output_shape: tuple[int, ...], kernel: jax.Array) -> int | None:
    """How many images to take at once: the largest divisor of the batch whose patches fit; None: leave it to XLA."""
    batch, height, width, _ = output_shape
    size = kernel.dtype.itemsize
    per_image = height * width * kernel.size // kernel.shape[3] * size
    fitting = [n for n in range(1, batch + 1) if batch % n == 0 and n * per_image <= _PATCH_BYTES]
    chunk = max(fitting, default=1)
    if kernel.size * size > _MOST_KERNEL_BYTES or chunk * per_image > 2 * _PATCH_BYTES or chunk * height * width < 64:
        return None
    return chunk


def _sum_of_products(
    images: jax.Array, gradient: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding, chunk: int
) -> jax.Array:
    """sum over images and positions of (patch x output gradient): one matrix product per `chunk` images."""
    height, width, channels, features = kernel.shape
    images = jnp.pad(images, ((0, 0), *padding, (0, 0)))
    _, down, across, _ = gradient.shape

    def patches(x: jax.Array) -> jax.Array:
        spans = ((down - 1) * strides[0] + 1, (across - 1) * strides[1] + 1)
        slices = [
            lax.slice(x, (0, i, j, 0), (chunk, i + spans[0], j + spans[1], channels), (1, *strides, 1))
            for i in range(height)
            for j in range(width)
        ]
        return jnp.concatenate(slices, axis=-1).reshape(-1, height * width * channels)

    def add(total: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        x, g = part
        product = lax.dot_general(
            patches(x), g.reshape(-1, features), (((0,), (0,)), ((), ())), preferred_element_type=total.dtype
        )
        return total + product, None

    parts = (images.reshape(-1, chunk, *images.shape[1:]), gradient.reshape(-1, chunk, *gradient.shape[1:]))
    # Half precision would lose digits over many additions.
    dtype = jnp.promote_types(kernel.dtype, jnp.float32)
    total, _ = lax.scan(add, jnp.zeros((height * width * channels, features), dtype), parts)
    return total.reshape(kernel.shape).astype(kernel.dtype)


def size_of(images: jax.Array) -> str:
    return f"a map of {images.shape[1]}x{images.shape[2]}"
