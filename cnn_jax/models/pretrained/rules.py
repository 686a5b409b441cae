"""How one array of a PyTorch state dict becomes a parameter here, and back: pairs of functions of NumPy arrays."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Change = Callable[[np.ndarray], np.ndarray]


class Rule(NamedTuple):
    """Each undoes the other, to the bit: they move values and change none."""

    to_flax: Change
    to_torch: Change


def _same(array: np.ndarray) -> np.ndarray:
    return array


AS_IT_IS = Rule(_same, _same)
# [out, in / groups, height, width] and [height, width, in / groups, out]: depthwise and grouped kernels, too.
CONVOLUTION = Rule(lambda w: w.transpose(2, 3, 1, 0), lambda w: w.transpose(3, 2, 0, 1))
DENSE = Rule(np.transpose, np.transpose)
# A dense layer that is a 1x1 convolution there: [out, in, 1, 1] and [in, out].
POINTWISE = Rule(lambda w: w[:, :, 0, 0].T, lambda w: w.T[:, :, None, None])
# One number a channel, of maps in NCHW there: [C, 1, 1] and [C].
PER_CHANNEL = Rule(lambda w: w[:, 0, 0], lambda w: w[:, None, None])


def flattened(channels: int, height: int, width: int, is_convolution: bool = False) -> Rule:
    """Of the first dense layer behind flattened maps: there its inputs are in the order C, H, W, here in H, W, C.

    Args:
      is_convolution: whether it is there a convolution over the whole map, [out, C, H, W].
    """

    def to_flax(w: np.ndarray) -> np.ndarray:
        return w.reshape(-1, channels, height, width).transpose(2, 3, 1, 0).reshape(height * width * channels, -1)

    def to_torch(w: np.ndarray) -> np.ndarray:
        maps = w.reshape(height, width, channels, -1).transpose(3, 2, 0, 1)
        return maps if is_convolution else maps.reshape(maps.shape[0], -1)

    return Rule(to_flax, to_torch)
