"""Pictures of a set that are read once more: for a second look, and as thumbnails of the page."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnn_jax.audit.quality import Entry
from cnn_jax.audit.registration import SECOND_SIDE
from cnn_jax.data import ImageDataset
from cnn_jax.data.reading.images import examine
from cnn_jax.data.reading.scan import in_threads
from cnn_jax.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

_THUMBNAIL = 128
_AT_ONCE = 64


def read_again(splits: Mapping[str, ImageDataset], entries: Sequence[Entry], rows: Sequence[int]) -> np.ndarray:
    """Pictures as `registration.agreement` takes them: gray, stretched to a square, uint8 [N, 128, 128].

    Raises:
      InputError: one cannot be read any more.
    """

    def part(start: int) -> list[np.ndarray]:
        wanted = [entries[row] for row in rows[start : start + _AT_ONCE]]
        return [gray_square(_open(splits[entry.split], entry.index, SECOND_SIDE)) for entry in wanted]

    squares = [square for of_part in in_threads(part, range(0, len(rows), _AT_ONCE)) for square in of_part]
    return np.stack(squares) if squares else np.zeros((0, SECOND_SIDE, SECOND_SIDE), np.uint8)


def gray_square(image: "Image") -> np.ndarray:
    """uint8 [128, 128] of a picture of mode L or RGB."""
    from PIL import Image

    method = Image.Resampling.BOX if min(image.size) > SECOND_SIDE else Image.Resampling.BILINEAR
    return np.asarray(image.convert("L").resize((SECOND_SIDE, SECOND_SIDE), method))


def thumbnail(pictures: ImageDataset, index: int) -> str:
    """A small picture as a data URI; "" where it cannot be read."""
    try:
        image = _open(pictures, index, _THUMBNAIL).copy()
    except InputError:
        return ""
    small = max(image.size) <= _THUMBNAIL
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    stream = io.BytesIO()
    image.save(stream, "PNG" if small else "JPEG", quality=80)
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(stream.getvalue()).decode()}"


def _open(pictures: ImageDataset, index: int, side: int) -> "Image":
    """Mode L or RGB; a JPEG perhaps scaled down, to a shorter side of no less than `side`."""
    from PIL import Image

    content = pictures.contents([index])[0]
    if isinstance(content, bytes):
        return examine(content, pictures.name(index), side, pictures.levels)[1]
    return Image.fromarray(content[..., 0] if content.shape[-1] == 1 else content)
