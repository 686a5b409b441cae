"""An archive of arrays: `image` and `label`, perhaps `split` and `class_names`."""

import math
import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.reading import cache
from cnn_jax.data.reading.image_dataset import Arrays, ImageDataset
from cnn_jax.data.sources.file_states import check_file, file_state, fingerprint, identity, place, stamp
from cnn_jax.data.sources.split_names import SPLIT_NAMES
from cnn_jax.data.splits import Source
from cnn_jax.errors import InputError, shown

# What is read into memory at once may not be a bomb: of labels and the like, so many bytes for each image.
_BYTES_FOR_ALL, _BYTES_FOR_EACH = 1 << 20, 1 << 10
_LONGEST_HEADER = 1 << 16


def load_npz(data: Any) -> Source:
    """The source `npz`; `data.dir` is the archive.

    It holds `image`, uint8 [N, H, W] or [N, H, W, 1 or 3]; `label` [N], numbers 0..K-1 or names; perhaps `split` [N]
    of the texts train, validation, test; perhaps `class_names` [K].

    Raises:
      InputError: there is no such file, or its arrays are not of this form.
    """
    if not data.dir:
        raise InputError("config.data.dir=None: data.source=npz needs the archive, as in data.dir=images.npz")
    path = Path(os.path.expanduser(data.dir))
    check_file(path, "an .npz archive")
    arrays = _read_small(path)
    states, here = _states(path), place("npz", path)
    key = f"{here}-raw-{fingerprint(states)}"
    former = cache.recall(f"{here}-raw")
    if former is not None and not np.array_equal(former, states):
        cache.remove(f"{here}-raw-{fingerprint(former)}")
    cache.remember(f"{here}-raw", states)
    size = _check_image(path).size
    folder = cache.entry(
        key,
        lambda folder: _unpack(path, folder / "image.npy", size),
        lambda folder: (folder / "image.npy").stat().st_size == size,
    )
    image = np.load(folder / "image.npy", mmap_mode="r", allow_pickle=False)
    labels, names = _labels(path, arrays, len(image))
    height, width = data.image_size or image.shape[1:3]
    shape = (int(height), int(width), int(data.channels or (*image.shape, 1)[3]))
    reader = Arrays(folder / "image.npy", path.name)
    rows = _rows(path, arrays, len(image))
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"{path}: its classes are {', '.join(names[:5])}; a classifier needs two or more different ones"
        )
    splits = {
        split: ImageDataset(reader, row, labels[row], shape, data.resize, data.center_crop)
        for split, row in rows.items()
    }
    return Source(path.name, names, splits, here, fingerprint(states), identity(states), states=states)


class _Image(NamedTuple):
    """What is stored as `image`: the size in bytes of its .npy file, and its shape."""

    size: int
    shape: tuple[int, ...]


def _read_small(path: Path) -> dict[str, np.ndarray]:
    """All arrays but the images."""
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"{path}: this is a single array; it must be an .npz archive with 'image' and 'label'")
            missing = [name for name in ("image", "label") if name not in archive]
            if missing:
                others = ", ".join(map(shown, archive.files[:5]))
                raise InputError(f"{path}: it has no array {' and no array '.join(missing)}; it has {others}")
            small = [name for name in ("label", "split", "class_names") if name in archive]
            _check_sizes(path, small)
            return {name: archive[name] for name in small}
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise whatever a broken file makes them
        raise _no_archive(path, error) from error


def _check_sizes(path: Path, names: Sequence[str]) -> None:
    """Raises InputError before something is unpacked that no such number of images can need."""
    count = _check_image(path).shape[0]
    with zipfile.ZipFile(path) as archive:
        for name in names:
            size = archive.getinfo(f"{name}.npy").file_size
            if size > _BYTES_FOR_ALL + count * _BYTES_FOR_EACH:
                raise InputError(f"{path}: its array '{name}' takes {size:,} bytes, too many for {count:,} images")


