"""Weights and images that PyTorch's side and ours make alike from names and shapes: nothing but logits is recorded."""

import zlib
from collections.abc import Mapping

import numpy as np


def made_up_state_dict(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A value for each key: what a key holds depends on its name and shape, and on whether a BatchNorm is there.

    Maps keep their size from layer to layer. Variances are about 0.01, so that another epsilon shows; biases of norms
    are about 1, so that values reach 6 and -3, where activations bend.
    """
    return {key: _made_up(key, tuple(shape), shapes) for key, shape in shapes.items()}


def made_up_images(count: int, size: int) -> np.ndarray:
    """[count, size, size, 3], float32."""
    return np.random.default_rng(0).normal(size=(count, size, size, 3)).astype(np.float32)


def _made_up(key: str, shape: tuple[int, ...], keys: Mapping[str, tuple[int, ...]]) -> np.ndarray:
    draw = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    module, _, kind = key.rpartition(".")
    is_norm = f"{module}.running_var" in keys
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if kind == "running_var":
        values = draw.uniform(0.004, 0.02, shape)
    elif kind == "running_mean":
        values = 0.1 * draw.normal(size=shape)
    elif kind == "weight" and len(shape) > 1:
        values = draw.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif kind == "weight":
        values = (0.1 if is_norm else 1.0) * (1 + 0.2 * draw.normal(size=shape))
    elif kind == "bias" and is_norm:
        values = draw.normal(size=shape)
    else:
        values = 0.3 * draw.normal(size=shape)
    return np.asarray(values, np.float32)
