"""How one array of a PyTorch state dict becomes a parameter here, and back: pairs of functions of NumPy arrays."""

from collections.abc import Callable, Sequence
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
# A vector that is there a row of tokens, [1, 1, C] and [C]; and all tokens of a map, [1, H * W, C] and [H, W, C], or
# all offsets of one, [H * W, C]. Height and width are not told by the file: `importing` gives them back.
TOKEN = Rule(lambda w: w[0, 0], lambda w: w[None, None])
TOKENS = Rule(lambda w: w[0], lambda w: w.reshape(1, -1, w.shape[-1]))
OFFSETS = Rule(_same, lambda w: w.reshape(-1, w.shape[-1]))


class Part(NamedTuple):
    """One of several parameters that are one array there: its number, and how the array is divided and put together.

    `divide` raises ValueError where it cannot.
    """

    number: int
    divide: Callable[[np.ndarray], Sequence[np.ndarray]]
    join: Callable[[Sequence[np.ndarray]], np.ndarray]


def _token_and_map(tokens: np.ndarray) -> Sequence[np.ndarray]:
    if tokens.ndim != 3 or tokens.shape[1] < 2:
        raise ValueError("there is no map behind the first token")
    return tokens[:, :1], tokens[:, 1:]


# Of an embedding [1, 1 + H * W, C]: that of the class token, and those of the map.
CLASS_PART, MAP_PART = (Part(number, _token_and_map, lambda parts: np.concatenate(parts, axis=1)) for number in (0, 1))


def stacked(number: int, of: int, rows: int | None = None) -> Part:
    """Of an array whose rows are those of `of` parts in turn, `rows` of each, and again; None: all rows of each.

    Queries, keys and values are stacked so: q | k | v, or q | k | v of one head after the other.
    """

    def divide(array: np.ndarray) -> Sequence[np.ndarray]:
        rest = array.shape[1:]
        size = rows or len(array) // of
        turns = array.reshape(-1, of, size, *rest)  # which raises ValueError where they do not divide
        return [turns[:, i].reshape(-1, *rest) for i in range(of)]

    def join(parts: Sequence[np.ndarray]) -> np.ndarray:
        rest = parts[0].shape[1:]
        size = rows or len(parts[0])
        return np.stack([part.reshape(-1, size, *rest) for part in parts], axis=1).reshape(-1, *rest)

    return Part(number, divide, join)


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
