"""Pictures made on the fly, for smoke and speed runs: any size, any number, and yet something to learn."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.data.reading.image_dataset import ImageDataset, InMemoryReader
from cnn_jax.data.splits import Source
from cnn_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class _Waves(InMemoryReader):
    """Each class is a direction and a color of waves; phase, wavelength and noise differ from picture to picture."""

    num_classes: int
    image_shape: tuple[int, int, int]

    def read(self, rows: Sequence[int]) -> list[bytes | np.ndarray]:
        return [self._picture(row) for row in rows]

    def name(self, row: int) -> str:
        return f"synthetic[{row}]"

    def _picture(self, row: int) -> np.ndarray:
        height, width, channels = self.image_shape
        label = row % self.num_classes
        random = np.random.Generator(np.random.Philox(key=row))
        angle = np.pi * label / self.num_classes
        length = max(height, width, 2) / random.uniform(2, 4)
        y, x = np.ogrid[:height, :width]
        wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / length + random.uniform(0, 2 * np.pi))
        tint = 1 + np.cos(2 * np.pi * (label / self.num_classes + np.arange(channels) / 3))
        clean = 128 + 48 * wave[..., None] * (tint if channels == 3 else 1)
        noise = random.integers(-40, 41, self.image_shape)
        return np.clip(clean + noise, 0, 255).astype(np.uint8)


def load_synthetic(data: Any) -> Source:
    """`data.examples` pictures of `data.classes` classes, evenly spread; 32x32 in color unless the config says else."""
    if data.examples < 2 * data.classes:
        raise InputError(
            f"config.data.examples={data.examples}: {data.classes} classes need at least {2 * data.classes}"
        )
    shape = (*(data.image_size or (32, 32)), data.channels or 3)
    rows = np.arange(data.examples)
    labels = (rows % data.classes).astype(np.int32)
    pictures = ImageDataset(_Waves(data.classes, shape), rows, labels, shape, data.resize, data.center_crop)
    names = tuple(f"class{k:0{len(str(data.classes - 1))}}" for k in range(data.classes))
    version = f"1-{data.examples}-{data.classes}"
    return Source("synthetic", names, {"train": pictures}, "synthetic", version, version)
