"""The handwritten digits that scikit-learn carries: 1,797 images of 8x8, ten classes; no download."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.data.reading import cache
from cnn_jax.data.reading.image_dataset import ImageDataset, InMemoryReader
from cnn_jax.data.splits import Source


class _Digits(InMemoryReader):
    """Read from scikit-learn by each process that needs them."""

    def read(self, rows: Sequence[int]) -> list[bytes | np.ndarray]:
        images = _bunch().images[list(rows)]
        # Pixels count 0 to 16 dots of a 4x4 cell.
        return list(np.rint(images * (255.0 / 16.0)).astype(np.uint8)[..., None])

    def name(self, row: int) -> str:
        return f"digits[{row}]"


def load_digits(data: Any) -> Source:
    """All digits as one training split, resized where `data.image_size` or `data.channels` asks for it."""
    height, width = data.image_size or (8, 8)
    labels = cache.array("digits-1-labels", lambda: _bunch().target.astype(np.int32))  # scikit-learn starts slowly
    pictures = ImageDataset(
        _Digits(), np.arange(len(labels)), labels, (height, width, data.channels or 1), data.resize, data.center_crop
    )
    return Source("digits", tuple("0123456789"), {"train": pictures}, "digits", "1", "1")


@functools.cache
def _bunch() -> Any:
    from sklearn.datasets import load_digits as load

    return load()
