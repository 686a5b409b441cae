"""Which runs a repeat has, and its directory: `repeat.json`, and a run directory for each seed or fold."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections

from cnn_jax.config.overrides import Pairs
from cnn_jax.config.tree import flatten, override
from cnn_jax.errors import InputError
from cnn_jax.runs.directory import finished_summary, read_run_file
from cnn_jax.runtime.folders import why_no_folder

_MOST = 1000
_OWN = ("repeat.json", "repeat.tmp", "repeat.png")


class Plan(NamedTuple):
    """What differs between the runs.

    Attributes:
      over: "seed" or "fold".
      numbers: of the runs.
      folds: into how many the training data are divided; None for seeds.
    """

    over: str
    numbers: tuple[int, ...]
    folds: int | None = None

    @property
    def names(self) -> dict[str, int]:
        """{run directory: its number}"""
        return {f"{self.over}{number}": number for number in self.numbers}

    def changes(self, number: int) -> Pairs:
        """What the run of this number sets in the config."""
        return [("seed", number)] if self.folds is None else [("data.folds", self.folds), ("data.fold", number)]


def seeds(text: str) -> Plan:
    """The plan of `--seeds`: "5" is 0 to 4, "3,7,11" are these; raises InputError."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(re.fullmatch("[0-9]{1,10}", word) for word in words):
        raise InputError(f"--seeds={text}: it must be how many, as in --seeds=5, or a list, as in --seeds=3,7,11")
    numbers = tuple(map(int, words)) if "," in text else tuple(range(min(int(text), _MOST + 1)))
    if len(set(numbers)) < len(numbers):
        raise InputError(f"--seeds={text}: a seed stands twice; the same seed gives the same run")
    if not 1 <= len(numbers) <= _MOST:
        raise InputError(f"--seeds={text}: it must be from 1 to {_MOST} seeds")
    return Plan("seed", numbers)


def cross_validation(folds: int) -> Plan:
    """The plan of `--folds`; raises InputError."""
    if not 2 <= folds <= _MOST:
        raise InputError(f"--folds={folds}: it must be from 2 to {_MOST}")
    return Plan("fold", tuple(range(folds)), folds)


def check_overrides(plan: Plan, pairs: Pairs) -> None:
    """Raises InputError where the command line sets what the plan sets."""
    given = flatten(dict(pairs))
    for key, _ in plan.changes(0):
        if key in given:
            raise InputError(f"config.{key}={given[key]}: --{plan.over}s sets it for each run; leave it out")


def configs_of(plan: Plan, config: ml_collections.ConfigDict) -> dict[str, ml_collections.ConfigDict]:
    """{run directory: its config}"""
    return {name: override(config, plan.changes(number)) for name, number in plan.names.items()}


def check_directory(plan: Plan, config: ml_collections.ConfigDict, folder: Path) -> None:
    """Raises InputError where the directory holds something else, or runs of another config.

    A run of another config is what `finished_summary` says it is; it names the keys.
    """
    if why := why_no_folder(folder):
        raise InputError(f"--workdir={folder}: {why}; choose another folder")
    others = _others(folder)
    if others and not (folder / "repeat.json").exists():
        raise InputError(f"--workdir={folder}: this folder holds something that is no repeat; choose another one")
    if (folder / "repeat.json").exists():
        before = read_run_file(folder, "repeat.json")
        held, asked = (f"{folds or ''} {over}s".strip() for over, folds in (
            (before.get("over"), before.get("folds")), (plan.over, plan.folds)))  # fmt: skip
        if held != asked and others:
            raise InputError(f"--workdir={folder} holds a repeat over {held}, not {asked}; choose another folder")
    begun = {int(path.name.removeprefix(plan.over)) for path in folder.glob(f"{plan.over}*") if _is_run(path)}
    every = plan._replace(numbers=tuple({**dict.fromkeys(plan.numbers), **dict.fromkeys(sorted(begun))}))
    for name, run in configs_of(every, config).items():
        finished_summary(run, folder / name)


def first_lines(plan: Plan, config: dict[str, Any]) -> dict[str, Any]:
    """What `repeat.json` begins with."""
    return {"over": plan.over, "folds": plan.folds, "config": config}


def command_of(program: Sequence[str], interpreter: str, words: Sequence[str], plan: Plan, number: int) -> list[str]:
    """The command of a run but for its --workdir: a job of several hosts is none for a run that is one of many."""
    flags = [f"--config.{key}={value}" for key, value in plan.changes(number)]
    return [interpreter, *program, "--num_hosts=1", *words, *flags]


def _others(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name not in _OWN] if folder.is_dir() else []


def _is_run(path: Path) -> bool:
    return bool(re.fullmatch("(seed|fold)(0|[1-9][0-9]*)", path.name)) and (path / "config.json").exists()
