"""Classic image filters: kernels as arrays, and a compiled function that applies them with any edge handling.

A kernel is what a convolution layer of this package would hold: it lies on the image as it is printed (a
cross-correlation). Libraries that convolve hold it turned by 180 degrees; the filtered image is the same. The first
axis of a kernel goes down, the second to the right, and a derivative is positive where an image gets brighter that way.
"""

import functools
import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.errors import InputError
from cnn_jax.ops import PAD_MODES, conv

PADDING_MODES = (*PAD_MODES, "crop", "same")

# What smooths along an edge, as scikit-image scales it; OpenCV's Sobel is 4 times and its Scharr 16 times as large.
_SMOOTHING = {"sobel": (1 / 4, 2 / 4, 1 / 4), "scharr": (3 / 16, 10 / 16, 3 / 16), "prewitt": (1 / 3, 1 / 3, 1 / 3)}
_CENTRAL = (-1.0, 0.0, 1.0)  # spans two pixels: it gives 2 on a ramp of slope 1
# Farid and Simoncelli 2004, table 1, with scikit-image's further digits; it gives 0.992 on a ramp of slope 1.
_FARID_SMOOTHING = (0.0376593171958126, 0.249153396177344, 0.426374573253687, 0.249153396177344, 0.0376593171958126)
_FARID_DERIVATIVE = (-0.109603762960254, -0.276690988455557, 0.0, 0.276690988455557, 0.109603762960254)


def sobel(axis: int) -> np.ndarray:
    """[3, 3]: the derivative down (0) or to the right (1), smoothed by [1, 2, 1] / 4."""
    return _derivative(_SMOOTHING["sobel"], _CENTRAL, axis)


def scharr(axis: int) -> np.ndarray:
    """[3, 3]: likewise by [3, 10, 3] / 16, whose magnitude depends least on the edge's direction."""
    return _derivative(_SMOOTHING["scharr"], _CENTRAL, axis)


def prewitt(axis: int) -> np.ndarray:
    """[3, 3]: likewise by [1, 1, 1] / 3."""
    return _derivative(_SMOOTHING["prewitt"], _CENTRAL, axis)


def farid(axis: int) -> np.ndarray:
    """[5, 5]: of Farid and Simoncelli 2004, made to agree with its smoothing in all directions."""
    return _derivative(_FARID_SMOOTHING, _FARID_DERIVATIVE, axis)


def laplacian() -> np.ndarray:
    """[3, 3]: the sum of both second derivatives, as SciPy signs it: negative on a bright spot."""
    return np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)


def gaussian(sigma: float, truncate: float = 4.0) -> np.ndarray:
    """A square of side 2 * round(truncate * sigma) + 1 whose sum is 1, as SciPy's `gaussian_filter` has it.

    Raises:
      InputError: a sigma that is not above 0.
    """
    _check_positive("sigma", sigma)
    line = _gaussian_line(sigma, int(truncate * sigma + 0.5))
    return np.outer(line, line).astype(np.float32)


def sharpen(amount: float = 1.0, sigma: float = 1.0) -> np.ndarray:
    """Unsharp mask: the image, and `amount` times what `gaussian(sigma)` takes from it; its sum is 1."""
    smooth = gaussian(sigma).astype(np.float64)
    kernel = -amount * smooth
    kernel[len(smooth) // 2, len(smooth) // 2] += 1 + amount
    return kernel.astype(np.float32)


def emboss() -> np.ndarray:
    """[3, 3]: the image as a relief with light from the bottom right; its sum is 1, so plains keep their brightness."""
    return np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)


def gabor(
    frequency: float, theta: float = 0.0, sigma: float | None = None, offset: float = 0.0, deviations: float = 3.0
) -> np.ndarray:
    """A wave under a Gaussian, as the real part of scikit-image's `gabor_kernel`; its sum is not 0 unless it is odd.

    Args:
      frequency: in waves per pixel, at most 0.5.
      theta: the direction of the wave in radians, from right to down.
      sigma: of the Gaussian in pixels; without it that of a bandwidth of one octave, 0.56 / frequency.
      offset: of the wave, in radians: 0 is an even kernel, pi / 2 an odd one.
      deviations: how many sigmas it reaches.

    Raises:
      InputError: a frequency or a sigma that is not above 0.
    """
    _check_positive("frequency", frequency)
    sigma = math.sqrt(math.log(2) / 2) / math.pi * 3 / frequency if sigma is None else sigma
    _check_positive("sigma", sigma)
    reach = [math.ceil(max(abs(deviations * sigma * part), 1)) for part in (math.cos(theta), math.sin(theta))]
    radius = max(reach)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return gabor_at(y, x, frequency, theta, sigma, offset).astype(np.float32)


