"""A sweep's parameters as coordinates of the unit cube, and back."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnn_jax.tuning.search.distributions import Distribution
from cnn_jax.tuning.search.gaussian_process import Axis, Space
from cnn_jax.tuning.sweeps.types import Parameter, Sweep


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """Parameters that vary have an axis each: in it, every ordered distribution is uniform.

    Categories share their axis evenly: the file's probabilities say what to draw, not what is likely to be good.
    """

    parameters: tuple[Parameter, ...]
    axes: tuple[Parameter, ...]
    space: Space

    @classmethod
    def of(cls, sweep: Sweep) -> "SearchSpace":
        varying = tuple(one for one in sweep.parameters if _count(one.distribution) != 1)
        return cls(sweep.parameters, varying, Space(tuple(_axis(one.distribution) for one in varying)))

    def values(self, point: np.ndarray) -> dict[str, Any]:
        """{parameter name: value} at a point [axes]."""
        at = dict(zip((one.name for one in self.axes), point.tolist(), strict=True))
        found = {}
        for one in self.parameters:
            choices = one.distribution.grid() if one.distribution.is_categorical else None
            if choices is None:
                found[one.name] = one.distribution.quantile(at.get(one.name, 0.5))
            else:
                found[one.name] = choices[min(int(at.get(one.name, 0.0) * len(choices)), len(choices) - 1)]
        return found

    def point(self, values: Mapping[str, Any]) -> np.ndarray:
        """The point [axes] of values; the inverse of `values`."""
        return np.array([_position(one.distribution, values[one.name]) for one in self.axes])


def _axis(distribution: Distribution) -> Axis:
    if distribution.is_categorical:
        return Axis.categorical(_count(distribution) or 1)
    if distribution.kind != "int_uniform" and not distribution.kind.startswith("q_"):
        return Axis()
    levels = distribution.grid()
    snap = np.vectorize(lambda u: distribution.position(distribution.quantile(u)), otypes=[float])
    few = levels is not None and len(levels) <= 4096
    return Axis(0, snap, np.array([distribution.position(level) for level in levels]) if few and levels else None)


def _position(distribution: Distribution, value: Any) -> float:
    choices = distribution.grid() if distribution.is_categorical else None
    if choices is None:
        return distribution.position(value)
    return (index_of(choices, value) + 0.5) / len(choices)


def index_of(choices: Sequence[Any], value: Any) -> int:
    """Where a value stands among choices: 1 is not True, and 1.0 is 1 only where there is no 1.0."""
    alike = [i for i, choice in enumerate(choices) if choice == value]
    same = [i for i in alike if type(choices[i]) is type(value)]
    return (same or [i for i in alike if not isinstance(value, bool) and not isinstance(choices[i], bool)])[0]


def _count(distribution: Distribution) -> int | None:
    """How many values there are; None where they are not enumerated."""
    values = distribution.grid()
    return None if values is None else len(values)
