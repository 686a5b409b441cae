"""The safetensors format, by its own library."""

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from cnn_jax.errors import InputError, shown


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a file.

    Raises:
      InputError: the file is damaged, cut short, or holds a dtype that NumPy does not have.
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            return {name: _tensor(file, name) for name in file.keys()}  # noqa: SIM118 (it has no __iter__)
    except SafetensorError as error:
        raise InputError(f"is a damaged or cut short safetensors file ({shown(str(error))})") from error


def _tensor(file: Any, name: str) -> np.ndarray:
    try:
        array: np.ndarray = file.get_tensor(name)
        return array
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # as the library ends where it knows no dtype
        kind = file.get_slice(name).get_dtype()
        raise InputError(f"holds the tensor '{shown(name[:100])}' of type {kind}, which NumPy does not have") from error
