"""Times that can be compared with each other."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax.cli.text_table import format_table

ROOT = Path(__file__).parents[2]


class Settings(NamedTuple):
    """What a benchmark is told.

    Attributes:
      configs: paths of config files; empty: those that the benchmark has for itself.
      rounds: of which the median is taken.
      photos: a folder of JPEG files, or None.
      torch_python: an interpreter that has PyTorch, or None.
      networks: of those that are compared with other libraries; empty: all.
      seeds: how many whole trainings, each with a seed of its own, of a config.
      output: the folder for pictures.
      page: of the zoo: the file of the page that holds its tables, or None.
      cpu_time: of the zoo: milliseconds that processors have worked, in place of the clock's.
    """

    configs: list[str]
    rounds: int
    photos: str | None = None
    torch_python: str | None = None
    networks: tuple[str, ...] = ()
    seeds: int = 3
    output: str = "runs/benchmark"
    page: str | None = None
    cpu_time: bool = False

    def chosen(self, *names: str) -> list[str]:
        """The configs that were asked for, or else these of configs/, or else all of them."""
        folder = ROOT / "configs"
        return self.configs or [str(folder / name) for name in names] or sorted(map(str, folder.glob("*.py")))


def interleaved(calls: Mapping[str, Callable[[], Any]], rounds: int, least_seconds: float = 0.0) -> dict[str, float]:
    """Median milliseconds of each call.

    All are called once in every round, so that what else the machine does falls on all alike; a first round, which
    compiles, is not counted. Within a round a call is repeated until `least_seconds` have passed.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        _finish(call())
    for _ in range(rounds):
        for name, call in calls.items():
            start, count = time.perf_counter(), 0
            while count == 0 or time.perf_counter() - start < least_seconds:
                _finish(call())
                count += 1
            times[name].append((time.perf_counter() - start) / count * 1e3)
    return {name: float(np.median(values)) for name, values in times.items()}


def spread(values: Sequence[float]) -> list[Any]:
    """Two cells of a table: the median, and the quartiles as text."""
    low, middle, high = np.percentile(values, (25, 50, 75))
    return [float(middle), f"{low:.3g} to {high:.3g}"]


def _finish(values: Any) -> None:
    for leaf in jax.tree.leaves(values):
        leaf.block_until_ready()


def as_text(table: Mapping[str, Any]) -> str:
    """A table {"title", "columns", "rows"} with aligned columns; numbers with three digits."""
    rows = [[_cell(value) for value in row] for row in (table["columns"], *table["rows"])]
    lines = format_table(rows, [False] + [True] * (len(rows[0]) - 1))
    return "\n".join([table["title"], *(f"  {line}" for line in lines)])


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
