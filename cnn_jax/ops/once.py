"""What several places read, computed once.

XLA on CPU fuses whatever it deems cheap into each of its readers, and each computes it anew: a training step of a small
CNN took the maximum over the same windows six times. A function that is called, instead of being written out where it
is called, stays one computation, on arrays that are there.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata


def once(function: Callable[..., Any], *arrays: jax.Array) -> Any:
    """function(*arrays): on CPU a computation of its own, elsewhere left to XLA.

    `function` is best made of `jax.lax`: functions of jax.numpy that are compiled ones, such as `where` and `pad`,
    become computations of their own in it.
    """

    def called(*arrays: jax.Array) -> Any:
        with set_xla_metadata(inlineable="false"):  # XLA's own word for it; where it is not known, it is only slower
            return jax.jit(function)(*arrays)

    return lax.platform_dependent(*arrays, cpu=called, default=function)
