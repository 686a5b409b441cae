"""The gradient of a kernel as products of patches with the gradient of the outputs, a few images at a time."""

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.ops.geometry import Geometry

# Measured on two EPYC cores over the layers of LeNet-5, small CNNs and ResNets: patches of 1 to 2 MB stay in the cache,
# and there this beats XLA's kernel gradient by 1.1 to 9 times; where the kernel itself is larger than that, it loses.
_PATCH_BYTES = 3 * 2**19
_MAX_KERNEL_BYTES = 2**22


def is_profitable(outputs: tuple[int, ...], kernel: jax.Array) -> bool:
    """Whether this beats XLA on CPU for outputs [B, H', W', out]."""
    return chunk_of(outputs, kernel) is not None


def chunk_of(output_shape: tuple[int, ...], kernel: jax.Array) -> int | None:
    """How many images to take at once: the largest divisor of the batch whose patches fit; None: leave it to XLA."""
    batch, height, width, _ = output_shape
    size = kernel.dtype.itemsize
    per_image = height * width * kernel.size // kernel.shape[3] * size
    fitting = [n for n in range(1, batch + 1) if batch % n == 0 and n * per_image <= _PATCH_BYTES]
    chunk = max(fitting, default=1)
    if kernel.size * size > _MAX_KERNEL_BYTES or chunk * per_image > 2 * _PATCH_BYTES or chunk * height * width < 64:
        return None
    return chunk


def kernel_gradient(images: jax.Array, gradient: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """[B, H, W, in], [B, H', W', out] -> [height, width, in, out], where it pays.

    The sum over images and positions of patch x output gradient: a matrix product for as many images as fit.
    """
    chunk = chunk_of(gradient.shape, kernel)
    assert chunk is not None
    height, width, channels, features = kernel.shape
    images = jnp.pad(images, ((0, 0), *geometry.padding, (0, 0)))
    down, across = ((n - 1) * step + 1 for n, step in zip(gradient.shape[1:3], geometry.strides, strict=True))
    places = [(i * geometry.dilation[0], j * geometry.dilation[1]) for i in range(height) for j in range(width)]

    def patches(x: jax.Array) -> jax.Array:
        slices = [
            lax.slice(x, (0, i, j, 0), (chunk, i + down, j + across, x.shape[3]), (1, *geometry.strides, 1))
            for i, j in places
        ]
        return jnp.concatenate(slices, axis=-1)

    def product(x: jax.Array, g: jax.Array) -> jax.Array:
        flat = patches(x).reshape(-1, len(places) * channels)
        return jnp.einsum("np,no->po", flat, g.reshape(-1, features), preferred_element_type=dtype)

    # Half precision would lose digits over many additions.
    dtype = jnp.promote_types(kernel.dtype, jnp.float32)
    start = jnp.zeros((len(places) * channels, features), dtype)
    parts = (images.reshape(-1, chunk, *images.shape[1:]), gradient.reshape(-1, chunk, *gradient.shape[1:]))
    total, _ = lax.scan(lambda total, part: (total + product(*part), None), start, parts)
    return total.reshape(kernel.shape).astype(kernel.dtype)
