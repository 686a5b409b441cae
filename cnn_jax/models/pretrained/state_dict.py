"""The tensors of a file of weights, without the framework that wrote it."""

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cnn_jax.errors import InputError, shown
from cnn_jax.models.pretrained.archive import Archive
from cnn_jax.models.pretrained.safetensors_file import read_safetensors
from cnn_jax.models.pretrained.torch_legacy import open_legacy
from cnn_jax.models.pretrained.torch_zip import open_zip
from cnn_jax.models.pretrained.wrappers import plain_names, select_weights

_NOT_WEIGHTS = {
    b"version https://git-lfs": "is a pointer of Git LFS: fetch the file itself with `git lfs pull`",
    b"<!doctype html": "is a web page, not the file that was to be downloaded",
    b"<html": "is a web page, not the file that was to be downloaded",
    b"\x89hdf\r\n": "is an HDF5 file, as Keras writes it; PyTorch's files and safetensors are read",
}


def read_state_dict(path: str | Path, note: Callable[[str], None] | None = None) -> dict[str, np.ndarray]:
    """All tensors of a file of weights, by name; nothing in the file is executed.

    Both formats of `torch.save` (the zip archive, and the one of before 1.6) and safetensors are read, whatever the
    file is called. Within a checkpoint of training, the weights are found under `state_dict`, `model` or
    `model_state_dict`, and their average (`state_dict_ema`, `model_ema`) is preferred. `module.` and `_orig_mod.` are
    taken off the names.

        weights = read_state_dict("mobilenet_v2-b0353104.pth")
        weights["features.0.0.weight"].shape  # (32, 3, 3, 3): output and input channels, height, width

    Args:
      path: the file.
      note: is told, in one line, which of several sets of weights was read.

    Returns:
      name -> array, in the order of the file. Arrays of PyTorch's files are read-only views of the file in memory: they
      may be strided and not aligned, and two may share bytes; the file must not be overwritten while they are used.

    Raises:
      InputError: the file is missing, damaged, cut short, holds no weights, or asks for anything but tensors, plain
        values, and lists and dicts of them. The message names the file, and what it asked for.
    """
    path = Path(path)
    name = shown(str(path))

    def tell(text: str) -> None:
        if note is not None:
            note(f"{name} {text}")

    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise InputError("is a folder or a device, not a file of weights")
        with open(path, "rb") as file:
            start = file.read(64)
            if not start:
                raise InputError("is empty")
            if _is_safetensors(start):
                return plain_names(read_safetensors(path))
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            archive = _opened(start, file, mapped)
        weights = plain_names(select_weights(archive.root, tell))
        return {key: archive.array(tensor) for key, tensor in weights.items()}
    except InputError as error:
        raise InputError(f"{name} {error}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise InputError(f"{name} cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _is_safetensors(start: bytes) -> bool:
    """8 bytes for the length of the header, which is JSON."""
    return len(start) > 8 and start[8:9] == b"{" and not start.startswith((b"PK", b"\x80"))


def _opened(start: bytes, file: BinaryIO, mapped: mmap.mmap) -> Archive:
    if start.startswith(b"PK"):
        return open_zip(file, mapped)
    if start.startswith(b"\x80"):
        return open_legacy(mapped)
    for begin, what in _NOT_WEIGHTS.items():
        if start.lower().lstrip().startswith(begin):
            raise InputError(what)
    raise InputError("is neither a file of torch.save nor safetensors")
