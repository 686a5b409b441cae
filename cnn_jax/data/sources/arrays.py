"""Arrays in memory as a source: for data that a function of your own reads or makes up."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnn_jax.data.reading.image_dataset import ImageDataset
from cnn_jax.data.splits import Source
from cnn_jax.errors import InputError


class _InMemory:
    """A reader of decoded images uint8 [N, H, W, C]."""

    def __init__(self, images: np.ndarray, source: str):
        self.images, self._source = images, source

    def read(self, rows: Sequence[int]) -> list[bytes | np.ndarray]:
        return [self.images[row] for row in rows]

    def name(self, row: int) -> str:
        return f"{self._source}[{row}]"

    def select(self, rows: np.ndarray) -> tuple["_InMemory", np.ndarray]:
        return _InMemory(self.images[rows], self._source), np.arange(len(rows))


def source_from_arrays(
    name: str, splits: Mapping[str, tuple[np.ndarray, np.ndarray]], class_names: Sequence[str], data: Any
) -> Source:
    """A source of images that are decoded already.

    Args:
      name: for people.
      splits: {"train": (images, labels)}, perhaps with "validation" and "test": images uint8 [N, H, W] or
        [N, H, W, 1 or 3], labels [N], whole numbers 0..K-1.
      class_names: K of them.
      data: the config's `data` block: image_size, channels, resize, center_crop.

    Raises:
      InputError: the arrays are not of this form.
    """
    if "train" not in splits or not set(splits) <= {"train", "validation", "test"}:
        raise InputError(f"{name}: its splits are {', '.join(splits)}; they must be train, perhaps validation and test")
    digest = hashlib.sha256("\0".join(class_names).encode())
    taken: dict[str, ImageDataset] = {}
    for split, (images, labels) in splits.items():
        images, labels = np.asarray(images), np.asarray(labels)
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[3:] not in ((), (1,), (3,)):
            raise InputError(
                f"{name}: the images of '{split}' are {images.dtype} {list(images.shape)}; they must be uint8 "
                f"[N, H, W] or [N, H, W, 1 or 3]"
            )
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
            raise InputError(f"{name}: the labels of '{split}' must be {len(images)} whole numbers, one an image")
        images = images.reshape(*images.shape[:3], -1)
        digest.update(f"{split} {images.shape}".encode() + np.ascontiguousarray(images).data)
        digest.update(np.ascontiguousarray(labels, np.int32).data)
        height, width = data.image_size or images.shape[1:3]
        shape = (int(height), int(width), int(data.channels or images.shape[3]))
        rows, reader = np.arange(len(images)), _InMemory(images, f"{name} {split}")
        taken[split] = ImageDataset(reader, rows, labels.astype(np.int32), shape, data.resize, data.center_crop)
    if len({pictures.image_shape for pictures in taken.values()}) > 1:
        raise InputError(f"{name}: the images of its splits differ in size; set data.image_size and data.channels")
    version = digest.hexdigest()[:12]
    return Source(name, tuple(class_names), taken, f"arrays-{name}", version, version)
