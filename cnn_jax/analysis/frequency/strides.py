"""Where maps become coarser, read off their shapes, and how much of what enters folds there."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from cnn_jax.analysis.frequency.spectrum import measure_spectrum, share_beyond
from cnn_jax.analysis.layers import Apply, with_outputs

_LARGEST_CROP = 10  # a convolution without padding may take so many pixels, with a kernel one larger


@dataclasses.dataclass(frozen=True)
class Stride:
    """A step to coarser maps.

    Attributes:
      layer: the first that has them.
      before: the last with the finer ones; None: the image.
      step: how many pixels of those become one.
      total: how many pixels of the image one of the coarser maps stands for.
      size: (height, width) of the coarser ones.
    """

    layer: str
    before: str | None
    step: int
    total: int
    size: tuple[int, int]


def find_strides(layers: Mapping[str, tuple[int, ...]], image_shape: Sequence[int]) -> list[Stride]:
    """The steps of a network, in order: from the shapes of its maps, so that a pooling to one pixel is none.

    Args:
      layers: {name: shape of its output for one image}, in the order of the computation.
      image_shape: (height, width, channels).
    """
    maps = [(name, shape[0], shape[1]) for name, shape in layers.items() if len(shape) == 3]
    found: list[Stride] = []
    before, size, total = None, (image_shape[0], image_shape[1]), 1
    for number, (name, height, width) in enumerate(maps):
        # Side branches, such as squeeze-and-excitation, shrink maps for a while.
        if height < max((later for _, later, _ in maps[number:]), default=0):
            continue
        step = _step(size[0], height) if height > 1 or size[0] <= 2 else 1
        total *= step
        if step > 1:
            found.append(Stride(name, before, step, total, (height, width)))
        before, size = name, (height, width)
    return found


def share_folded(
    apply: Apply, variables: Any, batches: Callable[[], Iterable[np.ndarray]], strides: Sequence[Stride]
) -> list[float]:
    """Of each step: the share of the power of what enters, without the mean, that its grid cannot hold.

    A step that smooths before it samples, as a mean or blur pool does, lets less of it fold.

    Args:
      batches: gives batches of images [B, H, W, C] of one shape, anew at each call.
    """
    names = [stride.before for stride in strides if stride.before is not None]
    outputs = jax.jit(lambda weights, images: with_outputs(apply, names)(weights, images)[1])
    shares = []
    for stride in strides:
        entering = (
            images if stride.before is None else outputs(variables, images)[stride.before] for images in batches()
        )
        shares.append(share_beyond(measure_spectrum(entering).power, stride.step))
    return shares


def _step(before: int, after: int) -> int:
    """Sizes are halved and rounded either way; a few pixels less, and no half, are a crop."""
    ratio = before / after
    nearest = max(2, round(ratio))
    if ratio >= 1.5 and after in (before // nearest, -(-before // nearest)):
        return nearest
    return nearest if before - after > _LARGEST_CROP else 1
