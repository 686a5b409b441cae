"""The points of a grid sweep, numbered."""

import math
from typing import Any

from cnn_jax.errors import InputError
from cnn_jax.tuning.search.distributions import LARGEST_GRID, Distribution
from cnn_jax.tuning.sweeps.types import Sweep

_IN_GRIDS = ("constant", "categorical", "int_uniform", "q_uniform")  # what wandb accepts


def grid_size(sweep: Sweep) -> int:
    """How many points the grid has: the product of the numbers of different values.

    Raises:
      InputError: a parameter has no values to enumerate; the line names it.
    """
    return math.prod(len(values) for values in _axes(sweep).values())


def grid_point(sweep: Sweep, number: int) -> dict[str, Any]:
    """{parameter name: value} of point `number` of 0, ..., grid_size - 1; the last parameter changes fastest."""
    axes = _axes(sweep)
    point: dict[str, Any] = {}
    for name, values in reversed(axes.items()):
        number, index = divmod(number, len(values))
        point[name] = values[index]
    if number:
        raise IndexError("beyond the end of the grid")
    return {name: point[name] for name in axes}


def _axes(sweep: Sweep) -> dict[str, tuple[Any, ...]]:
    return {one.name: _axis(one.name, one.distribution) for one in sweep.parameters}


def _axis(name: str, distribution: Distribution) -> tuple[Any, ...]:
    kind = distribution.kind
    if kind not in _IN_GRIDS:
        raise InputError(f"{name}: a grid cannot enumerate '{kind}'; give `values`, or choose method random or bayes")
    if distribution.probabilities is not None:
        raise InputError(f"{name}: a grid takes every value once; leave out the probabilities")
    values = distribution.grid()
    if values is None:
        raise InputError(f"{name}: more than {LARGEST_GRID:,} values make no grid; choose method random or bayes")
    return values
