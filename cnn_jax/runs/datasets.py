"""Runs by the data they were trained on: only figures of the same data can be compared."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.runs.best_config import Tried, ranked
from cnn_jax.runs.comparison import best_run, config_keys, differing_keys
from cnn_jax.runs.directory import MAY_CHANGE
from cnn_jax.runs.noise import Difference, Spread, difference

Record = dict[str, Any]

# Runs that differ in these alone are one config, tried several times.
REPEATED = ("seed", "data.fold")


@dataclasses.dataclass(frozen=True)
class DataSet:
    """The runs of one data set, in the order in which they were given.

    Attributes:
      name: what the data are called; None where no run says it.
      fingerprint: changes when the data do; None likewise.
    """

    name: str | None
    fingerprint: str | None
    records: Sequence[Record]

    @property
    def title(self) -> str:
        """'digits: 1,294 train, 144 validation, 359 test images (fingerprint 1); 3 runs'"""
        count = f"{len(self.records):,} run{'s' * (len(self.records) != 1)}"
        if self.fingerprint is None:
            return f"data that the runs do not name; {count}"
        sizes = [(split, self._sizes(f"{split}_examples")) for split in ("train", "validation", "test")]
        listed = ", ".join(f"{_range(numbers)} {split}" for split, numbers in sizes if numbers)
        images = f": {listed} images" if listed else ""
        return f"{self.name}{images} (fingerprint {self.fingerprint}); {count}"

    def _sizes(self, name: str) -> list[int]:
        return sorted({int(record[name]) for record in self.records if record.get(name)})

    @property
    def is_search(self) -> bool:
        """Whether several configs were tried on these data: their test figures would choose among them."""
        return bool([key for key in differing_keys(self.records) if key not in (*REPEATED, *MAY_CHANGE)])


@dataclasses.dataclass(frozen=True)
class Repeats:
    """Finished runs of one config, with other seeds or folds; `values` is the metric of each."""

    records: Sequence[Record]
    values: tuple[float, ...]
    metric: str

    @property
    def tried(self) -> Tried:
        more = f", +{len(self.records) - 1}" if len(self.records) > 1 else ""
        return Tried(f"{self.records[0]['run']}{more}", self.values, self.over, self.metric)

    @property
    def spread(self) -> Spread:
        return self.tried.spread

    @property
    def over(self) -> str:
        """'seeds', 'folds', or both."""
        return " and ".join(
            f"{name.rpartition('.')[2]}s" for name in REPEATED if len({r.get(name) for r in self.records}) > 1
        )


def by_data_set(records: Sequence[Record]) -> list[DataSet]:
    """One entry for each fingerprint, those with most runs first; runs that do not say it come last."""
    groups: dict[str | None, list[Record]] = {}
    for record in records:
        groups.setdefault(record.get("fingerprint"), []).append(record)
    found = [
        DataSet(next((str(r["dataset"]) for r in group if r.get("dataset")), None), fingerprint, group)
        for fingerprint, group in groups.items()
    ]
    return sorted(found, key=lambda one: (one.fingerprint is None, -len(one.records)))


def configs_tried(records: Sequence[Record], metric: str) -> list[Repeats]:
    """Every config of a finished run, with its runs that differ in seed or fold alone, as they come in the records."""
    groups: dict[str, dict[tuple[Any, ...], Record]] = {}
    for record in records:
        value = record.get(metric)
        able = record["status"] == "finished" and isinstance(value, int | float) and math.isfinite(value)
        if able and config_keys(record):
            place = tuple(repr(record.get(key)) for key in REPEATED)
            groups.setdefault(_config(record), {}).setdefault(place, record)
    runs = [list(group.values()) for group in groups.values()]
    return [Repeats(group, tuple(float(record[metric]) for record in group), metric) for group in runs]


def repeats(records: Sequence[Record], metric: str) -> list[Repeats]:
    """Those of `configs_tried` with two runs and more."""
    return [one for one in configs_tried(records, metric) if len(one.records) > 1]


def best_config(records: Sequence[Record], metric: str, goal: str) -> Repeats | None:
    """The config with the best mean; None where none was tried with several seeds or folds."""
    found = configs_tried(records, metric)
    if all(len(one.records) == 1 for one in found):
        return None
    by_tried = {one.tried: one for one in found}
    return by_tried[ranked(list(by_tried), goal)[0]]


def against_best(
    data: DataSet, metric: str, goal: str = "maximize", folder: Path | None = None
) -> tuple[Record | None, dict[str, Difference | None]]:
    """The best finished run, and {name of another finished run: how it differs from that}.

    Runs of one config that differ in their seed or fold are not compared: their differences are chance, all of them.
    """
    best = best_run(data.records, metric, goal)
    if best is None or not data.is_search:
        return best, {}
    others = [r for r in data.records if r is not best and r["status"] == "finished" and metric in r]
    return best, {record["run"]: difference(record, best, metric, folder) for record in others}


def _range(numbers: Sequence[int]) -> str:
    """Runs may have divided the same data otherwise."""
    return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"


def _config(record: Mapping[str, Any]) -> str:
    """The same text for runs of one config."""
    left_out = (*REPEATED, *MAY_CHANGE)
    kept = [(key, repr(value)) for key, value in config_keys(record).items() if key not in left_out]
    return repr(sorted((key, value) for key, value in kept if not key.startswith("tracking.")))
