"""From any picture that Pillow opens to the uint8 array that a network takes: the one way, for training and for use."""

import contextlib
import functools
import io
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnn_jax.errors import InputError, shown

if TYPE_CHECKING:
    from PIL.Image import Image

# A part of an upright picture: (top, left, height, width) in shares of its height and width.
Box = tuple[float, float, float, float]
# The part that is wanted of a picture of this height and width.
Region = Callable[[int, int], Box]

_UPRIGHT, _TURNED = 1, 5  # EXIF orientations from 5 on lie on their side
_EXIF_ORIENTATION = 0x0112
# The decoder's scaling is coarser than Pillow's: what is left for Pillow hides that (see the test for how well).
_LEFT_TO_RESIZE = 2
_LARGEST = 1 << 30
_JPEGS = ("JPEG", "MPO")  # MPO: a JPEG with more of them behind it, as some phones write it
_UNTOUCHED_MODES = ("L", "RGB")


class Looks(NamedTuple):
    """What a file says about its picture before it is decoded; the size is that of the upright picture."""

    height: int
    width: int
    channels: int
    mode: str
    format: str


def read_file(path: str | Path) -> bytes:
    """The content of an image file.

    Raises:
      InputError: it is missing, empty, not a regular file, or cannot be read.
    """
    path, name = Path(path), shown(str(path))
    try:
        if path.is_dir():
            raise InputError(f"{name}: this is a folder, not an image")
        if path.exists() and not path.is_file():
            raise InputError(f"{name}: this is not a regular file")  # a pipe or a device might never end
        if path.is_file() and path.stat().st_size > _LARGEST:
            raise InputError(f"{name}: this file of {path.stat().st_size:,} bytes is no picture")
        content = path.read_bytes()
    except FileNotFoundError as error:
        what = "this link leads to no file" if path.is_symlink() else "there is no such file"
        raise InputError(f"{name}: {what}") from error
    except OSError as error:
        raise InputError(f"{name}: this file cannot be read ({error.strerror})") from error
    if not content:
        raise InputError(f"{name}: this file is empty")
    return content


def decode(
    content: bytes,
    name: object,
    image_shape: tuple[int, int, int],
    resize: str,
    center_crop: float = 1.0,
    region: Region | None = None,
) -> np.ndarray:
    """An encoded picture as uint8 [height, width, channels].

    Args:
      content: a file's bytes.
      name: names the picture in errors.
      image_shape: (height, width, channels) of the network's input; channels 1 or 3.
      resize: "crop": the shorter side is fitted, the middle is kept; "stretch": both sides are fitted; "pad": the
        longer side is fitted, the rest is black. Bilinear with antialiasing, as in torchvision.
      center_crop: the share of both sides, about the centre, that is fitted so. With "crop" and a square of side S,
        that is torchvision's Resize(S / center_crop) and CenterCrop(S), up to rounding.
      region: this part of the picture is fitted instead, by "stretch".

    Raises:
      InputError: it is no image, broken, or large enough to be a decompression bomb.
    """
    picture = _open(content, name)
    try:
        # What the decoder can scale itself, by 2, 4 or 8, is never decoded at full size.
        sides = picture.size[::-1] if picture.info["upright"] < _TURNED else picture.size
        box = None if region is None else region(*sides)
        shares = (center_crop, center_crop) if box is None else box[2:]
        ratios = [side * share / wanted for side, share, wanted in zip(sides, shares, image_shape[:2], strict=True)]
        enough = max(ratios) if resize == "pad" and box is None else min(ratios)
        return fit_image(_load(picture, content, enough), image_shape, resize, center_crop, box)
    except Exception as error:  # decoders raise whatever a broken file makes them: struct.error, KeyError, ...
        raise _unreadable(name, error) from error


def read_image(path: str | Path) -> "Image":
    """The whole picture in a file, upright (EXIF), its first frame, as mode L or RGB with 8 bits a channel.

    16-bit and floating-point pictures are scaled to 8 bits; what is transparent is shown on white, as viewers do.

    Raises:
      InputError: the file is missing, not an image, broken, or large enough to be a decompression bomb.
    """
    content, name = read_file(path), shown(str(path))
    with quiet():
        picture = _open(content, name)
        try:
            return _load(picture, content, 1.0)
        except Exception as error:
            raise _unreadable(name, error) from error


