"""The boxes of random-resized crops and of random erasing, for NumPy and for jax.numpy. Imports neither.

One function serves the compiled step and the processes that crop photographs while they decode them.
"""

import math
from types import ModuleType
from typing import Any

ATTEMPTS = 10
RATIO = (3 / 4, 4 / 3)


def resized_crop_boxes(
    uniforms: Any, heights: Any, widths: Any, area: tuple[float, float], ratio: tuple[float, float] = RATIO, *,
    xp: ModuleType,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """One box per image, drawn as in torchvision's RandomResizedCrop (Szegedy et al. 2015, section 6).

    The first of ten attempts that fits into the image is taken; where none does, the largest centred box whose
    aspect ratio lies within the limits.

    Args:
      uniforms: float32 [B, 10, 4] in [0, 1): per attempt the share of the area, the logarithm of the aspect ratio
        (width / height), the row and the column. The example with global index i draws
        `jax.random.uniform(key, (10, 4))` with key = fold_in(fold_in(stream_key(seed, "augment", step), i), position),
        where position is the operation's place in `config.augment`. That is `draws.uniform(draws.keys(position),
        shape=(10, 4))`; a NumPy threefry draws the same.
      heights, widths: of the images, [B].
      area: the least and the most share of the image's area.
      ratio: the least and the most width / height.
      xp: numpy or jax.numpy.

    Returns:
      top, left, height, width: float32 [B], whole pixels, inside the image.
    """
    heights, widths = xp.asarray(heights, xp.float32)[:, None], xp.asarray(widths, xp.float32)[:, None]
    areas = heights * widths * (area[0] + (area[1] - area[0]) * uniforms[..., 0])
    lowest, highest = math.log(ratio[0]), math.log(ratio[1])
    ratios = xp.exp(lowest + (highest - lowest) * uniforms[..., 1])
    box_widths, box_heights = xp.round(xp.sqrt(areas * ratios)), xp.round(xp.sqrt(areas / ratios))
    fits = (box_widths > 0) & (box_widths <= widths) & (box_heights > 0) & (box_heights <= heights)
    tops = xp.floor(uniforms[..., 2] * (heights - box_heights + 1))
    lefts = xp.floor(uniforms[..., 3] * (widths - box_widths + 1))
    first, found = xp.argmax(fits, axis=1)[:, None], xp.any(fits, axis=1)
    drawn = [xp.take_along_axis(values, first, axis=1)[:, 0] for values in (tops, lefts, box_heights, box_widths)]

    heights, widths = heights[:, 0], widths[:, 0]
    whole_heights = xp.minimum(heights, xp.maximum(xp.round(widths / ratio[0]), 1))
    whole_widths = xp.minimum(widths, xp.maximum(xp.round(heights * ratio[1]), 1))
    whole_heights = xp.where(widths / heights < ratio[0], whole_heights, heights)
    whole_widths = xp.where(widths / heights > ratio[1], whole_widths, widths)
    centred = (
        xp.floor((heights - whole_heights) / 2), xp.floor((widths - whole_widths) / 2), whole_heights, whole_widths
    )  # fmt: skip
    top, left, height, width = (
        xp.asarray(xp.where(found, ours, theirs), xp.float32) for ours, theirs in zip(drawn, centred, strict=True)
    )
    return top, left, height, width
