"""How many images an analysis takes: at once, within memory, and in all, within a number of operations."""

import math
from collections.abc import Mapping, Sequence

MEMORY = 256 * 2**20  # bytes


def images_at_once(layers: Mapping[str, Sequence[int]], image_shape: Sequence[int], memory: int = MEMORY) -> int:
    """How many images keep the outputs of all layers, and a few copies of themselves, within so many bytes.

    Args:
      layers: {name: shape of its output for one image}.
    """
    numbers = sum(map(math.prod, layers.values())) + 8 * math.prod(image_shape)
    return max(1, memory // (4 * numbers))


def affordable_images(budget: float, multiply_adds: float, passes: int, least: int, most: int) -> int:
    """How many images a network can look at so many times within a budget of multiply-adds: `least` to `most`.

    Args:
      multiply_adds: of one image.
    """
    return int(min(most, max(least, budget // max(1.0, multiply_adds * passes))))
