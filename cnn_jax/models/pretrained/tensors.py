"""A tensor of a PyTorch file: where it lies in which storage, and its array."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from cnn_jax.errors import InputError

_MOST_DIMENSIONS = 64  # NumPy's


@dataclasses.dataclass(frozen=True)
class Storage:
    """A stretch of one record of bytes; tensors may share it.

    Attributes:
      key: which record of the file.
      dtype: of its elements, as declared.
      record_bytes: how many bytes the whole record must have.
      start, nbytes: the stretch within the record.
    """

    key: str
    dtype: np.dtype
    record_bytes: int
    start: int
    nbytes: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Elements of a storage; `offset` and `strides` count elements, as PyTorch does."""

    storage: Storage
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def extent(self) -> int:
        """How many elements of the storage lie between the first and the last one that is used."""
        if not self.elements:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))


# What PyTorch calls its dtypes, and its storages of before `UntypedStorage`. NumPy knows no complex32 and no quantized
# ones: a file that holds them is refused by their name.
DTYPES = {
    name: np.dtype(kind)
    for name, kind in {
        "float64": np.float64, "float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16,
        "float8_e4m3fn": ml_dtypes.float8_e4m3fn, "float8_e5m2": ml_dtypes.float8_e5m2,
        "int64": np.int64, "int32": np.int32, "int16": np.int16, "int8": np.int8, "bool": np.bool_,
        "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64,
        "complex64": np.complex64, "complex128": np.complex128,
    }.items()
}  # fmt: skip
STORAGE_DTYPES = {
    name: DTYPES[dtype]
    for name, dtype in {
        "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
        "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
        "ComplexFloat": "complex64", "ComplexDouble": "complex128", "Untyped": "uint8",
    }.items()
}  # fmt: skip


def make_tensor(storage: Any, offset: Any, shape: Any, strides: Any, dtype: np.dtype | None = None) -> Tensor:
    """A tensor that fits into its storage.

    Raises:
      InputError: it does not.
    """
    if not isinstance(storage, Storage):
        raise InputError("is damaged: a tensor has no storage")
    if not (_counts([offset]) and _counts(shape) and _counts(strides) and len(shape) == len(strides)):
        raise InputError("is damaged: a tensor has no valid shape, strides or offset")
    if len(shape) > _MOST_DIMENSIONS:
        raise InputError(f"is damaged: a tensor has {len(shape)} dimensions")
    tensor = Tensor(storage, storage.dtype if dtype is None else dtype, offset, tuple(shape), tuple(strides))
    if tensor.extent and (offset + tensor.extent) * tensor.dtype.itemsize > storage.nbytes:
        raise InputError(f"is damaged: a tensor of shape {tensor.shape} does not fit into its storage")
    return tensor


def to_array(tensor: Tensor, record: np.ndarray, is_big_endian: bool = False) -> np.ndarray:
    """The tensor as an array of its shape. Read only: a view of the record, but a copy where bytes are swapped.

    Args:
      record: uint8 [N], all bytes of the storage's record.

    Raises:
      InputError: NumPy cannot have such a shape.
    """
    size = tensor.dtype.itemsize
    if not tensor.extent:
        try:
            return np.empty(tensor.shape, tensor.dtype)
        except ValueError as error:
            raise InputError(f"is damaged: a tensor has the shape {tensor.shape}") from error
    start = tensor.storage.start + tensor.offset * size
    flat = record[start : start + tensor.extent * size].view(tensor.dtype)
    # The stride of an axis of length 1 is never used, and may be any number.
    strides = [stride * size if n > 1 else size for n, stride in zip(tensor.shape, tensor.strides, strict=True)]
    array = np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)
    return array.byteswap() if is_big_endian else array


def _counts(values: Any) -> bool:
    return isinstance(values, Sequence) and all(type(value) is int and 0 <= value < 2**63 for value in values)
