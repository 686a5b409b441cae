"""What one picture is like: a small record, from which `findings` and `duplicates` judge a whole set."""

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cnn_jax.data.reading.image_dataset import Files, ImageDataset
from cnn_jax.data.reading.images import examine
from cnn_jax.data.reading.levels import NARROW, OF_THE_FORMAT, Levels, UnknownLevels, is_deep
from cnn_jax.data.reading.scan import contents_or_errors, in_threads
from cnn_jax.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

# Sides that pictures are compared at: of the thumbnail, and of what sharpness and the perceptual hash are measured on.
THUMBNAIL_SIDE = 32
_MEASURED_SIDE = 256
# A smaller picture has too few pixels to tell blur from content.
_LEAST_SIDE_FOR_SHARPNESS = 64
# JPEG moves the channels of a gray picture, and the pixels of a blank one, by a few steps.
_GRAY_TOLERANCE, _BLANK_TOLERANCE = 8, 6
_TILES = 4
_PICTURES_AT_ONCE = 64
_ONE_PICTURE_SEVERAL_FRAMES = ("MPO",)  # phones keep a preview or a depth map behind the photograph


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """Measures of one picture; of one that cannot be read, only `fault`, `reason` and perhaps `content_digest`.

    Attributes:
      fault: "" or a kind of finding: empty file, not an image, truncated, unknown range, ..., unreadable.
      reason: what the decoder says of it.
      complaint: what a decoder says of a picture that can be used all the same.
      range_used: the share of its range that the largest value of a picture with more than 8 bits a channel reaches.
      content_digest: of the encoded bytes; b"" where the source holds arrays.
      pixel_digest: of size, mode and pixels, as decoded here: large JPEGs at a half, a quarter or an eighth.
      height, width: of the upright picture.
      mode, format: Pillow's names of the file's.
      orientation: EXIF's, 1 to 8.
      frames: how many follow each other.
      transparent: some pixel is not opaque.
      colored: some pixel is not gray.
      means, squares: of each of three channels, pixels in [0, 1] and their squares, averaged over the picture.
      dark, bright: the 1st and 99th percentile of luma, 0..255.
      blank: all pixels have one color as they are read: 8 bits a channel, on white.
      hidden: what a blank picture holds all the same, "" where it is truly blank.
      sharpness: of its sharpest part, see `sharpness`; NaN where it is too small to say.
      perceptual_hash: 64 bits, `imagehash.phash`.
      thumbnail: gray, uint8 [32, 32], whatever the shape of the picture.
    """

    fault: str = ""
    reason: str = ""
    complaint: str = ""
    range_used: float = 1.0
    content_digest: bytes = b""
    pixel_digest: bytes = b""
    height: int = 0
    width: int = 0
    mode: str = ""
    format: str = ""
    orientation: int = 1
    frames: int = 1
    transparent: bool = False
    colored: bool = False
    means: tuple[float, ...] = ()
    squares: tuple[float, ...] = ()
    dark: float = 0.0
    bright: float = 255.0
    blank: bool = False
    hidden: str = ""
    sharpness: float = float("nan")
    perceptual_hash: int = 0
    thumbnail: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A picture of a set: where it stands, and its record.

    Attributes:
      split, index: name it; the index counts within the split.
      label: the class's number.
      name: for people.
      extension: of its file, lower case, as ".jpg"; "" where it is no file.
    """

    split: str
    index: int
    label: int
    name: str
    extension: str
    record: Record


def measure_all(split: str, pictures: ImageDataset) -> Iterator[list[Entry]]:
    """All pictures in order, in parts; the decoded ones are not kept. To be called within `images.quiet`."""
    prepare()

    def part(start: int) -> list[Entry]:
        indices = np.arange(start, min(start + _PICTURES_AT_ONCE, len(pictures)))
        entries = []
        for index, content in zip(indices.tolist(), contents_or_errors(pictures, indices), strict=True):
            name = pictures.name(index)
            reader, extension = pictures.reader, ""
            if isinstance(reader, Files):
                extension = os.path.splitext(reader.path(int(pictures.rows[index])))[1].lower()
            record = measure(content, name, pictures.levels)
            entries.append(Entry(split, index, int(pictures.labels[index]), name, extension, record))
        return entries

    return in_threads(part, range(0, len(pictures), _PICTURES_AT_ONCE))


def prepare() -> None:
    """Imports what the measures need, once, before several threads do."""
    import imagehash
    from PIL import Image

    Image.init()
    imagehash.phash(Image.new("L", (8, 8)))


def measure(content: bytes | np.ndarray | InputError, name: str, levels: Levels = OF_THE_FORMAT) -> Record:
    """The record of a picture: encoded, or uint8 [height, width, 1 or 3], or the error that its reader gave for it."""
    from PIL import Image

    if isinstance(content, InputError):
        return _faulty(content, name)
    if isinstance(content, np.ndarray):
        image = Image.fromarray(content[..., 0] if content.shape[-1] == 1 else content)
        return _measured(image, Record(height=image.height, width=image.width, mode=image.mode, format="array"))
    digest = hashlib.blake2b(content, digest_size=16).digest()
    try:
        header, image = examine(content, name, _MEASURED_SIDE, levels)
    except InputError as error:
        return dataclasses.replace(_faulty(error, name), content_digest=digest)
    width, height = header.size if header.info["upright"] < 5 else header.size[::-1]
    seen = Record(
        complaint=header.info.get("complaint", ""), range_used=header.info.get("range_used", 1.0),
        content_digest=digest, height=height, width=width,
        mode=header.mode, format=str(header.format), orientation=header.info["upright"], frames=_frames(header),
        transparent=_is_transparent(header),
    )  # fmt: skip
    record = _measured(image, seen)
    return dataclasses.replace(record, hidden=hidden_content(header)) if record.blank else record


def sharpness(gray: np.ndarray) -> float:
    """The variance of the Laplacian (Pech-Pacheco et al. 2000) of the sharpest of 4 x 4 parts.

    One sharp part makes a sharp picture: photographers blur backgrounds on purpose.

    Args:
      gray: float32 [height, width], 0..255, of about the same size for all pictures.
    """
    laplacian = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:] - 4 * gray[1:-1, 1:-1]
    height, width = (side // _TILES for side in laplacian.shape)
    if not height or not width:
        return float("nan")
    tiles = laplacian[: height * _TILES, : width * _TILES].reshape(_TILES, height, _TILES, width)
    return float(tiles.var(axis=(1, 3)).max())


def hidden_content(picture: "Image") -> str:
    """What a picture shows that has one color on white and at 8 bits a channel; "" for none."""
    if is_deep(picture.mode):
        values = np.asarray(picture)
        low, high = float(values.min()), float(values.max())
        return f"values from {low:g} to {high:g}" if high > low else ""
    used = picture.info.get("range_used", 1.0)
    if 0 < used < NARROW:
        return f"uses {used:.1%} of its range"
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
        return "white on transparent" if int(alpha.max()) - int(alpha.min()) > _BLANK_TOLERANCE else ""
    return ""


def _measured(image: "Image", seen: Record) -> Record:
    """Fills the record of a picture from its pixels, of mode L or RGB."""
    import imagehash
    from PIL import Image

    digest = hashlib.blake2b(f"{seen.height} {seen.width} {image.mode} {image.size}".encode(), digest_size=16)
    digest.update(image.tobytes())
    small = image.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    gray = image.convert("L")
    counts = np.array(gray.histogram())
    dark, bright = np.searchsorted(np.cumsum(counts), [0.01 * counts.sum(), 0.99 * counts.sum()])
    ranges = np.array(image.getextrema()).reshape(-1, 2)
    if max(gray.size) > _MEASURED_SIDE:
        gray.thumbnail((_MEASURED_SIDE, _MEASURED_SIDE), Image.Resampling.BILINEAR)
    means, squares = _moments(image)
    judged = min(seen.height, seen.width) >= _LEAST_SIDE_FOR_SHARPNESS
    bits = imagehash.phash(gray).hash
    return dataclasses.replace(
        seen, pixel_digest=digest.digest(), colored=_is_colored(small), means=means, squares=squares, dark=float(dark),
        bright=float(bright), blank=bool((ranges[:, 1] - ranges[:, 0]).max() <= _BLANK_TOLERANCE),
        sharpness=sharpness(np.asarray(gray, np.float32)) if judged else float("nan"),
        perceptual_hash=int.from_bytes(np.packbits(bits).tobytes(), "big"),
        thumbnail=np.array(small.convert("L")),
    )  # fmt: skip


def _moments(image: "Image") -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Means of pixels in [0, 1] and of their squares, in three channels; those of a gray picture are the same."""
    counts = np.array(image.histogram(), np.float64).reshape(-1, 256)
    shares = counts / counts.sum(axis=1, keepdims=True)
    values = np.arange(256) / 255
    means, squares = shares @ values, shares @ values**2
    return tuple(np.resize(means, 3).tolist()), tuple(np.resize(squares, 3).tolist())


