"""Outlining, the opposite of inlining: what several places read is computed once.

XLA on CPU fuses whatever it deems cheap into each of its readers, and each computes it anew: a training step of a small
CNN took the maximum over the same windows six times. A function that is called, instead of being written out where it
is called, stays one computation, on arrays that are there.
"""

import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata


def outline(function: Callable[..., Any], *arrays: Any, **settings: Hashable) -> Any:
    """function(*arrays, **settings): on CPU a computation of its own, elsewhere left to XLA.

    Outside of `jax.jit` it is compiled anew for each new function: give it one that has a name in its module.
    """
    return _outline(function, tuple(settings.items()), *arrays)


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _outline(function: Callable[..., Any], settings: tuple[tuple[str, Hashable], ...], *arrays: Any) -> Any:
    def written_out(*arrays: Any) -> Any:
        with set_xla_metadata(inlineable=None):  # it says so of this call, not of those within
            return function(*arrays, **dict(settings))

    def called(*arrays: Any) -> Any:
        with set_xla_metadata(inlineable="false"):  # XLA's own word for it; where it is not known, it is only slower
            return jax.jit(written_out)(*arrays)

    return lax.platform_dependent(*arrays, cpu=called, default=written_out)
