"""What a PyTorch file holds: an object of dicts and tensors, and the bytes of its storages."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_jax.errors import InputError
from cnn_jax.models.pretrained.tensors import Storage, Tensor, to_array


@dataclasses.dataclass(frozen=True)
class Archive:
    """An opened file.

    Attributes:
      root: dicts, lists, tuples, plain values, and a `Tensor` for each tensor.
      record: key of a storage -> its bytes, uint8 [N], a read-only view of the file.
      size: bytes of the whole file.
    """

    root: Any
    record: Callable[[str], np.ndarray]
    size: int
    is_big_endian: bool = False

    def array(self, tensor: Tensor) -> np.ndarray:
        """Raises InputError where the record is shorter than declared, or the tensor larger than the file."""
        record = self.record(tensor.storage.key)
        if len(record) < tensor.storage.record_bytes:
            raise InputError("is damaged: a storage is shorter than its tensors say")
        if tensor.elements * tensor.dtype.itemsize > self.size:  # strides of 0 repeat elements
            raise InputError(f"holds a tensor of shape {tensor.shape}, larger than the file")
        return to_array(tensor, record, self.is_big_endian)


def make_storage(identity: Any) -> Storage:
    """The storage of a persistent id: ("storage", class, key, location, elements[, view]).

    `view`, in the format of before 1.6 only, is None or (key of the view, offset, elements).

    Raises:
      InputError: it is another id: nothing else is kept outside the pickle in files of weights.
    """
    if isinstance(identity, tuple) and identity[:1] == ("module",):
        raise InputError("is refused: it holds the code of a network; save the network's state_dict() alone")
    if not (isinstance(identity, tuple) and 5 <= len(identity) <= 6 and identity[0] == "storage"):
        raise InputError("is refused: its pickle refers to something that is no storage of a tensor")
    _, dtype, key, _, elements, *view = identity
    if not (isinstance(dtype, np.dtype) and isinstance(key, str) and _is_count(elements)):
        raise InputError("is damaged: a storage has no valid type, key or size")
    start, length = 0, elements
    if view and view[0] is not None:
        match view[0]:
            case (_, int(start), int(length)) if start >= 0 and length >= 0 and start + length <= elements:
                pass
            case _:
                raise InputError("is damaged: a view of a storage does not fit into it")
    size = dtype.itemsize
    return Storage(key, dtype, elements * size, start * size, length * size)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63
