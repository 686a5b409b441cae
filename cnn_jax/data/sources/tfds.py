"""Any image-classification dataset of TFDS that is prepared on disk, read without TensorFlow."""

import functools
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.cli.programs import start
from cnn_jax.cli.progress import progress_bar
from cnn_jax.config.rules import did_you_mean
from cnn_jax.data.reading import cache
from cnn_jax.data.reading.image_dataset import ImageDataset, InMemoryReader
from cnn_jax.data.sources.file_states import stamp
from cnn_jax.data.sources.tfds_files import read_description
from cnn_jax.data.splits import Source
from cnn_jax.errors import InputError, shown

_RECORDS_AT_ONCE = 256


def load_tfds(data: Any) -> Source:
    """The splits train, validation and test, as far as the dataset has them with labels.

    Args:
      data: the config's `data` block: name, dir, image_size, channels, resize.

    Raises:
      InputError: the dataset is unknown, not prepared, prepared in another file format, not one of images with one
        label each, or holds images of different sizes while `data.image_size` is None.
    """
    root = data_folder(data.dir)
    folder = find_prepared(data.name, root)
    if folder is None:
        check_known(data.name, root)
        raise InputError(
            f"the dataset '{data.name}' is not prepared in {root}; run {_prepare_command(data.name, root)}"
        )
    description = read_description(folder)
    fingerprint = _fingerprint(folder)
    if description.get("fileFormat", "tfrecord") != "array_record":
        raise InputError(
            f"{folder} is prepared as {description.get('fileFormat', 'tfrecord')}, which needs TensorFlow to read; "
            f"delete it, and run {_prepare_command(data.name, root)}"
        )

    key = f"tfds-{folder.parent.name}-{folder.name}-{fingerprint}"
    facts = cache.facts(f"{key}-facts", lambda: _facts(folder, data.name))
    shape = _image_shape(data, facts["image_shape"])
    place = f"tfds-{facts['full_name']}"
    splits: dict[str, ImageDataset] = {}
    for split in ("train", "validation", "test"):
        if split not in facts["splits"]:
            continue
        reader = _Records(str(folder), split, facts["image_key"])
        saying = f"reading labels of {data.name} {split}"
        labels = _labels(folder, reader, facts["label_key"], f"{place}-{split}-{fingerprint}", saying)
        if split == "train" or not np.all(labels == -1):  # -1: TFDS's sign for labels that were never published
            splits[split] = ImageDataset(reader, np.arange(len(labels)), labels, shape, data.resize, data.center_crop)
    if "train" not in splits:
        raise InputError(f"{data.name} has no split 'train'; it has {', '.join(facts['splits'])}")
    names = tuple(map(shown, facts["class_names"]))
    return Source(facts["full_name"], names, splits, place, fingerprint, _fingerprint(folder, times=False))


def _facts(folder: Path, name: str) -> dict[str, Any]:
    """What TFDS says of a dataset; kept, for TFDS takes half a second to import."""
    import tensorflow_datasets as tfds

    try:
        info = tfds.builder_from_directory(str(folder)).info
    except Exception as error:  # whatever a damaged description makes it raise
        raise _damaged(folder, error) from error
    image_key, label_key = _feature_names(info.features, name)
    return {
        "full_name": info.full_name,
        "image_key": image_key,
        "image_shape": list(info.features[image_key].shape),
        "label_key": label_key,
        "class_names": list(info.features[label_key].names),
        "splits": list(info.splits),
    }


class _Records(InMemoryReader):
    """The records of one split, with their pictures as they were encoded; each process opens them for itself."""

    def __init__(self, folder: str, split: str, image_key: str):
        self._folder, self._split, self._image_key = folder, split, image_key

    def records(self) -> Any:
        """A sequence of {feature: value}."""
        return _opened(self._folder, self._split, self._image_key)

    def read(self, rows: Sequence[int]) -> list[bytes | np.ndarray]:
        return [record[self._image_key] for record in self.records().__getitems__(list(rows))]

    def name(self, row: int) -> str:
        return f"{Path(self._folder).parent.name} {self._split}[{row}]"


@functools.lru_cache(maxsize=8)
def _opened(folder: str, split: str, image_key: str) -> Any:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    return builder.as_data_source(split=split, decoders={image_key: tfds.decode.SkipDecoding()})


