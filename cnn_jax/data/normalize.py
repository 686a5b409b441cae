"""The four ways to bring pixels near zero, as one small value that is saved with the model."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.splits import Splits

# Of ImageNet's training images, as torchvision and timm have them.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Normalization:
    """(pixel / 255 - mean) / std per channel; or each image by its own mean and deviation (`per_image`)."""

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Normalization":
        return cls(saved["name"], tuple(map(float, saved["mean"])), tuple(map(float, saved["std"])))


def make_normalization(name: str, splits: Splits) -> Normalization:
    """`dataset`: mean and std of the training split; `unit`: to [0, 1]; `half`: to [-1, 1]; `none`: 0..255.

    `imagenet`: mean and std of its training images, as published networks expect them.
    """
    channels = splits.image_shape[2]
    if name == "dataset":
        return Normalization(name, splits.mean, splits.std)
    if name == "imagenet":
        return Normalization(name, of_colors(IMAGENET_MEAN, channels), of_colors(IMAGENET_STD, channels))
    mean, std = {"unit": (0.0, 1.0), "half": (0.5, 0.5), "per_image": (0.0, 1.0), "none": (0.0, 1 / 255)}[name]
    return Normalization(name, (mean,) * channels, (std,) * channels)


def of_colors(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Those of gray images are the mean of the three."""
    return values if channels == len(values) else (float(np.mean(values)),) * channels


def normalize(images: jax.Array, normalization: Normalization, dtype: Any = jnp.float32) -> jax.Array:
    """uint8 or float pixels in 0..255 [B, H, W, C] -> the same shape, computed in `dtype`: float32 or float64.

    `per_image` divides by at least 1/sqrt(pixels) of one gray level, so that a blank image becomes zeros.
    """
    pixels = images.astype(dtype)
    if normalization.name == "per_image":
        centered = pixels - pixels.mean(axis=(1, 2, 3), keepdims=True)
        return centered / jnp.maximum(
            pixels.std(axis=(1, 2, 3), keepdims=True), 1.0 / math.sqrt(math.prod(images.shape[1:]))
        )
    mean, std = (np.array(values).reshape(1, 1, 1, -1) for values in (normalization.mean, normalization.std))
    return pixels * (1 / (255.0 * std)).astype(dtype) - (mean / std).astype(dtype)
