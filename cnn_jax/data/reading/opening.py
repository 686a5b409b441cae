"""Opening a picture with Pillow, and decoding what was opened: 8 bits a channel, upright."""

import contextlib
import functools
import io
from typing import TYPE_CHECKING

from cnn_jax.data.reading import jpeg
from cnn_jax.data.reading.deep_color import is_halved, load_halved
from cnn_jax.data.reading.file_kinds import not_a_picture
from cnn_jax.data.reading.levels import Levels, to_8_bit
from cnn_jax.data.reading.orientation import orientation, turn_upright
from cnn_jax.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

_FREQUENT = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# Programs to be run, and what Pillow knows the name of, but cannot decode.
_NOT_READ = ("EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG")

# Pillow keeps a pointer to each row: of a column of pixels these take twice the room of the pixels.
_LONGEST_SIDE = 1 << 20


def open_picture(content: bytes, name: object) -> "Image":
    """The picture with its header read, and its orientation (1..8) as `info["upright"]`.

    Raises:
      InputError: it is no picture, a broken one, or large enough to be a decompression bomb.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        picture = Image.open(io.BytesIO(content), formats=_formats())
        if max(picture.size) > _LONGEST_SIDE:
            size = f"{picture.width:,} x {picture.height:,}"
            raise Image.DecompressionBombError(f"it claims {size} pixels; no side may exceed {_LONGEST_SIDE:,}")
        picture.info["upright"] = orientation(picture, content)
    except UnidentifiedImageError as error:
        raise not_a_picture(content, name) from error
    except Exception as error:  # decoders raise whatever a broken file makes them: struct.error, KeyError, ...
        raise unreadable(name, error) from error
    return picture


def load_picture(picture: "Image", content: bytes, ratio: float, levels: Levels) -> "Image":
    """Decodes an open picture to mode L or RGB, upright, and down to the `ratio`-th part of its sides where JPEG can.

    What the decoder complains of, though it gives all rows, is left in `picture.info["complaint"]`.
    """
    from PIL import Image

    image, source = None, picture
    if picture.format in jpeg.FORMATS:
        ended = jpeg.with_end(content, picture.mode)
        if ended is not None:
            picture.info["complaint"] = "its end marker is missing, but all rows are there"
            content, source = ended, Image.open(io.BytesIO(ended), formats=jpeg.FORMATS)
        if picture.mode in jpeg.MODES:
            try:
                image = jpeg.load_jpeg(content, source.size, source.mode, ratio)
            except ValueError as error:  # Pillow may judge
                picture.info["complaint"] = str(error)
    if image is None and is_halved(source):
        image = load_halved(source, content, levels)
    elif image is None:
        source.load()
        image = to_8_bit(source, levels)
    return turn_upright(image, picture.info["upright"])


def unreadable(name: object, error: Exception) -> InputError:
    """What a decoder raised, as the line that names the picture."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return InputError(f"{name}: this image cannot be read: {reason}")


@functools.cache
def _formats() -> tuple[str, ...]:
    """All that can be read, the frequent ones first; HEIC, where pillow-heif is installed."""
    from PIL import Image

    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    others = [name for name in Image.ID if name not in (*_FREQUENT, *_NOT_READ)]
    return tuple(name for name in (*_FREQUENT, *others) if name in Image.OPEN)
