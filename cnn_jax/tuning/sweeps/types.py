"""What a sweep file says, once it is read."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnn_jax.tuning.search.distributions import Distribution


@dataclasses.dataclass(frozen=True)
class Metric:
    """What trials are compared by: a name of summary.json, and "minimize" or "maximize".

    Once a trial has reached the `target`, no new ones are begun.
    """

    name: str
    goal: str
    target: float | None = None

    def reached(self, value: float | None) -> bool:
        if self.target is None or value is None:
            return False
        return value >= self.target if self.goal == "maximize" else value <= self.target


@dataclasses.dataclass(frozen=True)
class Stopping:
    """Hyperband: after min_iter, min_iter * eta, ... epochs only the best 1/eta of the trials go on.

    With `max_iter` and `s`, the s epochs max_iter / eta, max_iter / eta^2, ... are meant, and `min_iter` is the first.
    """

    kind: str
    min_iter: int
    max_iter: int | None = None
    s: int | None = None
    eta: float = 3
    strict: bool = False


@dataclasses.dataclass(frozen=True)
class Parameter:
    """What one key of the config may be; the path has several elements where the file nests `parameters`."""

    path: tuple[str, ...]
    distribution: Distribution

    @property
    def name(self) -> str:
        """Unique in a sweep, as config.optimizer.learning_rate."""
        return ".".join(self.path)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep file: `content` is all of it, `notes` are lines for the user about what is valid but surprising."""

    source: Path
    content: Mapping[str, Any]
    program: str
    method: str
    metric: Metric
    parameters: tuple[Parameter, ...]
    stopping: Stopping | None
    command: tuple[str, ...]
    run_cap: int | None
    name: str | None
    notes: tuple[str, ...] = ()
