"""Checksums of what a checkpoint holds: storage that returns another bit than it was given is noticed."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np


def array_checksums(tree: Any) -> dict[str, int]:
    """{name of the leaf: the CRC-32 of its bytes}; on the host, where nothing has to be compiled for it first."""
    paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in jax.tree.leaves_with_path(tree)]
    leaves = jax.device_get(jax.tree.leaves(tree))
    return {path: _checksum(np.asarray(leaf)) for path, leaf in zip(paths, leaves, strict=True)}


def _checksum(leaf: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data)


def json_checksum(values: Mapping[str, Any]) -> int:
    """The CRC-32 of JSON values."""
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())
