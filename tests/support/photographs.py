"""The 20 labelled photographs of the package foolbox, as published networks want to see them; no JAX in here."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def photographs(folder: Path) -> list[tuple[Path, int]]:
    """Files and ImageNet labels, in the order of their numbers."""
    files = sorted(folder.glob("imagenet_*.jpg"))
    return [(file, int(re.findall(r"\d+", file.stem)[-1])) for file in files]


def torchvision_pixels(file: Path) -> np.ndarray:
    """The shorter side to 256, bilinear, and the 224x224 in the middle: uint8 [224, 224, 3]."""
    with Image.open(file) as image:
        scale = 256 / min(image.size)
        width, height = (round(side * scale) for side in image.size)
        resized = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - 224) // 2, (height - 224) // 2
    return np.asarray(resized.crop((left, top, left + 224, top + 224)))


def lite_pixels(file: Path, size: int) -> np.ndarray:
    """The square in the middle, size / (size + 32) of the shorter side, bicubic: uint8 [size, size, 3]."""
    with Image.open(file) as image:
        side = int(size / (size + 32) * min(image.size))
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.convert("RGB").crop((left, top, left + side, top + side))
    return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))


def torchvision_scaled(pixels: np.ndarray) -> np.ndarray:
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    return (pixels.astype(np.float32) / 255 - mean) / std


def lite_scaled(pixels: np.ndarray) -> np.ndarray:
    return (pixels.astype(np.float32) - 127) / 128


# By network: from a file to pixels, and from pixels to what goes in.
VIEWS: dict[str, tuple[Callable[[Path], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "mobilenet_v2": (torchvision_pixels, torchvision_scaled),
    "efficientnet_lite0": (lambda file: lite_pixels(file, 224), lite_scaled),
    "efficientnet_lite1": (lambda file: lite_pixels(file, 240), lite_scaled),
    "efficientnet_lite2": (lambda file: lite_pixels(file, 260), lite_scaled),
}


def projections(logits: np.ndarray) -> np.ndarray:
    """[N, K] -> [N, 32]: on made-up vectors of length 1, in which any difference of logits shows."""
    vectors = np.random.default_rng(0).normal(size=(logits.shape[1], 32))
    return logits.astype(np.float64) @ (vectors / np.linalg.norm(vectors, axis=0))