def gabor_at(y: np.ndarray, x: np.ndarray, frequency: float, theta: float, sigma: float, offset: float) -> np.ndarray:
    """`gabor` at places (y, x), in pixels from its centre; float64."""
    along = x * math.cos(theta) + y * math.sin(theta)
    wave = np.cos(2 * math.pi * frequency * along - offset)
    return wave * np.exp(-(y**2 + x**2) / (2 * sigma**2)) / (2 * math.pi * sigma**2)


# What a picture of the filters shows, each with a size that suits small images.
FILTERS: Mapping[str, Callable[[], np.ndarray]] = {
    "Sobel, to the right": functools.partial(sobel, 1),
    "Sobel, down": functools.partial(sobel, 0),
    "Scharr, to the right": functools.partial(scharr, 1),
    "Prewitt, to the right": functools.partial(prewitt, 1),
    "Farid, to the right": functools.partial(farid, 1),
    "Laplacian": laplacian,
    "Gaussian, sigma 1": functools.partial(gaussian, 1.0),
    "sharpen": sharpen,
    "emboss": emboss,
    "Gabor, 0 degrees": functools.partial(gabor, 0.25, 0.0, 2.0),
    "Gabor, 45 degrees": functools.partial(gabor, 0.25, math.pi / 4, 2.0),
    "Gabor, 90 degrees": functools.partial(gabor, 0.25, math.pi / 2, 2.0),
}


@functools.partial(jax.jit, static_argnames="padding_mode")
def _filtered(images: jax.Array, kernel: jax.Array, padding_mode: str) -> jax.Array:
    channels = images.shape[-1]
    each = jnp.tile(kernel[:, :, None, None], (1, 1, 1, channels)).astype(images.dtype)
    # On accelerators products are rounded to fewer digits unless one asks.
    with jax.default_matmul_precision("highest"):
        return conv(images, each, padding_mode=padding_mode, groups=channels)


def apply_filter(
    images: jax.Array | np.ndarray, kernel: jax.Array | np.ndarray, padding_mode: str = "zero"
) -> jax.Array:
    """Each channel of each image by itself; compiled once for each shape.

    Args:
      images: [B, H, W, C], integers or floats.
      kernel: [height, width].
      padding_mode: what stands beyond the border, one of `PADDING_MODES`, as for `ops.conv`. SciPy calls "zero"
        constant, "extend" nearest, "reflect" mirror, and "wrap" wrap; "crop" keeps what needs nothing from beyond.

    Returns:
      Floats of the same shape; with "crop" smaller by the kernel's sides less 1.

    Raises:
      InputError: another rank or mode.
      ValueError: the image is smaller than the kernel ("crop"), or too small to be mirrored.
    """
    images, kernel = jnp.asarray(images), jnp.asarray(kernel)
    if images.ndim != 4 or kernel.ndim != 2:
        raise InputError(
            f"images are [B, H, W, C] and a kernel [height, width]; these have shapes {images.shape} and {kernel.shape}"
        )
    if padding_mode not in PADDING_MODES:
        raise InputError(f"padding_mode='{padding_mode}': it must be one of {', '.join(PADDING_MODES)}")
    return _filtered(images.astype(jnp.promote_types(images.dtype, jnp.float32)), kernel, padding_mode)


def gradient_magnitude(
    images: jax.Array | np.ndarray, derivative: Callable[[int], np.ndarray] = sobel, padding_mode: str = "zero"
) -> jax.Array:
    """The root of the mean square of both derivatives, as scikit-image's `sobel` gives it: [B, H, W, C] -> the same."""
    down, right = (apply_filter(images, derivative(axis), padding_mode) for axis in (0, 1))
    return jnp.sqrt((down**2 + right**2) / 2)


def _derivative(smoothing: tuple[float, ...], derivative: tuple[float, ...], axis: int) -> np.ndarray:
    if axis not in (0, 1):
        raise InputError(f"axis={axis}: it must be 0 (down) or 1 (to the right)")
    kernel = np.outer(smoothing, derivative).astype(np.float32)
    return kernel if axis == 1 else kernel.T


def _gaussian_line(sigma: float, radius: int) -> np.ndarray:
    line = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return line / line.sum()


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InputError(f"{name}={value:g}: it must be above 0")