def _is_colored(small: "Image") -> bool:
    if small.mode == "L":
        return False
    pixels = np.asarray(small, np.int16)
    return bool((pixels.max(axis=-1) - pixels.min(axis=-1)).max() > _GRAY_TOLERANCE)


def _frames(header: "Image") -> int:
    if header.format in _ONE_PICTURE_SEVERAL_FRAMES:
        return 1
    try:
        return int(getattr(header, "n_frames", 1))
    except Exception:  # what follows the first frame is broken, in whatever way; nobody needs it
        return 1


def _is_transparent(header: "Image") -> bool:
    if header.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in header.info:
        return False
    return bool(np.asarray(header.convert("RGBA"))[..., 3].min() < 255)


def _faulty(error: InputError, name: str) -> Record:
    """What kind of fault an error tells of."""
    from PIL import Image, UnidentifiedImageError

    cause, reason = error.__cause__, str(error).removeprefix(f"{name}: ").removeprefix("this image cannot be read: ")
    if reason == "this file is empty":
        return Record("empty file", reason)
    if isinstance(cause, UnknownLevels):
        return Record("unknown range", reason)
    if isinstance(cause, UnidentifiedImageError):
        return Record("not an image", reason)
    if isinstance(cause, Image.DecompressionBombError):
        return Record("decompression bomb", reason)
    return Record("truncated" if "truncated" in reason.lower() else "unreadable", reason)
