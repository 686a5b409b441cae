"""Any image-classification dataset of TFDS that is prepared on disk, read without TensorFlow."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.cache import cached
from cnn_jax.data.images import fit_image, to_8_bit
from cnn_jax.data.splits import Examples, Source
from cnn_jax.errors import InputError
from cnn_jax.progress import command, progress_bar
from cnn_jax.rules import did_you_mean

_DECODE_AT_ONCE = 256


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
    fingerprint = _fingerprint(folder)
    description = json.loads((folder / "dataset_info.json").read_text())
    if description.get("fileFormat", "tfrecord") != "array_record":
        raise InputError(
            f"{folder} is prepared as {description.get('fileFormat', 'tfrecord')}, which needs TensorFlow to read; "
            f"delete it, and run {_prepare_command(data.name, root)}"
        )

    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(folder))
    image_key, label_key = _feature_names(builder.info.features, data.name)
    native = builder.info.features[image_key].shape
    shape = _image_shape(data, native)
    names = tuple(builder.info.features[label_key].names)
    splits: dict[str, Examples] = {}
    for split in ("train", "validation", "test"):
        if split not in builder.info.splits:
            continue
        count = int(builder.info.splits[split].num_examples)

        def fill(images: np.ndarray, labels: np.ndarray, split: str = split) -> None:
            source = builder.as_data_source(split=split)
            _decode(source, image_key, label_key, shape, data.resize, f"decoding {data.name} {split}", images, labels)

        key = f"{builder.info.full_name}-{split}-{shape[0]}x{shape[1]}x{shape[2]}-{data.resize}-{fingerprint}"
        examples = cached(key, count, shape, fill)
        if split == "train" or not np.all(
            examples.labels == -1
        ):  # -1: TFDS's sign for labels that were never published
            splits[split] = examples
    if "train" not in splits:
        raise InputError(f"{data.name} has no split 'train'; it has {', '.join(builder.info.splits)}")
    return Source(builder.info.full_name, names, splits)


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
        here = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
        prepared = f"; prepared in {root}: {', '.join(here)}" if here else ""
        raise InputError(f"TFDS has no dataset {name!r}{did_you_mean(name, known)}{prepared}")


def _prepare_command(name: str, root: Path) -> str:
    return command("scripts/prepare_data.py", f"--dataset={name}", f"--data_dir={root}")


def _fingerprint(folder: Path) -> str:
    """Changes when a dataset is prepared again with other content under the same name and version."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns};".encode())
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


def _decode(
    source: Any, image_key: str, label_key: str, shape: tuple[int, int, int], resize: str, description: str,
    images: np.ndarray, labels: np.ndarray,
) -> None:  # fmt: skip
    from PIL import Image

    with progress_bar(len(source), description, "image") as bar:
        for start in range(0, len(source), _DECODE_AT_ONCE):
            indices = range(start, min(start + _DECODE_AT_ONCE, len(source)))
            for i, record in zip(indices, source.__getitems__(list(indices)), strict=True):
                array = np.asarray(record[image_key])
                if array.shape != shape or array.dtype != np.uint8:
                    pixels = array[..., 0] if array.shape[-1] == 1 else array
                    array = fit_image(to_8_bit(Image.fromarray(pixels)), shape, resize)
                images[i] = array
                labels[i] = record[label_key]
            bar.update(len(indices))
