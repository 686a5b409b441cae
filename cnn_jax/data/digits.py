"""The handwritten digits that scikit-learn carries: 1,797 images of 8x8, ten classes; no download."""

from typing import Any

import numpy as np

from cnn_jax.data.cache import cached
from cnn_jax.data.images import fit_image
from cnn_jax.data.splits import Source

_COUNT = 1797


def load_digits(data: Any) -> Source:
    """All digits as one training split, resized where `data.image_size` or `data.channels` asks for it."""
    height, width = data.image_size or (8, 8)
    shape = (height, width, data.channels or 1)

    def fill(images: np.ndarray, labels: np.ndarray) -> None:
        from PIL import Image
        from sklearn.datasets import load_digits as load

        bunch = load()
        # Pixels count 0 to 16 dots of a 4x4 cell.
        pixels = np.rint(bunch.images * (255.0 / 16.0)).astype(np.uint8)
        images[:] = np.stack([fit_image(Image.fromarray(image), shape, data.resize) for image in pixels])
        labels[:] = bunch.target

    key = f"digits-1-all-{height}x{width}x{shape[2]}-{data.resize}"
    return Source("digits", tuple("0123456789"), {"train": cached(key, _COUNT, shape, fill)})
