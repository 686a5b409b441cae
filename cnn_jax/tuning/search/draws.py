"""Random trials that do not depend on the order in which they are drawn."""

import hashlib
from typing import Any

from cnn_jax.tuning.sweeps.types import Sweep


def draw(sweep: Sweep, seed: int, number: int) -> dict[str, Any]:
    """{parameter name: value} of trial `number`: a function of (seed, number, name) alone.

    So any number of workers gives the same trials, and a parameter that is added leaves the others as they were.
    """
    return {one.name: one.distribution.quantile(uniform(seed, number, one.name)) for one in sweep.parameters}


def uniform(seed: int, number: int, name: str) -> float:
    """A number between 0 and 1, both excluded, from the first 52 bits of a SHA-256."""
    digest = hashlib.sha256(f"{seed}/{number}/{name}".encode()).digest()
    return ((int.from_bytes(digest[:8], "big") >> 12) + 0.5) / 2**52
