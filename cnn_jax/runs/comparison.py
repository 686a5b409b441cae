"""What runs have in common and what not, from the records of `search`."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.cli.programs import names_in, start
from cnn_jax.config.files import comes_along
from cnn_jax.config.keys import KEYS, VARIANTS
from cnn_jax.config.tree import flatten, load_config, override
from cnn_jax.errors import InputError

_FIGURES = ("validation_accuracy", "validation_loss", "test_accuracy", "test_loss")


def config_keys(record: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a record that is its config."""
    return {name: value for name, value in record.items() if is_config_key(name)}


def is_config_key(name: str) -> bool:
    return name in KEYS or name.partition(".")[0] in VARIANTS


def differing_keys(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The config keys of which these runs have more than one value.

    What only some runs have (the momentum of those with `sgd`) counts where those differ. Where the runs' logs go is
    left out.
    """
    names = dict.fromkeys(name for record in records for name in record)
    keys = [name for name in names if is_config_key(name) and not name.startswith("tracking.")]
    return [key for key in keys if len({repr(record[key]) for record in records if key in record}) > 1]


def is_test_figure(name: str) -> bool:
    """Whether a column holds what a run made of the test split."""
    return name.startswith(("test_", "last_test_")) and name != "test_examples"


def main_figures(records: Sequence[Mapping[str, Any]], metric: str | None = None) -> list[str]:
    """The figures that a table of these runs shows: the metric, and the usual ones that any of them has."""
    usual = [name for name in _FIGURES if any(name in record for record in records)]
    return list(dict.fromkeys([*([metric] if metric else []), *usual]))


def metric_of(record: Mapping[str, Any], metric: str) -> float | None:
    """The run's figure; of a run that has not come to its end, the best one so far."""
    for name in (metric, f"best_{metric}"):
        value = record.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            return float(value)
    return None


def best_run(records: Iterable[dict[str, Any]], metric: str, goal: str) -> dict[str, Any] | None:
    """The finished run with the best finite figure, the first of equal ones; None where there is none."""
    sign = 1 if goal == "maximize" else -1
    able = [record for record in records if record["status"] == "finished" and metric_of(record, metric) is not None]
    able = [record for record in able if abs(metric_of(record, metric) or 0) < float("inf")]
    return max(able, key=lambda record: sign * (metric_of(record, metric) or 0), default=None)


def repeat_command(record: Mapping[str, Any], workdir: str = "runs/again") -> str | None:
    """The command that trains with this run's config again.

    It begins with the config that the run began with where that one comes along, else with the default one; each key
    that differs is a flag. Of a config with names of its own, which only its file knows, the run's own command line is
    repeated; the file is not run here, as a run directory may come from others.

    None where its config is not one of this version, its file is gone, or its data were arrays of a Python program.
    """
    if record.get("data.source") == "arrays":
        return None
    words = _words(record.get("command_line"))
    file = _config_file(words)
    name = f"configs/{Path(file).stem}.py" if file and comes_along(file) else "configs/digits.py"
    wanted = config_keys(record)
    try:
        base = load_config(name)
        changes = [(key, wanted[key]) for key in (f"{block}.name" for block in VARIANTS) if key in wanted]
        changes = [(key, value) for key, value in changes if flatten(base)[key] != value]
        start_from = flatten(override(base, changes))
        override(base, list(wanted.items()))  # what cannot be set is better not advised
    except InputError:
        return _recorded_again(words, file, workdir)
    changes += [
        (key, value)
        for key, value in wanted.items()
        if key not in dict(changes) and start_from.get(key, value) != value
    ]
    flags = [f"--config.{key}={value}" for key, value in changes if not key.startswith("tracking.")]
    return start("train", f"--config={name}", *flags, f"--workdir={workdir}")


def _words(command_line: Any) -> list[str]:
    """The words of a recorded command line; [] where a shell could not read it."""
    try:
        return shlex.split(command_line or "")
    except ValueError:
        return []


def _config_file(words: Sequence[str]) -> str | None:
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if word.startswith("--config="):
            return word.partition("=")[2]
        if word == "--config":
            return following
    return None


def _recorded_again(words: Sequence[str], file: str | None, workdir: str) -> str | None:
    """The recorded command line of a training with another run directory, where its config file is still there."""
    if file is None or comes_along(file) or not Path(file).is_file():
        return None
    if not set(names_in(words)) & {"train.py", "cnn_jax train"}:
        return None
    flags, skip = [], False
    first = next(number for number, word in enumerate(words) if word.startswith("--"))
    for word in words[first:]:
        if not skip and word != "--workdir" and not word.startswith("--workdir="):
            flags.append(word)
        skip = word == "--workdir"
    return start("train", *flags, f"--workdir={workdir}")
