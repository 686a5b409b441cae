"""From any picture that Pillow opens to the uint8 array that a network takes: the one way, for training and for use."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cnn_jax.data.reading.levels import OF_THE_FORMAT, Levels, is_deep
from cnn_jax.data.reading.opening import load_picture, open_picture, unreadable
from cnn_jax.data.reading.orientation import TURNED
from cnn_jax.errors import InputError, shown

if TYPE_CHECKING:
    from PIL.Image import Image

# A part of an upright picture: (top, left, height, width) in shares of its height and width.
Box = tuple[float, float, float, float]
# The part that is wanted of a picture of this height and width.
Region = Callable[[int, int], Box]

_LARGEST = 1 << 30


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
    except InputError:
        raise
    except FileNotFoundError as error:
        what = "this link leads to no file" if path.is_symlink() else "there is no such file"
        raise InputError(f"{name}: {what}") from error
    except OSError as error:
        raise InputError(f"{name}: this file cannot be read ({error.strerror})") from error
    except ValueError as error:  # a zero byte
        raise InputError(f"{name}: no file can have this name") from error
    if not content:
        raise InputError(f"{name}: this file is empty")
    return content


class Decoded(NamedTuple):
    """A picture as a network takes it.

    Attributes:
      image: uint8 [height, width, channels].
      range_used: the share of its range that its largest value reaches; 1 where it has 8 bits a channel or fewer.
    """

    image: np.ndarray
    range_used: float


def decode(
    content: bytes,
    name: object,
    image_shape: tuple[int, int, int],
    resize: str,
    center_crop: float = 1.0,
    region: Region | None = None,
    levels: Levels = OF_THE_FORMAT,
    interpolation: str = "bilinear",
) -> np.ndarray:
    """An encoded picture as uint8 [height, width, channels].

    Args:
      content: a file's bytes.
      name: names the picture in errors.
      image_shape: (height, width, channels) of the network's input; channels 1 or 3.
      resize: "crop": the shorter side is fitted, the middle is kept; "stretch": both sides are fitted; "pad": the
        longer side is fitted, the rest is black.
      center_crop: the share of both sides, about the centre, that is fitted so. With "crop" and a square of side S,
        that is torchvision's Resize(S / center_crop) and CenterCrop(S), up to rounding.
      region: this part of the picture is fitted instead, by "stretch".
      levels: what is black and white in pictures with more than 8 bits a channel.
      interpolation: "bilinear" or "bicubic", with antialiasing, as in torchvision and timm.

    Raises:
      InputError: it is no image, broken, or large enough to be a decompression bomb.
    """
    return decode_with_range(content, name, image_shape, resize, center_crop, region, levels, interpolation).image


def decode_with_range(
    content: bytes,
    name: object,
    image_shape: tuple[int, int, int],
    resize: str,
    center_crop: float = 1.0,
    region: Region | None = None,
    levels: Levels = OF_THE_FORMAT,
    interpolation: str = "bilinear",
) -> Decoded:
    """As `decode`, with what share of its range the picture uses."""
    picture = open_picture(content, name)
    try:
        # What the decoder can scale itself, by 2, 4 or 8, is never decoded at full size.
        sides = picture.size[::-1] if picture.info["upright"] < TURNED else picture.size
        box = None if region is None else region(*sides)
        shares = (center_crop, center_crop) if box is None else box[2:]
        ratios = [side * share / wanted for side, share, wanted in zip(sides, shares, image_shape[:2], strict=True)]
        enough = max(ratios) if resize == "pad" and box is None else min(ratios)
        loaded = load_picture(picture, content, enough, levels)
        image = fit_image(loaded, image_shape, resize, center_crop, box, interpolation)
        return Decoded(image, picture.info.get("range_used", 1.0))
    except Exception as error:  # decoders raise whatever a broken file makes them: struct.error, KeyError, ...
        raise unreadable(name, error) from error


def read_image(path: str | Path, levels: Levels = OF_THE_FORMAT) -> "Image":
    """The whole picture in a file, upright, its first frame, as mode L or RGB with 8 bits a channel.

    16-bit and floating-point pictures are scaled to 8 bits by `levels`; what is transparent is shown on white.

    Raises:
      InputError: the file is missing, not an image, broken, or large enough to be a decompression bomb.
    """
    content, name = read_file(path), shown(str(path))
    with quiet():
        picture = open_picture(content, name)
        try:
            return load_picture(picture, content, 1.0, levels)
        except Exception as error:
            raise unreadable(name, error) from error


def look(content: bytes, name: object) -> Looks:
    """Size, mode and format from the file's header. Raises InputError where there is no picture."""
    picture = open_picture(content, name)
    width, height = picture.size if picture.info["upright"] < TURNED else picture.size[::-1]
    gray = picture.mode in ("1", "L", "LA", "La") or is_deep(picture.mode)
    if picture.mode == "P":
        palette = np.array(picture.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
        gray = bool((palette == palette[:, :1]).all())
    return Looks(height, width, 1 if gray else 3, picture.mode, str(picture.format))


def examine(content: bytes, name: object, side: int, levels: Levels = OF_THE_FORMAT) -> tuple["Image", "Image"]:
    """A picture's header and its pixels: upright, mode L or RGB.

    A JPEG is decoded at the smallest scale that leaves its shorter side `side` pixels. The header's `info` holds the
    EXIF orientation as "upright", the decoder's complaint of what can be used all the same as "complaint", and of a
    picture with more than 8 bits a channel the share of its range that it uses as "range_used".

    Raises:
      InputError: as `decode`.
    """
    picture = open_picture(content, name)
    try:
        return picture, load_picture(picture, content, min(picture.size) / side, levels)
    except Exception as error:
        raise unreadable(name, error) from error


def fit_image(
    image: "Image",
    image_shape: tuple[int, int, int],
    resize: str,
    center_crop: float = 1.0,
    part: Box | None = None,
    interpolation: str = "bilinear",
) -> np.ndarray:
    """Brings a picture of mode L or RGB, or a part of it, to [height, width, channels], uint8; see `decode`."""
    from PIL import Image, ImageOps

    height, width, channels = image_shape
    method = Image.Resampling[interpolation.upper()]
    image = image.convert("L" if channels == 1 else "RGB")
    border = (1 - center_crop) / 2
    if part is None and resize == "stretch" and center_crop < 1:
        part = (border, border, center_crop, center_crop)
    if part is not None:
        top, left, tall, wide = part
        box = (left * image.width, top * image.height, (left + wide) * image.width, (top + tall) * image.height)
        # Rounding may carry an edge beyond the picture by less than it can show.
        box = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], image.width), min(box[3], image.height))
        image = image.resize((width, height), method, box=box)
    elif image.size != (width, height) or center_crop < 1:
        if resize == "crop":
            image = ImageOps.fit(image, (width, height), method, bleed=border)
        elif resize == "stretch":
            image = image.resize((width, height), method)
        else:
            x, y = (min(round(border * side), (side - 1) // 2) for side in image.size)
            image = image.crop((x, y, image.width - x, image.height - y))
            image = ImageOps.pad(image, (width, height), method)
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