def _check_image(path: Path) -> _Image:
    """Raises InputError where the array `image` is of another form than wanted."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("image.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            size = archive.getinfo("image.npy").file_size
    except Exception as error:
        raise _no_archive(path, error) from error
    if dtype != np.uint8 or len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)) or min(shape) < 1:
        raise InputError(
            f"{path}: its array 'image' is {dtype} {list(shape)}; it must be uint8 [N, H, W] or [N, H, W, 1 or 3]"
        )
    if not 0 <= size - math.prod(shape) <= _LONGEST_HEADER:
        wrong = "cut off" if size < math.prod(shape) else "followed by something else"
        raise InputError(f"{path}: its array 'image' is {wrong}: {size} bytes for {list(shape)}")
    return _Image(size, shape)


def _unpack(path: Path, to: Path, size: int) -> None:
    """The archive's image array as a .npy file, which needs no memory to be read from."""
    free = shutil.disk_usage(to.parent).free
    if free < size:
        raise InputError(f"{path}: unpacked it takes {size:,} bytes, and {to.parent.parent} has {free:,} left")
    try:
        with zipfile.ZipFile(path) as archive, archive.open("image.npy") as source, open(to, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except OSError:
        raise  # the cache's disk
    except Exception as error:
        raise _no_archive(path, error) from error


def _no_archive(path: Path, error: Exception) -> InputError:
    reason = "it holds Python objects" if "pickle" in str(error) else str(error) or type(error).__name__
    return InputError(f"{path}: this is not a whole .npz archive of plain arrays ({reason})")


def _labels(path: Path, arrays: dict[str, np.ndarray], count: int) -> tuple[np.ndarray, tuple[str, ...]]:
    labels = arrays["label"]
    if labels.shape not in ((count,), (count, 1)):
        raise InputError(f"{path}: its array 'label' has shape {list(labels.shape)}; {count} images need [{count}]")
    labels = labels.reshape(-1)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "backslashreplace")
    if labels.dtype.kind == "U":
        names, numbers = np.unique(labels, return_inverse=True)
        return numbers.astype(np.int32), tuple(shown(str(name)) for name in names)
    if labels.dtype.kind not in "iu":
        raise InputError(f"{path}: its array 'label' is {labels.dtype}; it must hold whole numbers or texts")
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or most > max(count, 100_000):
        wrong = least if least < 0 else most
        raise InputError(f"{path}: its array 'label' contains {wrong}; labels must be 0..K-1 for K classes")
    if "class_names" in arrays:
        if arrays["class_names"].ndim != 1:
            raise InputError(f"{path}: its array 'class_names' must be a list of texts, one per class")
        return labels.astype(np.int32), tuple(shown(str(name)) for name in arrays["class_names"])
    return labels.astype(np.int32), tuple(map(str, range(most + 1)))


def _rows(path: Path, arrays: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    if "split" not in arrays:
        return {"train": np.arange(count)}
    texts = arrays["split"].reshape(-1)
    if len(texts) != count:
        raise InputError(f"{path}: its array 'split' has {len(texts)} entries for {count} images")
    values, inverse = np.unique(texts, return_inverse=True)
    splits = [SPLIT_NAMES.get(str(value).lower()) for value in values]
    if None in splits:
        wrong = str(values[splits.index(None)])
        raise InputError(f"{path}: its array 'split' contains {wrong!r}; it must say train, validation or test")
    of_row = np.array(splits)[inverse]
    rows = {split: np.flatnonzero(of_row == split) for split in ("train", "validation", "test")}
    if not len(rows["train"]):
        raise InputError(f"{path}: no entry of its array 'split' is 'train'")
    return {split: row for split, row in rows.items() if len(row)}


def _states(path: Path) -> np.ndarray:
    status = path.stat()
    return np.array([file_state(path.name, str(status.st_size), stamp(status))], np.uint64)
