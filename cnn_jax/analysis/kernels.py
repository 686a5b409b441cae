"""The kernels that a network has learned for its images: their frequency response, and the nearest classic filters."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnn_jax.analysis import filters

_DIRECTIONS = tuple(range(0, 180, 15))  # degrees; turned by 180 a derivative only changes its sign
_RANDOM_KERNELS = 1000
_DERIVATIVES: Mapping[str, Callable[[int], np.ndarray]] = {
    "Sobel": filters.sobel, "Scharr": filters.scharr, "Prewitt": filters.prewitt, "Farid": filters.farid,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Match:
    """The classic filter that each kernel is closest to.

    Attributes:
      names: [out]; None of a kernel that is all zeros.
      similarities: [out], the absolute cosine of the angle between them, 0 to 1; NaN of zeros.
      by_chance: what 95 of 100 random kernels of this shape stay below.
    """

    names: tuple[str | None, ...]
    similarities: np.ndarray
    by_chance: float

    @property
    def is_close(self) -> np.ndarray:
        """[out] bool."""
        return np.nan_to_num(self.similarities) > self.by_chance


def first_kernels(variables: Any, layers: Sequence[str]) -> tuple[str, np.ndarray] | None:
    """The name of the first layer with kernels, and these: float32 [height, width, in, out]; None where there is none.

    Args:
      layers: names, in the order of the computation.
    """
    for name in layers:
        place = variables["params"]
        for part in name.split("/"):
            place = place.get(part, {}) if isinstance(place, Mapping) else {}
        kernel = place.get("kernel") if isinstance(place, Mapping) else None
        if kernel is not None and kernel.ndim == 4:
            return name, np.asarray(kernel, np.float32)
    return None


def frequency_response(kernels: np.ndarray, size: int = 32) -> np.ndarray:
    """How much of each wave passes: [height, width, in, out] -> [size, size, out], frequency 0 in the middle.

    Over the channels it is the root of the sum of squares.

    Args:
      size: of the transform, at least that of the kernels; row i stands for (i - size // 2) / size waves per pixel.
    """
    amplitudes = np.abs(np.fft.fftshift(np.fft.fft2(kernels, (size, size), (0, 1)), (0, 1)))
    return np.sqrt((amplitudes**2).sum(2))


def match_classic(kernels: np.ndarray, seed: int = 0) -> Match | None:
    """The closest of `classic_kernels`, and what chance gives; None of kernels of one pixel, which have no shape.

    A filter of several channels is a classic one times a color; each kernel is compared with that of the best color.

    Args:
      kernels: [height, width, in, out].
      seed: of the random kernels.
    """
    height, width, channels, _ = kernels.shape
    if height * width == 1:
        return None
    bank = classic_kernels(height, width)
    filtered = np.stack(list(bank.values()))
    similarity = _similarity(kernels, filtered)
    random = np.random.RandomState(seed).standard_normal((height, width, channels, _RANDOM_KERNELS))
    by_chance = float(np.quantile(_similarity(random, filtered).max(0), 0.95))
    best, names = similarity.max(0), list(bank)
    closest = tuple(
        None if math.isnan(value) else names[index] for value, index in zip(best, similarity.argmax(0), strict=True)
    )
    return Match(closest, best, by_chance)


def classic_kernels(height: int, width: int) -> dict[str, np.ndarray]:
    """Filters of this size by name, [height, width], of norm 1; names end with the direction in degrees.

    Smaller ones stand in the middle among zeros, where there is a middle. Gaussians and Gabors are made for the size.
    """
    y, x = np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2]).reshape(2, 1, 1)
    side = min(height, width) if min(height, width) > 1 else max(height, width)
    made = {"mean": np.ones((height, width)), "Gaussian": np.exp(-(y**2 + x**2) / (2 * (side / 4) ** 2))}
    made |= {name: _in_the_middle(kernel, height, width) for name, kernel in _of_their_own_size(side).items()}
    for direction in _DIRECTIONS:
        angle = math.radians(direction)
        for waves in (1.0, 1.5, 2.0):
            if waves <= side / 2:
                for phase, offset in (("even", 0.0), ("odd", math.pi / 2)):
                    gabor = filters.gabor_at(y, x, waves / side, angle, side / 4, offset)
                    made[f"Gabor {phase}, {waves:g} waves, {direction}"] = gabor
    norms = {name: float(np.linalg.norm(kernel)) for name, kernel in made.items() if kernel is not None}
    largest = max(norms.values())
    # An odd wave of the highest frequency is zero on every pixel.
    return {name: made[name] / norm for name, norm in norms.items() if norm > 1e-6 * largest}


def _of_their_own_size(side: int) -> dict[str, np.ndarray]:
    point = np.zeros((3, 3))
    point[1, 1] = 1
    made = {"one pixel": point[1:2, 1:2]}
    if side >= 3:
        made |= {"Laplacian": filters.laplacian(), "sharpen": point - filters.laplacian()}
        made |= {f"emboss {45 + 90 * turns}": np.rot90(filters.emboss(), -turns) for turns in range(4)}
    for name, derivative in _DERIVATIVES.items():
        down, right = (derivative(axis).astype(np.float64) for axis in (0, 1))
        if side >= len(down):
            for direction in _DIRECTIONS:
                angle = math.radians(direction)
                made[f"{name} {direction}"] = math.cos(angle) * right + math.sin(angle) * down
    return made


def _in_the_middle(kernel: np.ndarray, height: int, width: int) -> np.ndarray | None:
    """None where it has no middle there: a side is even, or too short."""
    margins = height - kernel.shape[0], width - kernel.shape[1]
    if min(margins) < 0 or any(margin % 2 for margin in margins):
        return None
    return np.pad(kernel, [(margin // 2, margin // 2) for margin in margins])


def _similarity(kernels: np.ndarray, filtered: np.ndarray) -> np.ndarray:
    """[height, width, in, out], unit filters [F, height, width] -> [F, out]; NaN of zeros."""
    norms = np.linalg.norm(kernels.reshape(-1, kernels.shape[-1]), axis=0)
    along = np.linalg.norm(np.tensordot(filtered, kernels, axes=((1, 2), (0, 1))), axis=1)
    return np.where(norms > 0, along / np.where(norms > 0, norms, 1), np.nan)
