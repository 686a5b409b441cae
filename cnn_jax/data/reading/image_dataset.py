"""Images that are read and decoded when somebody asks for them: what every source delivers."""

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cnn_jax.data.reading.images import Decoded, Region, decode_with_range, fit_image, read_file
from cnn_jax.data.reading.levels import OF_THE_FORMAT, Levels
from cnn_jax.errors import shown


class Reader(Protocol):
    """Where pictures come from. It is sent to worker processes, so it must pickle, and stay small when it does."""

    def read(self, rows: Sequence[int]) -> list[bytes | np.ndarray]:
        """Encoded pictures, or decoded ones as uint8 [height, width, channels]; raises InputError for what is lost."""

    def name(self, row: int) -> str:
        """What people call a picture."""

    def select(self, rows: np.ndarray) -> tuple["Reader", np.ndarray]:
        """A reader for these rows alone that is small to send, and their numbers in it."""


@dataclasses.dataclass(frozen=True)
class ImageDataset:
    """Labelled images of one split.

    Attributes:
      reader: delivers the rows.
      rows: int64 [N], the reader's numbers of these pictures.
      labels: int32 [N].
      image_shape: (height, width, channels) that they are brought to.
      resize, center_crop, levels, interpolation: how; see `images.decode`.
    """

    reader: Reader
    rows: np.ndarray
    labels: np.ndarray
    image_shape: tuple[int, int, int]
    resize: str
    center_crop: float = 1.0
    levels: Levels = OF_THE_FORMAT
    interpolation: str = "bilinear"

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: np.ndarray) -> "ImageDataset":
        return dataclasses.replace(self, rows=self.rows[indices], labels=self.labels[indices])

    def detach(self, indices: np.ndarray) -> "ImageDataset":
        """The subset, with a reader for it alone: small to send to a worker."""
        reader, rows = self.reader.select(self.rows[indices])
        return dataclasses.replace(self, reader=reader, rows=rows, labels=self.labels[indices])

    def name(self, index: int) -> str:
        return self.reader.name(int(self.rows[index]))

    def decoded(self) -> np.ndarray | None:
        """uint8 [N, height, width, channels] where the reader holds them so, as `images`, in this order; else None."""
        images: np.ndarray | None = getattr(self.reader, "images", None)
        if images is None or images.shape[1:] != self.image_shape or self.center_crop != 1:
            return None
        return images if np.array_equal(self.rows, np.arange(len(images))) else None

    def contents(self, indices: Sequence[int] | np.ndarray) -> list[bytes | np.ndarray]:
        """The pictures as the reader has them."""
        return self.reader.read([int(row) for row in self.rows[indices]])

    def read(self, indices: Sequence[int] | np.ndarray, regions: Sequence[Region] | None = None) -> np.ndarray:
        """uint8 [B, height, width, channels] of the pictures with these indices; of their regions, where given.

        Raises:
          InputError: a picture cannot be read; the line names it.
        """
        images = np.empty((len(indices), *self.image_shape), np.uint8)
        for i, content in enumerate(self.contents(indices)):
            region = regions[i] if regions is not None else None
            images[i] = self.fit(content, self.name(int(indices[i])), region)
        return images

    def fit(self, content: bytes | np.ndarray, name: object, region: Region | None = None) -> np.ndarray:
        """One picture of the reader as uint8 [height, width, channels]."""
        return self.fit_with_range(content, name, region).image

    def fit_with_range(self, content: bytes | np.ndarray, name: object, region: Region | None = None) -> Decoded:
        """As `fit`, with what share of its range the picture uses."""
        if isinstance(content, bytes):
            return decode_with_range(
                content, name, self.image_shape, self.resize, self.center_crop, region, self.levels, self.interpolation
            )
        if content.shape == self.image_shape and region is None and self.center_crop == 1:
            return Decoded(content, 1.0)
        from PIL import Image

        pixels = content[..., 0] if content.shape[-1] == 1 else content
        box = None if region is None else region(*content.shape[:2])
        image = fit_image(
            Image.fromarray(pixels), self.image_shape, self.resize, self.center_crop, box, self.interpolation
        )
        return Decoded(image, 1.0)


class Files:
    """Files below a folder. The paths, perhaps a million, are one string of bytes, cheap to keep and to pickle.

    Args:
      root: the folder.
      paths: relative to it (or absolute), in the order of their rows.
    """

    def __init__(self, root: str | Path, paths: Sequence[str]):
        encoded = [os.fsencode(path) for path in paths]
        self._root = os.path.abspath(root)
        self._paths = b"".join(encoded)
        self._ends = np.cumsum([len(path) for path in encoded], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    def path(self, row: int) -> str:
        """The whole path."""
        start = self._ends[row - 1] if row else 0
        return os.path.join(self._root, os.fsdecode(self._paths[start : self._ends[row]]))

    def read(self, rows: Sequence[int]) -> list[bytes | np.ndarray]:
        return [read_file(self.path(row)) for row in rows]

    def select(self, rows: np.ndarray) -> tuple["Files", np.ndarray]:
        return Files(self._root, [self.path(int(row)) for row in rows]), np.arange(len(rows))

    def name(self, row: int) -> str:
        return shown(self.path(row))


class InMemoryReader:
    """A reader that is small to send as it is, so that it selects nothing."""

    def select(self, rows: np.ndarray) -> tuple[Any, np.ndarray]:
        return self, rows


class Arrays(InMemoryReader):
    """Decoded images uint8 [N, H, W, C] in a .npy file, which every process maps into its memory by itself."""

    def __init__(self, path: Path, source: str):
        self._path, self._source = path, source

    def read(self, rows: Sequence[int]) -> list[bytes | np.ndarray]:
        images = _mapped(self._path, self._path.stat().st_mtime_ns)
        return [images[row] for row in rows]

    def name(self, row: int) -> str:
        return f"{self._source}[{row}]"


@functools.lru_cache(maxsize=4)
def _mapped(path: Path, written: int) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False)
