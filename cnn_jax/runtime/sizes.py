"""Numbers of bytes: of arrays, and for people."""

import math
from typing import Any


def describe_size(count: float) -> str:
    """Bytes for people, in powers of 1000: '12.3 MB'."""
    import humanize

    return humanize.naturalsize(count, format="%.3g") if math.isfinite(count) else "too much"


def tree_bytes(tree: Any) -> int:
    """Of all arrays, or their shapes, in a tree."""
    import jax  # here, as workers that decode describe sizes, too, and must not start JAX

    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
