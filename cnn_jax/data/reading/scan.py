"""One pass over all pictures, once per state of the data: which can be read, their statistics, and their pixels.

Each picture is decoded just as training and evaluation will see it. Sets that fit into memory are kept decoded; of
larger ones only what the pass has found out. Either way a broken file is known before training begins.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from cnn_jax.cli.progress import progress_bar
from cnn_jax.data.reading import cache
from cnn_jax.data.reading.image_dataset import ImageDataset
from cnn_jax.data.reading.images import look, quiet
from cnn_jax.data.reading.memory import cores
from cnn_jax.errors import InputError
from cnn_jax.runtime.prefetch import prefetch

_ATTEMPTS = 3
_VERSION = 3  # of what an entry holds, and of how pictures are decoded; another one makes former entries useless
_LEAST_STD = 0.5  # in gray levels
_PICTURES_AT_ONCE = 16  # what Ctrl-C waits for

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class ScanResult:
    """What the pass over one split found.

    Attributes:
      good: int64, sorted indices of the pictures that can be read.
      moments: int64 [len(good), C, 2], sums and sums of squares of the pixel values 0..255 of each channel.
      ranges_used: float64 [len(good)], as in `images.Decoded`.
      bad: one line for each of the others, which names it.
      images: uint8 [N, H, W, C] of all pictures (the bad ones black), where it was asked for; mapped from the cache's
        file, or the reader's own.
    """

    good: np.ndarray
    moments: np.ndarray
    ranges_used: np.ndarray
    bad: tuple[str, ...]
    images: np.ndarray | None


class _Part(NamedTuple):
    start: int
    images: np.ndarray | None
    readable: np.ndarray
    moments: np.ndarray
    ranges_used: np.ndarray
    bad: list[str]


def scan(pictures: ImageDataset, key: str, description: str, keep: bool, read_off: Sequence[str]) -> ScanResult:
    """Reads every picture of a split once; the result comes from the cache if these data were scanned before.

    Args:
      key: names the state of the data and how they are decoded.
      description: what the progress bar says.
      keep: keep the decoded images as well.
      read_off: what of image_size and channels was read off some pictures; one of another size or color is bad.

    Raises:
      InputError: the cache cannot be written.
    """
    decoded = pictures.decoded() if keep else None
    if decoded is not None:
        return ScanResult(np.arange(len(decoded)), _moments(decoded), np.ones(len(decoded)), (), decoded)
    for _ in range(_ATTEMPTS):
        folder = cache.entry(
            f"{key}-{'images' if keep else 'survey'}-{_VERSION}",
            lambda folder: _write(folder, pictures, description, keep, read_off),
            lambda folder: _is_whole(folder, pictures, keep),
        )
        # Another process may have seen the data change, and removed the entry meanwhile.
        with contextlib.suppress(FileNotFoundError):
            bad = tuple(json.loads((folder / "bad.json").read_text()))
            good = np.load(folder / "good.npy", allow_pickle=False)
            moments = np.load(folder / "moments.npy", allow_pickle=False)
            ranges_used = np.load(folder / "ranges_used.npy", allow_pickle=False)
            images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False) if keep else None
            return ScanResult(good, moments, ranges_used, bad, images)
    raise InputError(f"{pictures.name(0)} and the others: these files change while they are read; try again later")


def pixel_statistics(moments: np.ndarray, pixels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels in [0, 1], exact.

    Args:
      moments: int64 [N, C, 2] of a scan.
      pixels: height x width.

    A channel that never changes gets a standard deviation of 1, so that normalising it gives zeros. One that hardly
    ever does gets half a gray level: divided by less, a level or two in a new picture would drown all else.
    """
    count = len(moments) * pixels
    means, stds = [], []
    for total, squares in moments.sum(axis=0).tolist():  # Python's integers: count * squares may exceed 64 bits
        variance = (count * squares - total * total) / (count * count)
        means.append(total / count / 255)
        stds.append(max(variance**0.5, _LEAST_STD) / 255 if variance > 0 else 1.0)
    return tuple(means), tuple(stds)


