"""Color with 16 bits a channel: Pillow keeps the upper 8 of them; here all are read, where a set's range is stated.

Pillow unpacks such a file by a raw mode that says which byte of each pair is the upper one. Told the opposite, it
keeps the lower one.
"""

import io
import re
import sys
from typing import TYPE_CHECKING

import numpy as np

from cnn_jax.data.reading.levels import NARROW, OF_THE_FORMAT, Levels, UnknownLevels, scale, to_8_bit

if TYPE_CHECKING:
    from PIL.Image import Image

_OPPOSITE = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_SEPARATE = ("RGB", "RGBX", "RGBA")  # others Pillow mixes while it unpacks them
_LARGEST = 65535


def is_halved(picture: "Image") -> bool:
    """Whether loading this picture, which is open, would drop the lower 8 of 16 bits a channel."""
    return _parts(picture) is not None


def load_halved(picture: "Image", content: bytes, levels: Levels) -> "Image":
    """Decodes a picture of which `is_halved` is true to mode L or RGB.

    What share of its range it uses is left in `picture.info["range_used"]`.

    Raises:
      UnknownLevels: `levels` are stated, and the lower bits of this kind of picture cannot be had.
    """
    if levels.are_stated:
        values = _all_bits(picture, content)
        if values is None:
            raise cannot_be_scaled(levels)
        return _to_8_bit(picture, values, levels)
    picture.load()
    if picture.mode.startswith("RGB"):
        used = float(np.max(picture.getextrema()[:3])) / 255
        if used < NARROW:
            values = _all_bits(picture, content)
            used = used if values is None else float(values[..., :3].max()) / _LARGEST
        picture.info["range_used"] = used
    return to_8_bit(picture, OF_THE_FORMAT)


def cannot_be_scaled(levels: Levels) -> UnknownLevels:
    """The refusal of a picture that has lost the bits which `levels` are about."""
    return UnknownLevels(
        "it has 16 bits a channel in color, of which Pillow keeps the upper 8, too few for config.data.black="
        f"{levels.black:g} and config.data.white={levels.white}; store it as PNG or TIFF in RGB, or with 8 bits a "
        "channel"
    )


def _parts(picture: "Image") -> tuple[str, str] | None:
    """("RGB", "B") of the raw mode RGB;16B; None where it is another, or the picture has been loaded already."""
    for tile in getattr(picture, "tile", ()):
        mode = tile.args if isinstance(tile.args, str) else next(iter(tile.args or ()), "")
        found = re.fullmatch(r"(\w+);16([BLN])", mode) if isinstance(mode, str) else None
        if found and found[1] != "I":
            return found[1], found[2]
    return None


def _all_bits(picture: "Image", content: bytes) -> np.ndarray | None:
    """uint16 [height, width, 3 or 4] of a file that is opened anew twice; None where Pillow has no way to it."""
    from PIL import Image

    halves = []
    for swap in (False, True):
        again = Image.open(io.BytesIO(content), formats=(picture.format,) if picture.format else None)
        parts = _parts(again)
        if parts is None or parts[0] not in _SEPARATE:
            return None
        if swap:
            opposite = f"{parts[0]};16{_OPPOSITE[parts[1]]}"
            again.tile = [
                tile._replace(args=(opposite, *tile.args[1:]) if isinstance(tile.args, tuple) else opposite)
                for tile in again.tile
            ]
        halves.append(np.asarray(again, np.uint16))
    return halves[0] << 8 | halves[1]


def _to_8_bit(picture: "Image", values: np.ndarray, levels: Levels) -> "Image":
    """What is transparent is shown on white."""
    from PIL import Image

    color, used = scale(values[..., :3], levels.black, _LARGEST if levels.white is None else levels.white)
    picture.info["range_used"] = used
    transparent = picture.info.get("transparency")
    if isinstance(transparent, tuple):
        color[(values[..., :3] == transparent).all(axis=-1)] = 255
    if values.shape[-1] == 3:
        return Image.fromarray(color)
    opacity = values[..., 3:].astype(np.float32) / _LARGEST
    return Image.fromarray(np.rint(color * opacity + 255 * (1 - opacity)).astype(np.uint8))
