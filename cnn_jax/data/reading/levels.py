"""From the values of a picture, of whatever depth, to 8 bits: which of them is black, and which is white.

The answer comes from the format and the bit depth of the file, or from the config; never from the values themselves,
as pictures of one set would then be scaled differently.
"""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_UNTOUCHED_MODES = ("L", "RGB")
_AT_ONCE = 1 << 20  # values; in float64 they are several times what the picture is
NARROW = 1 / 8  # of a range of 16 bits: fewer than 32 levels are left of what is darker altogether
# Pillow scales what these state of their largest value to 16 bits.
_STATE_THEIR_LARGEST = ("JPEG2000", "PPM")
_BITS, _SAMPLE_FORMAT, _UNSIGNED = 258, 339, 1  # TIFF 6.0


class UnknownLevels(ValueError):
    """A picture's values do not say what is black and what is white, and neither does the config."""


@dataclasses.dataclass(frozen=True)
class Levels:
    """The values that are shown as 0 and as 255, in pictures with more than 8 bits a channel.

    Attributes:
      black: what is below is black, too.
      white: likewise; None: the largest value of the format, 1 of floating-point numbers.
    """

    black: float = 0.0
    white: float | None = None

    @property
    def are_stated(self) -> bool:
        """By the config, so that a picture's own depth says nothing."""
        return self != OF_THE_FORMAT


OF_THE_FORMAT = Levels()


def to_8_bit(picture: "Image", levels: Levels = OF_THE_FORMAT) -> "Image":
    """Any Pillow mode to L (gray) or RGB; what is transparent is shown on white, as viewers do.

    What share of its range a deeper gray picture uses is left in `picture.info["range_used"]`.

    Raises:
      UnknownLevels: the values are integers of 32 bits or with a sign, or floating-point numbers outside 0 to 1, and
        `levels` states no white.
    """
    from PIL import Image

    if is_deep(picture.mode):
        return Image.fromarray(_scaled(picture, levels))
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        gray = picture.mode in ("L", "LA", "La")
        return Image.alpha_composite(white, rgba).convert("L" if gray else "RGB")
    return picture if picture.mode in _UNTOUCHED_MODES else picture.convert("RGB")


def is_deep(mode: str) -> bool:
    """Whether Pillow keeps more than 8 bits a channel in this mode: gray, all of them."""
    return mode in ("I", "F") or mode.startswith("I;16")


def scale(values: np.ndarray, black: float, white: float) -> tuple[np.ndarray, float]:
    """uint8 of the same shape, and the share of the range from black to white that the largest value reaches.

    What is no number is black; what lies beyond is clipped.

    Raises:
      UnknownLevels: black is not below white.
    """
    if black >= white:
        raise UnknownLevels(f"its white is {white:g}; config.data.black={black:g} must be below")
    scaled, used = np.empty(values.shape, np.uint8), 0.0
    rows = max(1, _AT_ONCE // values[0].size)
    for start in range(0, len(values), rows):
        part = np.nan_to_num(values[start : start + rows].astype(np.float64), nan=black, posinf=1e30, neginf=-1e30)
        part = (part - black) / (white - black)
        used = max(used, float(part.max()))
        scaled[start : start + rows] = np.clip(np.rint(part * 255), 0, 255)
    return scaled, min(used, 1.0)


def darkness(ranges_used: np.ndarray, levels: Levels) -> str:
    """The line that says how many pictures use little of their range; "" where none does, or white is stated.

    Args:
      ranges_used: the share of its range that each picture's largest value reaches; of a black one it says nothing.
    """
    narrow = ranges_used[(ranges_used > 0) & (ranges_used < NARROW)]
    if not len(narrow) or levels.white is not None:
        return ""
    return (
        f"{len(narrow):,} of {len(ranges_used):,} images have more than 8 bits a channel and use at most "
        f"{narrow.max():.0%} of their range: they are read dark, with few levels; if their white is a smaller value, "
        f"state it: data.white=4095 for 12 bits"
    )


def _scaled(picture: "Image", levels: Levels) -> np.ndarray:
    values = np.asarray(picture)
    if picture.format == "TIFF" and values.dtype == np.int32 and _tag(picture, _SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED:
        values = values.view(np.uint32)
    black, white = _of_floats(values, levels) if picture.mode == "F" else _of_integers(picture, values, levels)
    scaled, picture.info["range_used"] = scale(values, black, white)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        scaled[values == transparent] = 255
    return scaled


def _of_floats(values: np.ndarray, stated: Levels) -> tuple[float, float]:
    """Black and white; without a word of the config, numbers from 0 to 1 are meant, and others are refused."""
    if stated.white is not None:
        return stated.black, stated.white
    finite = values[np.isfinite(values)]
    if finite.size:
        low, high = float(finite.min()), float(finite.max())
        invisible = (1 - stated.black) / 510  # half a level of 255 is rounded away
        if low < stated.black - invisible or high > 1 + invisible:
            raise UnknownLevels(
                f"it holds floating-point numbers from {low:g} to {high:g}; {stated.black:g} would be black and 1 "
                f"white; set config.data.black and config.data.white"
            )
    return stated.black, 1.0


def _of_integers(picture: "Image", values: np.ndarray, stated: Levels) -> tuple[float, float]:
    """Black and white; of integers of 32 bits, or of 16 with a sign, nobody knows where they end."""
    if picture.format in _STATE_THEIR_LARGEST:
        return 0.0, 65535.0
    if stated.white is not None:
        return stated.black, stated.white
    if picture.mode == "I" and picture.format != "PNG":
        raise UnknownLevels(
            f"it holds integers of 32 bits, or with a sign, from {values.min()} to {values.max()}, and none of them is "
            f"known to be white; set config.data.white"
        )
    return stated.black, float(2 ** _tag(picture, _BITS, 16) - 1)


def _tag(picture: "Image", tag: int, default: int) -> int:
    """A tag of a TIFF file, of which Pillow makes a tuple or a number."""
    value = getattr(picture, "tag_v2", {}).get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)
