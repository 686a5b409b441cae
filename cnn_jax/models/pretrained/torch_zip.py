"""PyTorch's format since 1.6: a zip archive, not compressed, of a pickle and one record a storage.

`NAME/data.pkl` holds the object, `NAME/data/KEY` the bytes of a storage, `NAME/byteorder` their order ("little" where
it is missing); `torch/serialization.py`, `_save`.
"""

import io
import mmap
import struct
import zipfile
import zlib
from typing import BinaryIO

import numpy as np

from cnn_jax.errors import InputError
from cnn_jax.models.pretrained import unpickler
from cnn_jax.models.pretrained.archive import Archive, make_storage
from cnn_jax.models.pretrained.torch_names import NAMES

_LOCAL_HEADER = 30  # bytes in front of the name; the lengths of name and extra field are its last four
_SIGNATURE = b"PK\3\4"
_BYTE_ORDERS = {b"little": False, b"big": True}


def open_zip(file: BinaryIO, mapped: mmap.mmap) -> Archive:
    """Reads all but the tensors' bytes.

    Args:
      file, mapped: the same file twice.

    Raises:
      InputError: it is another kind of archive, damaged, cut short, or asks for more than tensors.
    """
    entries, whole = _entries(file), np.frombuffer(mapped, np.uint8)
    roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise InputError("is a zip archive, but no file of torch.save: it holds no data.pkl")
    (root,) = roots
    if f"{root}constants.pkl" in entries:
        raise InputError("is a TorchScript program, which is code; save the network's state_dict() instead")

    def record(name: str) -> np.ndarray:
        if f"{root}{name}" not in entries:
            raise InputError(f"is damaged: its record {name[:100]!r} is missing")
        return _record(whole, entries[f"{root}{name}"])

    order = record("byteorder").tobytes() if f"{root}byteorder" in entries else b"little"
    if order not in _BYTE_ORDERS:
        raise InputError("is damaged: its byte order is neither 'little' nor 'big'")
    pickled = unpickler.load(io.BytesIO(record("data.pkl").tobytes()), NAMES, make_storage)
    records: dict[str, np.ndarray] = {}

    def storage(key: str) -> np.ndarray:
        if key not in records:  # tensors may share it; its checksum is computed once
            records[key] = record(f"data/{key}")
        return records[key]

    return Archive(pickled, storage, len(whole), _BYTE_ORDERS[order])


def _entries(file: BinaryIO) -> dict[str, zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(file) as archive:
            return {info.filename: info for info in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, LookupError, struct.error) as error:
        raise InputError("is a damaged or cut short zip archive") from error


def _record(whole: np.ndarray, entry: zipfile.ZipInfo) -> np.ndarray:
    """The bytes of an entry, where they lie in the file."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
        raise InputError("is a compressed or encrypted zip archive, as torch.save never writes them; unpack it first")
    header = whole[max(entry.header_offset, 0) :][:_LOCAL_HEADER].tobytes()
    if len(header) < _LOCAL_HEADER or not header.startswith(_SIGNATURE):
        raise InputError("is damaged: a record is not where the archive's index says")
    begin = entry.header_offset + _LOCAL_HEADER + sum(struct.unpack("<HH", header[-4:]))
    found = whole[begin : begin + entry.file_size]
    if len(found) < entry.file_size:
        raise InputError("is cut short: a record ends behind the end of the file")
    if entry.CRC not in (0, zlib.crc32(found.data)):  # 0: it was saved with set_crc32_options(False)
        raise InputError("is damaged: a record does not have the checksum that was saved with it")
    return found
