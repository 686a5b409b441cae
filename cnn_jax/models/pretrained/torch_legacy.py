"""PyTorch's format of before 1.6: five pickles one behind the other, then the bytes of the storages.

The pickles are a magic number, the version of the format, facts of the machine, the object, and the keys of the
storages in the order of the file. Each storage is its number of elements (int64) and its bytes; both are little endian
whatever the machine was (`torch/serialization.py`, `_legacy_save`; `torch/csrc/serialization.cpp`).
"""

import mmap
from typing import Any

import numpy as np

from cnn_jax.errors import InputError
from cnn_jax.models.pretrained import unpickler
from cnn_jax.models.pretrained.archive import Archive, make_storage
from cnn_jax.models.pretrained.tensors import Storage
from cnn_jax.models.pretrained.torch_names import NAMES

_MAGIC_NUMBER, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_COUNT = 8  # bytes


def open_legacy(file: mmap.mmap) -> Archive:
    """Reads all but the tensors' bytes.

    Raises:
      InputError: it is another kind of file, damaged, cut short, or asks for more than tensors.
    """
    storages: dict[str, Storage] = {}

    def persistent_load(identity: Any) -> Storage:
        storage = make_storage(identity)
        known = storages.setdefault(storage.key, storage)
        if (known.record_bytes, known.dtype) != (storage.record_bytes, storage.dtype):
            raise InputError("is damaged: a storage is said to have two types or sizes")
        return storage

    file.seek(0)
    if _plain(file) != _MAGIC_NUMBER:
        raise InputError("is a pickle, but no file of torch.save")
    if _plain(file) != _VERSION:
        raise InputError("is of a version of PyTorch's old format that is not known")
    _plain(file)  # facts of the machine, which say nothing of the bytes
    root = unpickler.load(file, NAMES, persistent_load)
    keys = _plain(file)
    if not (isinstance(keys, list) and all(isinstance(key, str) for key in keys) and set(keys) == set(storages)):
        raise InputError("is damaged: its list of storages does not fit its tensors")
    return Archive(root, _records(file, [storages[key] for key in keys]).__getitem__, len(file))


def _plain(file: mmap.mmap) -> Any:
    """A pickle that names nothing."""
    return unpickler.load(file, {}, make_storage)


def _records(file: mmap.mmap, storages: list[Storage]) -> dict[str, np.ndarray]:
    whole, place = np.frombuffer(file, np.uint8), file.tell()
    records = {}
    for storage in storages:
        begin, end = place + _COUNT, place + _COUNT + storage.record_bytes
        if end > len(whole):
            raise InputError(f"is cut short: it has {len(whole):,} bytes, and its tensors end behind byte {end:,}")
        elements = int.from_bytes(whole[place:begin].tobytes(), "little")
        if elements * storage.dtype.itemsize != storage.record_bytes:
            raise InputError("is damaged: a storage has another size than its tensors say")
        records[storage.key] = whole[begin:end]
        place = end
    return records
