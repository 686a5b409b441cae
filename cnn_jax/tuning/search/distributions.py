"""The distributions of wandb's sweep schema, each as its inverse cumulative distribution function.

A value is `quantile(u)` of a number u between 0 and 1, so that whoever draws needs uniform numbers only, and a search
model may work on `position(value)`, in which every distribution is uniform.

Bounds of `log_uniform`, `q_log_uniform` and `inv_log_uniform` are exponents of e, as in wandb; those of the kinds whose
names end in `_values` are the values themselves.
"""

import copy
import dataclasses
import functools
import itertools
import json
import math
import statistics
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

LARGEST_GRID = 1_000_000  # values of one parameter that are still enumerated
_LEAST_U, _MOST_U = 2.0**-53, 1 - 2.0**-53


@dataclasses.dataclass(frozen=True)
class Distribution:
    """One distribution; which arguments it has depends on the kind (`tuning.search.parameters` reads and checks them).

    The kinds that begin with `q_` give multiples of q: q * round(X / q), whole numbers where q is one. Where X has
    bounds, only multiples within them are given: what would be rounded to one outside becomes the nearest inside.
    """

    kind: str
    values: tuple[Any, ...] = ()
    probabilities: tuple[float, ...] | None = None
    min: float = 0.0
    max: float = 1.0
    mu: float = 0.0
    sigma: float = 1.0
    a: float = 1.0
    b: float = 1.0
    q: float = 1

    @property
    def is_categorical(self) -> bool:
        return self.kind in ("constant", "categorical")

    @property
    def choices(self) -> tuple[Any, ...]:
        """What a constant or categorical parameter may be, as in the file; of other kinds nothing."""
        return self.values

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest value of X, before it is rounded; infinite for normal kinds."""
        match self.kind.removeprefix("q_"):
            case "log_uniform":
                return math.exp(self.min), math.exp(self.max)
            case "inv_log_uniform":
                return math.exp(-self.max), math.exp(-self.min)
            case "normal":
                return -math.inf, math.inf
            case "log_normal":
                return 0.0, math.inf
            case "beta":
                return 0.0, 1.0
        return self.min, self.max

    @property
    def has_multiples(self) -> bool:
        """Whether a multiple of q lies within the bounds."""
        first, last = self._steps
        return first is None or last is None or first <= last

    def quantile(self, u: float) -> Any:
        """The value below which a share u, 0 < u < 1, of all values lies; plain Python values."""
        u = min(max(u, _LEAST_U), _MOST_U)
        if self.is_categorical:
            return copy.deepcopy(self.values[next(i for i, end in enumerate(self._ends) if u < end)])
        if self.kind == "int_uniform":
            count = int(self.max) - int(self.min) + 1
            return int(self.min) + min(int(u * count), count - 1)
        least, most = self.bounds
        value = min(max(self._inverse(u), least), most)  # rounding errors of exp and log stay within the bounds
        return self._multiple(self._step(value)) if self.kind.startswith("q_") else float(value)

    def position(self, value: Any) -> float:
        """A u with quantile(u) == value: the middle of its step, where the values are discrete.

        Values that are not of the distribution get the position of the nearest one; of the categorical kinds they
        raise ValueError.
        """
        if self.is_categorical:
            index = [_identity(one) for one in self.values].index(_identity(value))
            start, end = (0.0, *self._ends)[index : index + 2]
            return (start + min(end, 1.0)) / 2
        if self.kind == "int_uniform":
            return _inside((value - int(self.min) + 0.5) / (int(self.max) - int(self.min) + 1))
        if not self.kind.startswith("q_"):
            return _inside(self._cumulative(value))
        first, last = self._steps
        step = self._step(value)
        start = 0.0 if step == first else self._cumulative((step - 0.5) * self.q)
        end = 1.0 if step == last else self._cumulative((step + 0.5) * self.q)
        return _inside((start + end) / 2)

    def grid(self) -> tuple[Any, ...] | None:
        """All values once, in order, where they are at most a million; else None."""
        return self._grid

    @functools.cached_property
    def _grid(self) -> tuple[Any, ...] | None:
        if self.is_categorical:
            once: dict[str, Any] = {}
            for value in self.values:
                once.setdefault(_identity(value), value)
            return tuple(once.values())
        if self.kind == "int_uniform":
            numbers: Sequence[int] = range(int(self.min), int(self.max) + 1)
            return tuple(numbers) if len(numbers) <= LARGEST_GRID else None
        if not self.kind.startswith("q_"):
            return None
        first, last = self._steps
        if first is None or last is None or last - first >= LARGEST_GRID:
            return None
        return tuple(self._multiple(step) for step in range(first, last + 1))

    @functools.cached_property
    def _ends(self) -> tuple[float, ...]:
        """Where each value's share of [0, 1] ends; the last end is beyond 1, whatever rounding does."""
        shares = self.probabilities or (1 / len(self.values),) * len(self.values)
        ends = list(itertools.accumulate(shares))
        last = max(i for i, share in enumerate(shares) if share > 0)
        return (*ends[:last], *(math.inf,) * (len(ends) - last))

    @functools.cached_property
    def _steps(self) -> tuple[int | None, int | None]:
        """The first and the last multiple of q within the bounds, as counts of q; None where there is no bound."""
        q = Decimal(repr(self.q))
        least, most = (Decimal(repr(bound)) / q if math.isfinite(bound) else None for bound in self.bounds)
        return (
            None if least is None else int(least.to_integral_value(ROUND_CEILING)),
            None if most is None else int(most.to_integral_value(ROUND_FLOOR)),
        )

    def _step(self, value: float) -> int:
        step = int((Decimal(repr(value)) / Decimal(repr(self.q))).to_integral_value(ROUND_HALF_EVEN))
        first, last = self._steps
        step = step if first is None else max(step, first)
        return step if last is None else min(step, last)

    def _multiple(self, step: int) -> float:
        """In decimal, so that 3 times 0.1 is 0.3."""
        return step * self.q if isinstance(self.q, int) else float(step * Decimal(repr(self.q)))

    def _inverse(self, u: float) -> float:
        match self.kind.removeprefix("q_"):
            case "normal":
                return statistics.NormalDist(self.mu, self.sigma).inv_cdf(u)
            case "log_normal":
                return math.exp(min(statistics.NormalDist(self.mu, self.sigma).inv_cdf(u), 700.0))
            case "beta":
                from scipy.special import betaincinv

                return float(betaincinv(self.a, self.b, u))
            case "uniform":
                return self.min + u * (self.max - self.min)
        least, most = self._logarithms
        return math.exp(least + u * (most - least))

    def _cumulative(self, value: float) -> float:
        """The share of X below a value."""
        least, most = self.bounds
        if value <= least or value >= most:
            return 0.0 if value <= least else 1.0
        match self.kind.removeprefix("q_"):
            case "normal":
                return statistics.NormalDist(self.mu, self.sigma).cdf(value)
            case "log_normal":
                return statistics.NormalDist(self.mu, self.sigma).cdf(math.log(value))
            case "beta":
                from scipy.special import betainc

                return float(betainc(self.a, self.b, value))
            case "uniform":
                return (value - self.min) / (self.max - self.min)
        low, high = self._logarithms
        return (math.log(value) - low) / (high - low)

    @property
    def _logarithms(self) -> tuple[float, float]:
        """Of the bounds of the logarithmic kinds."""
        match self.kind.removeprefix("q_"):
            case "log_uniform":
                return self.min, self.max
            case "inv_log_uniform":  # log(1/X) is uniform between min and max, so log(X) is between -max and -min
                return -self.max, -self.min
        return math.log(self.min), math.log(self.max)


def _identity(value: Any) -> str:
    """Equal for values that are the same in a config: 1 and 1.0, but not 1 and True."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)


def _inside(u: float) -> float:
    return min(max(u, _LEAST_U), _MOST_U)