def data_folder(folder: str | None) -> Path:
    """Where prepared datasets lie: the given folder, `TFDS_DATA_DIR`, or TFDS's own default."""
    path = Path(folder or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise InputError(f"config.data.dir={path}: there is no such user; give the folder's whole path") from error


def find_prepared(name: str, root: Path) -> Path | None:
    """ROOT/NAME[/CONFIG]/VERSION of the newest prepared version, or of the one that `name:version` asks for.

    Raises:
      InputError: several configurations are prepared, and the name says none.
    """
    if not re.fullmatch(r"[\w-]+(/[\w.+-]+)?(:[\d.]+)?", name):
        raise InputError(f"'{name}' is no name of a dataset; it must be name, name/config or name:version")
    base, _, version = name.partition(":")
    if not os.path.isdir(root / base):  # which no name is too long for
        return None
    found = [info.parent for info in (root / base).glob(f"{version or '*'}/dataset_info.json")]
    if not found and "/" not in base:
        found = [info.parent for info in (root / base).glob(f"*/{version or '*'}/dataset_info.json")]
        configs = sorted({f"{base}/{folder.parent.name}" for folder in found})
        if len(configs) > 1:
            raise InputError(f"'{name}': several of its configurations are prepared; choose {', '.join(configs)}")
    return max(found, key=lambda folder: [int(n) if n.isdigit() else 0 for n in folder.name.split(".")], default=None)


def check_known(name: str, root: Path) -> None:
    """Raises InputError where TFDS has no dataset of this name."""
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    if name.partition(":")[0].partition("/")[0] not in known:
        here = sorted(path.name for path in root.iterdir() if path.is_dir()) if os.path.isdir(root) else []
        prepared = f"; prepared in {root}: {', '.join(here)}" if here else ""
        raise InputError(f"TFDS has no dataset {name!r}{did_you_mean(name, known)}{prepared}")


def _prepare_command(name: str, root: Path) -> str:
    return start("prepare", f"--dataset={name}", f"--data_dir={root}")


def _fingerprint(folder: Path, times: bool = True) -> str:
    """Changes when a dataset is prepared again with other content under the same name and version.

    Without the times a copy has the same.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        status = path.stat()
        digest.update(f"{path.name} {status.st_size} {stamp(status) if times else ''};".encode())
    digest.update((folder / "dataset_info.json").read_bytes())
    return digest.hexdigest()[:12]


def _feature_names(features: Any, name: str) -> tuple[str, str]:
    import tensorflow_datasets as tfds

    kinds = features.items() if hasattr(features, "items") else ()
    images = [key for key, feature in kinds if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in kinds if isinstance(feature, tfds.features.ClassLabel)]
    labels = ["label"] if "label" in labels else labels
    if len(images) != 1 or len(labels) != 1:
        raise InputError(
            f"config.data.name={name!r}: not an image-classification dataset: it needs one image and one class label, "
            f"and has {', '.join(features) if kinds else 'none'}"
        )
    return images[0], labels[0]


def _image_shape(data: Any, native: Any) -> tuple[int, int, int]:
    size = data.image_size or native[:2]
    if None in size:
        raise InputError(f"config.data.image_size=None: images of {data.name} differ in size; set it, as in 224")
    return int(size[0]), int(size[1]), int(data.channels or (1 if native[2] == 1 else 3))


def _damaged(folder: Path, error: Exception) -> InputError:
    reason = shown(" ".join(str(error).split())[:160])
    return InputError(f"{folder}: this dataset is damaged ({reason}); prepare it again")


def _labels(folder: Path, reader: _Records, label_key: str, key: str, description: str) -> np.ndarray:
    """int32 [N], which takes a pass over all records, once."""

    def read() -> np.ndarray:
        try:
            records = reader.records()
            labels = np.empty(len(records), np.int32)
            with progress_bar(len(records), description, "record") as bar:
                for start in range(0, len(records), _RECORDS_AT_ONCE):
                    indices = list(range(start, min(start + _RECORDS_AT_ONCE, len(records))))
                    labels[indices] = [record[label_key] for record in records.__getitems__(indices)]
                    bar.update(len(indices))
        except Exception as error:  # array_record and the decoders of features raise whatever broken files make them
            raise _damaged(folder, error) from error
        return labels

    return cache.array(f"{key}-labels", read)