def look(content: bytes, name: object) -> Looks:
    """Size, mode and format from the file's header. Raises InputError where there is no picture."""
    picture = _open(content, name)
    width, height = picture.size if picture.info["upright"] < _TURNED else picture.size[::-1]
    gray = picture.mode in ("1", "L", "LA", "La", "I", "F") or picture.mode.startswith("I;16")
    if picture.mode == "P":
        palette = np.array(picture.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
        gray = bool((palette == palette[:, :1]).all())
    return Looks(height, width, 1 if gray else 3, picture.mode, str(picture.format))


def examine(content: bytes, name: object, side: int) -> tuple["Image", "Image"]:
    """A picture's header and its pixels: upright, mode L or RGB.

    A JPEG is decoded at the smallest scale that leaves its shorter side `side` pixels. The header's `info` holds the
    EXIF orientation as "upright", and, where libjpeg-turbo complained of what Pillow took, its words as "complaint".

    Raises:
      InputError: as `decode`.
    """
    picture = _open(content, name)
    try:
        return picture, _load(picture, content, min(picture.size) / side)
    except Exception as error:
        raise _unreadable(name, error) from error


def to_8_bit(image: "Image") -> "Image":
    """Any Pillow mode to L (gray) or RGB."""
    from PIL import Image

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.nan_to_num(np.asarray(image, np.float64), posinf=1e30, neginf=-1e30)
        # 32-bit integers hold what was a 16-bit file; floats are taken as 0..1 unless they exceed it.
        top = 65535.0 if image.mode != "F" else (1.0 if values.size and values.max() <= 1 else 255.0)
        return Image.fromarray(np.clip(np.rint(values / top * 255), 0, 255).astype(np.uint8))
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        gray = image.mode in ("L", "LA", "La")
        return Image.alpha_composite(white, rgba).convert("L" if gray else "RGB")
    return image if image.mode in _UNTOUCHED_MODES else image.convert("RGB")


def fit_image(
    image: "Image", image_shape: tuple[int, int, int], resize: str, center_crop: float = 1.0, part: Box | None = None
) -> np.ndarray:
    """Brings a picture of mode L or RGB, or a part of it, to [height, width, channels], uint8; see `decode`."""
    from PIL import Image, ImageOps

    height, width, channels = image_shape
    image = image.convert("L" if channels == 1 else "RGB")
    border = (1 - center_crop) / 2
    if part is None and resize == "stretch" and center_crop < 1:
        part = (border, border, center_crop, center_crop)
    if part is not None:
        top, left, tall, wide = part
        box = (left * image.width, top * image.height, (left + wide) * image.width, (top + tall) * image.height)
        # Rounding may carry an edge beyond the picture by less than it can show.
        box = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], image.width), min(box[3], image.height))
        image = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
    elif image.size != (width, height) or center_crop < 1:
        if resize == "crop":
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR, bleed=border)
        elif resize == "stretch":
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        else:
            x, y = (min(round(border * side), (side - 1) // 2) for side in image.size)
            image = image.crop((x, y, image.width - x, image.height - y))
            image = ImageOps.pad(image, (width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(height, width, channels)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps Pillow from warning of large pictures and odd metadata, which are fine; decompression bombs still raise.

    Warning filters belong to the process, not to a thread: whoever decodes in several threads enters this once, around
    all of them.
    """
    with warnings.catch_warnings():
        ignore_pillows_warnings()
        yield


def ignore_pillows_warnings() -> None:
    """For the rest of the process; what `quiet` does for a while."""
    warnings.filterwarnings("ignore", module=r"PIL\b")


def _open(content: bytes, name: object) -> "Image":
    """The picture with its header read, and its EXIF orientation (1..8) as `info["upright"]`."""
    from PIL import Image, UnidentifiedImageError

    try:
        picture = Image.open(io.BytesIO(content), formats=_formats())
        picture.info["upright"] = _orientation(picture)
    except UnidentifiedImageError as error:
        raise InputError(f"{name}: this is not an image that Pillow can read") from error
    except Exception as error:
        raise _unreadable(name, error) from error
    return picture


@functools.cache
def _formats() -> tuple[str, ...]:
    """All that Pillow reads by itself, the frequent ones first; not EPS files, which are programs to be run."""
    from PIL import Image

    Image.init()
    frequent = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
    others = [name for name in Image.ID if name not in (*frequent, "EPS", "WMF")]
    return tuple(name for name in (*frequent, *others) if name in Image.OPEN)


def _orientation(picture: "Image") -> int:
    if picture.format in ("JPEG", "PNG") and "exif" not in picture.info:
        return _UPRIGHT  # asking further would decode a PNG
    if picture.format == "TIFF":
        return _UPRIGHT  # Pillow turns these by itself, and says the size that they have then
    orientation = picture.getexif().get(_EXIF_ORIENTATION, _UPRIGHT)
    return orientation if orientation in range(1, 9) else _UPRIGHT


def _load(picture: "Image", content: bytes, ratio: float) -> "Image":
    """Decodes a picture to mode L or RGB, upright, and down to the `ratio`-th part of its sides where JPEG can."""
    image = None
    if picture.format in _JPEGS and picture.mode in _UNTOUCHED_MODES:
        try:
            image = _load_jpeg(content, picture.size, picture.mode, ratio)
        except ValueError as error:  # Pillow may judge
            picture.info["complaint"] = str(error)
    if image is None:
        picture.load()
        image = to_8_bit(picture)
    turn = _turns().get(picture.info["upright"])
    return image if turn is None else image.transpose(turn)


def _load_jpeg(content: bytes, size: tuple[int, int], mode: str, ratio: float) -> "Image":
    """A JPEG by libjpeg-turbo itself, at 1, 1/2, 1/4 or 1/8; raises ValueError where it complains of anything."""
    import simplejpeg
    from PIL import Image

    factor = max((f for f in (1, 2, 4, 8) if f * _LEFT_TO_RESIZE <= ratio), default=1)
    least = {"min_width": math.ceil(size[0] / factor), "min_height": math.ceil(size[1] / factor)}
    pixels = simplejpeg.decode_jpeg(content, "GRAY" if mode == "L" else "RGB", **least)
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels)


def _turns() -> dict[int, Any]:
    """What makes a picture of each EXIF orientation upright (TIFF 6.0, tag 274)."""
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
    }  # fmt: skip


def _unreadable(name: object, error: Exception) -> InputError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return InputError(f"{name}: this image cannot be read: {reason}")