def _write(folder: Path, pictures: ImageDataset, description: str, keep: bool, read_off: Sequence[str]) -> None:
    count = len(pictures)
    images = cache.allocate(folder / "images.npy", (count, *pictures.image_shape)) if keep else None
    readable = np.zeros(count, bool)
    moments, ranges_used = np.zeros((count, pictures.image_shape[2], 2), np.int64), np.ones(count)
    bad: list[str] = []
    with quiet(), progress_bar(count, description, "image") as bar:
        for part in in_threads(
            lambda start: _part(pictures, start, read_off, keep), range(0, count, _PICTURES_AT_ONCE)
        ):
            place = slice(part.start, part.start + len(part.readable))
            readable[place], moments[place], ranges_used[place] = part.readable, part.moments, part.ranges_used
            if images is not None:
                images[place] = part.images
            bad += part.bad
            bar.update(len(part.readable))
    if images is not None:
        images.flush()
    good = np.flatnonzero(readable)
    np.save(folder / "good.npy", good)
    np.save(folder / "moments.npy", moments[good])
    np.save(folder / "ranges_used.npy", ranges_used[good])
    (folder / "bad.json").write_text(json.dumps(bad))


def _is_whole(folder: Path, pictures: ImageDataset, keep: bool) -> bool:
    try:
        good = np.load(folder / "good.npy", allow_pickle=False)
        bad = json.loads((folder / "bad.json").read_text())
        moments = np.load(folder / "moments.npy", mmap_mode="r", allow_pickle=False)
        ranges_used = np.load(folder / "ranges_used.npy", mmap_mode="r", allow_pickle=False)
        if keep:
            images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
            if images.dtype != np.uint8 or images.shape != (len(pictures), *pictures.image_shape):
                return False
        return len(good) + len(bad) == len(pictures) and len(moments) == len(ranges_used) == len(good)
    except (OSError, ValueError, EOFError):
        return False


def in_threads(work: Callable[[int], Result], starts: Iterable[int]) -> Iterator[Result]:
    """`work(start)` of all starts in order, in as many threads as there are cores: decoders let go of Python's lock."""
    threads = cores()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for future in prefetch((pool.submit(work, start) for start in starts), 2 * threads):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _part(pictures: ImageDataset, start: int, read_off: Sequence[str], keep: bool) -> _Part:
    indices = np.arange(start, min(start + _PICTURES_AT_ONCE, len(pictures)))
    images = np.zeros((len(indices), *pictures.image_shape), np.uint8)
    readable, ranges_used = np.ones(len(indices), bool), np.ones(len(indices))
    bad = []
    for i, content in enumerate(contents_or_errors(pictures, indices)):
        name = pictures.name(int(indices[i]))
        try:
            if isinstance(content, InputError):
                raise content
            if read_off:
                _check_shape(content, name, pictures.image_shape, read_off)
            images[i], ranges_used[i] = pictures.fit_with_range(content, name)
        except InputError as error:
            readable[i] = False
            bad.append(str(error))
    return _Part(start, images if keep else None, readable, _moments(images), ranges_used, bad)


def _moments(images: np.ndarray) -> np.ndarray:
    """int64 [N, C, 2]: sums and sums of squares of uint8 [N, H, W, C], a few images at a time."""
    moments = np.empty((len(images), images.shape[-1], 2), np.int64)
    for start in range(0, len(images), _PICTURES_AT_ONCE):
        part = images[start : start + _PICTURES_AT_ONCE]
        flat = part.reshape(len(part), -1, images.shape[-1])
        moments[start : start + len(part), :, 0] = flat.sum(axis=1, dtype=np.int64)
        moments[start : start + len(part), :, 1] = np.square(flat, dtype=np.uint32).sum(axis=1, dtype=np.int64)
    return moments


def contents_or_errors(pictures: ImageDataset, indices: np.ndarray) -> list[bytes | np.ndarray | InputError]:
    """The pictures as their reader has them; in place of what it cannot deliver, the error."""
    try:
        return list(pictures.contents(indices))
    except InputError:
        found: list[bytes | np.ndarray | InputError] = []
        for index in indices:
            try:
                found += pictures.contents([index])
            except InputError as error:
                found.append(error)
        return found


def _check_shape(content: bytes | np.ndarray, name: str, shape: tuple[int, int, int], read_off: Sequence[str]) -> None:
    height, width, channels = content.shape if isinstance(content, np.ndarray) else look(content, name)[:3]
    if "image_size" in read_off and (height, width) != shape[:2]:
        raise InputError(f"{name}: it has {height}x{width} pixels, others {shape[0]}x{shape[1]}; set data.image_size")
    if "channels" in read_off and channels > shape[2]:
        raise InputError(f"{name}: it has color, others are gray; set data.channels to 1 or 3")
