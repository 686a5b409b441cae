"""JPEG by libjpeg-turbo itself, which scales while it decodes, and says what it thinks of a file."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "MPO")  # MPO: a JPEG with more of them behind it, as some phones write it
MODES = ("L", "RGB")  # those that `load_jpeg` decodes
# The decoder's scaling is coarser than Pillow's: what is left for Pillow hides that (see the test for how well).
_LEFT_TO_RESIZE = 2
_START_OF_SCAN, _END = b"\xff\xda", b"\xff\xd9"
_COLORSPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def load_jpeg(content: bytes, size: tuple[int, int], mode: str, ratio: float) -> "Image":
    """A picture of mode L or RGB at 1, 1/2, 1/4 or 1/8 of its (width, height), of which the `ratio`-th part is wanted.

    Raises:
      ValueError: the decoder complains of anything.
    """
    import simplejpeg
    from PIL import Image

    factor = max((f for f in (1, 2, 4, 8) if f * _LEFT_TO_RESIZE <= ratio), default=1)
    least = {"min_width": math.ceil(size[0] / factor), "min_height": math.ceil(size[1] / factor)}
    pixels = simplejpeg.decode_jpeg(content, _COLORSPACES[mode], **least)
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels)


def with_end(content: bytes, mode: str) -> bytes | None:
    """The file with its end marker, where that is all that it lacks: the decoder finds every row, and is content."""
    import simplejpeg

    # Most files end with it; a marker cannot stand in the data of a scan.
    if content.endswith(_END) or content.rfind(_END) > content.rfind(_START_OF_SCAN) or mode not in _COLORSPACES:
        return None
    try:
        simplejpeg.decode_jpeg(content + _END, _COLORSPACES[mode])
    except ValueError:
        return None
    return content + _END
