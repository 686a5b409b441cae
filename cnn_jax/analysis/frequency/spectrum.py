"""The power of images at each frequency: the spectrum of a set, its slope, and what a coarser grid cannot hold."""

import dataclasses
import functools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

_RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Of a set of images, as they are: no window, no mean taken away.

    Attributes:
      power: [H, W], the mean over images and channels of |DFT|^2 / (H * W); its sum is the mean image's sum of squares
        (Parseval).
      profiles: [N, R + 1], each image's mean power at the radii 0 to R, the half of the shorter side.
    """

    power: np.ndarray
    profiles: np.ndarray

    @property
    def radii(self) -> np.ndarray:
        return np.arange(self.profiles.shape[1])

    @property
    def radial(self) -> np.ndarray:
        """[R + 1]: the mean over all images."""
        return self.profiles.mean(0)


def frequency_radius(height: int, width: int) -> np.ndarray:
    """[H, W]: how far each frequency is from 0, in waves over the shorter side."""
    return min(height, width) * np.hypot(*_per_pixel(height, width))


def measure_spectrum(batches: Iterable[jax.Array | np.ndarray]) -> Spectrum:
    """The spectrum of images [B, H, W, C], in the unit of their pixels; batches of one shape are compiled once."""
    profiles, total = [], np.zeros(())
    for images in batches:
        power = _power(jnp.asarray(images))
        profiles.append(np.asarray(_radial_means(power)))
        total = total + np.asarray(power.sum(0), np.float64)
    every = np.concatenate(profiles).astype(np.float64)
    return Spectrum(total / len(every), every)


def spectral_slope(profiles: np.ndarray, seed: int = 0) -> tuple[float, tuple[float, float], float]:
    """The exponent a of power ~ radius^a: a line through the logarithms from radius 1 on, all radii weighing the same.

    Natural images have about -2 (Field 1987), noise 0.

    Args:
      profiles: as `Spectrum` has them.
      seed: of the bootstrap over images.

    Returns:
      (slope, its 95 % interval over images, the line's power at radius 1).
    """
    logs = np.log(np.arange(1, profiles.shape[1]))
    slope, intercept = np.polyfit(logs, np.log(_positive(profiles[:, 1:].mean(0))), 1)
    counts = np.random.RandomState(seed).multinomial(
        len(profiles), np.full(len(profiles), 1 / len(profiles)), _RESAMPLES
    )
    resampled = np.polyfit(logs, np.log(_positive(counts @ profiles[:, 1:] / len(profiles))).T, 1)[0]
    low, high = np.quantile(resampled, (0.025, 0.975))
    return float(slope), (float(low), float(high)), float(np.exp(intercept))


def share_beyond(power: np.ndarray, stride: float) -> float:
    """The share of the power, without the mean, that folds on a grid of every `stride`-th pixel.

    Such a grid holds up to 1 / (2 * stride) waves per pixel down and across: what lies beyond, in either direction,
    looks there like a lower frequency.

    Args:
      power: [H, W].
    """
    down, across = _per_pixel(*power.shape)
    limit = 1 / (2 * stride) + 1e-9
    folds = (np.abs(down) > limit) | (np.abs(across) > limit)
    changing = frequency_radius(*power.shape) > 0
    total = power[changing].sum()
    return float(power[folds].sum() / total) if total > 0 else 0.0


@jax.jit
def _power(images: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, H, W], the mean over channels."""
    transformed = jnp.fft.fft2(images.astype(jnp.float32), axes=(1, 2), norm="ortho")
    power = (transformed.real**2 + transformed.imag**2).mean(-1)
    return jnp.fft.fftshift(power, axes=(1, 2))


@jax.jit
def _radial_means(power: jax.Array) -> jax.Array:
    """[B, H, W] -> [B, R + 1]; a frequency counts for the nearest radius, those in the corners for none."""
    height, width = power.shape[1:]
    ring, rings = _rings(height, width)
    sums = jax.vmap(lambda each: jnp.zeros(rings + 1).at[ring].add(each.reshape(-1)))(power)
    counts = np.bincount(ring, minlength=rings + 1).astype(np.float32)
    return (sums / counts[None])[:, :rings]


@functools.cache
def _rings(height: int, width: int) -> tuple[np.ndarray, int]:
    """The ring of each frequency [H * W], and how many there are; what is farther out is in one more."""
    rings = min(height, width) // 2 + 1
    nearest = np.floor(frequency_radius(height, width) + 0.5).astype(int)
    return np.minimum(nearest, rings).reshape(-1), rings


def _per_pixel(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Waves per pixel down and across: [H, W] each."""
    down, across = (np.fft.fftshift(np.fft.fftfreq(size)) for size in (height, width))
    rows, columns = np.meshgrid(down, across, indexing="ij")
    return rows, columns


def _positive(power: np.ndarray) -> np.ndarray:
    """Blank images have no power at all, and zero no logarithm."""
    return np.maximum(power, 1e-20)
