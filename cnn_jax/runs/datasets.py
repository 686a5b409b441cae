"""Runs by the data they were trained on: only figures of the same data can be compared."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.runs.comparison import best_run, config_keys, differing_keys
from cnn_jax.runs.directory import MAY_CHANGE
from cnn_jax.runs.noise import Difference, Spread, difference, spread

Record = dict[str, Any]

# Runs that differ in these alone are one config, tried several times.
_REPEATED = ("seed", "data.fold")


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
        return bool([key for key in differing_keys(self.records) if key not in (*_REPEATED, *MAY_CHANGE)])


@dataclasses.dataclass(frozen=True)
class Repeats:
    """Finished runs of one config, with other seeds or folds."""

    records: Sequence[Record]
    spread: Spread

    @property
    def over(self) -> str:
        """'seeds', 'folds', or both."""
        return " and ".join(
            f"{name.rpartition('.')[2]}s" for name in _REPEATED if len({r.get(name) for r in self.records}) > 1
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


def repeats(records: Sequence[Record], metric: str) -> list[Repeats]:
    """Configs of which at least two finished runs differ in their seed or fold alone, as they come in the records."""
    groups: dict[str, dict[tuple[Any, ...], Record]] = {}
    for record in records:
        if record["status"] == "finished" and isinstance(record.get(metric), int | float) and config_keys(record):
            place = tuple(repr(record.get(key)) for key in _REPEATED)
            groups.setdefault(_config(record), {}).setdefault(place, record)
    several = [list(group.values()) for group in groups.values() if len(group) > 1]
    return [Repeats(group, _spread(group, metric)) for group in several]


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


def _spread(records: Sequence[Mapping[str, Any]], metric: str) -> Spread:
    folds = len({record.get("data.fold") for record in records}) > 1
    return spread([float(record[metric]) for record in records], folds)


def _config(record: Mapping[str, Any]) -> str:
    """The same text for runs of one config."""
    left_out = (*_REPEATED, *MAY_CHANGE)
    kept = [(key, repr(value)) for key, value in config_keys(record).items() if key not in left_out]
    return repr(sorted((key, value) for key, value in kept if not key.startswith("tracking.")))
