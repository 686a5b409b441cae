"""Checksums of what a checkpoint holds: storage that returns another bit than it was given is noticed."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# One unsigned word for one element, or two for one of 64 bits.
_WORDS = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32, 8: jnp.uint32}


def array_checksums(tree: Any) -> dict[str, list[int]]:
    """{name of the leaf: two sums of its bits}; computed where the arrays are, by one program.

    Integers are added modulo 2^32, so that no order of summation, number of devices or platform changes a sum. The
    first sum notices every change within one byte, the second, with weights 1, 3, 5, ..., those that cancel in it.
    """
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in jax.tree.leaves_with_path(tree)]
    sums = np.asarray(_all_sums(jax.tree.leaves(tree)))
    return {name: [int(value) for value in row] for name, row in zip(names, sums, strict=True)}


@jax.jit
def _all_sums(leaves: list[Any]) -> jax.Array:
    return jnp.stack([_sums(jnp.asarray(leaf)) for leaf in leaves])


def _sums(leaf: jax.Array) -> jax.Array:
    if leaf.dtype == jnp.bool_:
        leaf = leaf.astype(jnp.uint8)
    words = jax.lax.bitcast_convert_type(leaf, _WORDS[leaf.dtype.itemsize]).astype(jnp.uint32).ravel()
    weights = 2 * jax.lax.iota(jnp.uint32, words.size) + 1
    return jnp.stack([words.sum(dtype=jnp.uint32), (words * weights).sum(dtype=jnp.uint32)])


def json_checksum(values: Mapping[str, Any]) -> int:
    """The CRC-32 of JSON values."""
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())
