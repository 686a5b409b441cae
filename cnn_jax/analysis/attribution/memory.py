"""How many images fit into memory at once, and functions applied to so many at a time."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.layers import Apply

LIMIT = 256 * 2**20  # bytes
# Operations on single numbers, or of no cost, that a compiler makes parts of those before or behind.
_FUSED = {
    *(
        "add",
        "sub",
        "mul",
        "div",
        "neg",
        "max",
        "min",
        "square",
        "integer_pow",
        "rsqrt",
        "exp",
        "tanh",
        "logistic",
        "erf",
    ),
    *("select_n", "convert_element_type", "broadcast_in_dim", "reshape", "squeeze", "transpose", "copy"),
}


def rows_within(apply: Apply, variables: Any, image_shape: Sequence[int], limit: int = LIMIT) -> int:
    """How many images a gradient takes at once within so many bytes, by an estimate; at least one.

    A gradient keeps, at most, what each operation of the program gives, and as much again on the way back; operations
    on single numbers are parts of others, and keep nothing. What does not grow with the batch, as a kernel that is
    turned, is told apart by tracing with one image and with two.
    """
    one, two = (_bytes_of_outputs(apply, variables, (count, *image_shape)) for count in (1, 2))
    return max(1, limit // (2 * max(two - one, 1)))


def _bytes_of_outputs(apply: Apply, variables: Any, shape: tuple[int, ...]) -> int:
    program = jax.make_jaxpr(apply)(variables, jax.ShapeDtypeStruct(shape, jnp.float32))
    outputs = [
        variable.aval
        for equation in program.jaxpr.eqns
        for variable in equation.outvars
        if equation.primitive.name not in _FUSED
    ]
    return sum(math.prod(each.shape) * each.dtype.itemsize for each in outputs)


def in_chunks(function: Callable[..., Any], size: int, *arrays: np.ndarray) -> Any:
    """function(*arrays), of `size` rows at a time; arrays and outputs have the same number of rows."""
    parts = []
    for rows, kept in chunks(len(arrays[0]), size):
        outputs = function(*(array[rows] for array in arrays))
        parts.append([np.asarray(output)[:kept] for output in jax.tree.leaves(outputs)])
    whole = [np.concatenate(each) for each in zip(*parts, strict=True)]
    return jax.tree.unflatten(jax.tree.structure(outputs), whole)


def chunks(count: int, size: int) -> Iterator[tuple[np.ndarray, int]]:
    """0..count-1 in pieces of `size`, and how many of each count: the last is filled up, so that one program does."""
    size = min(size, count)
    for first in range(0, count, size):
        rows = np.arange(first, first + size)
        yield np.minimum(rows, count - 1), min(size, count - first)
