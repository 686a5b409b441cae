"""Sweep files: wandb's YAML schema, read and checked.

    sweep = read_sweep("configs/sweeps/digits_quick.yaml")
    check_against_config(sweep, trials=12)
    command(sweep, draw(sweep, seed=0, number=0), interpreter="python")

The keys are those of https://docs.wandb.ai/models/sweeps/sweep-config-keys; the same file serves `wandb sweep` and
`cnn_jax sweep`. Stricter than wandb: an unknown key, a metric that no run logs or a value that no config takes is
an error before the first trial.
"""

import itertools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from cnn_jax.cli.programs import COMMAND
from cnn_jax.config.rules import did_you_mean
from cnn_jax.errors import InputError
from cnn_jax.tuning.search.grids import grid_point, grid_size
from cnn_jax.tuning.search.parameters import read_parameters
from cnn_jax.tuning.sweeps.agent_command import (
    COMMAND_BLOCK,
    DEFAULT_COMMAND,
    check_command,
    command,
    find_program,
    flags,
    is_own_program,
)
from cnn_jax.tuning.sweeps.check import check_against_config
from cnn_jax.tuning.sweeps.types import Metric, Parameter, Stopping, Sweep
from cnn_jax.tuning.sweeps.yaml_reader import read_yaml

__all__ = [
    "Metric", "Parameter", "Stopping", "Sweep", "check_against_config", "command", "flags", "grid_point", "grid_size",
    "read_sweep",
]  # fmt: skip

METHODS = ("grid", "random", "bayes")
_USED = ("program", "method", "metric", "parameters", "early_terminate", "command", "run_cap", "name")
_UNUSED = ("description", "project", "entity", "controller", "apiVersion", "kind", "settings")
_METRIC = ("name", "goal", "target", "impute", "impute_while_running")
_MOST_BANDS = 100
_STOPPING = ("type", "min_iter", "max_iter", "s", "eta", "strict")


def read_sweep(path: str | Path) -> Sweep:
    """Reads a sweep file.

    Raises:
      InputError: one line, which begins with the file's name and says what is wrong and what would be right.
    """
    source = Path(path)
    content, notes = read_yaml(source)
    if not isinstance(content, dict):
        raise InputError(f"{source}: a sweep file is a block of keys: program, method, metric, parameters, ...")
    try:
        return _read(source, content, notes)
    except InputError as error:
        raise InputError(f"{source}: {str(error).removeprefix(f'{source}: ')}") from error


def _read(source: Path, content: Mapping[str, Any], notes: tuple[str, ...]) -> Sweep:
    _known("", content, (*_USED, *_UNUSED))
    program = _text("program", content.get("program"))
    if program is None:
        _refuse("program is missing: which script runs a trial, as in `program: scripts/train.py`")
    if find_program(program) is None and not is_own_program(program):
        hint = f"; write `{COMMAND_BLOCK}`" if program.split()[0] == COMMAND else ""
        _refuse(f"program: {program}: there is no such file, neither here nor beside the package{hint}")
    method = content.get("method")
    if method not in METHODS:
        said = "is missing" if method is None else f"'{method}' is unknown{did_you_mean(method, METHODS)}"
        _refuse(f"method {said}; it must be one of {', '.join(METHODS)}")
    if "parameters" not in content:
        _refuse("parameters are missing: a block of config.KEY names, each with value, values, or min and max")
    parameters = tuple(read_parameters(content["parameters"]))
    twice = [name for name, count in Counter(one.name for one in parameters).items() if count > 1]
    if twice:
        _refuse(f"{twice[0]} is set twice, once inside a nested block")
    words = content.get("command", list(DEFAULT_COMMAND))
    if not isinstance(words, list) or not words or any(isinstance(word, dict | list) for word in words):
        _refuse(f"command: {words!r} is no list of words; the default is {', '.join(DEFAULT_COMMAND)}")
    check_command(source, map(str, words))
    stopping = _stopping(content["early_terminate"]) if "early_terminate" in content else None
    run_cap = content.get("run_cap")
    if run_cap is not None and not _whole(run_cap, 1):
        _refuse(f"run_cap={run_cap!r}: it must be a whole number of at least 1")
    sweep = Sweep(
        source, content, program, method, _metric(content, method), parameters, stopping, tuple(map(str, words)),
        run_cap, _text("name", content.get("name")), (*notes, *_surprises(source, parameters)),
    )  # fmt: skip
    if method == "grid":
        grid_size(sweep)
    return sweep


def _metric(content: Mapping[str, Any], method: str) -> Metric:
    if "metric" not in content:
        asking = "method: bayes" if method == "bayes" else "early_terminate" if "early_terminate" in content else None
        if asking:
            _refuse(f"{asking} needs a metric, as in `metric: {{name: validation_accuracy, goal: maximize}}`")
        return Metric("validation_accuracy", "maximize")
    block = content["metric"]
    if not isinstance(block, Mapping) or not isinstance(block.get("name"), str):
        _refuse("metric needs a name, as in `metric: {name: validation_accuracy, goal: maximize}`")
    _known("metric.", block, _METRIC)
    goal = block.get("goal", "minimize")  # wandb's default
    if goal not in ("minimize", "maximize"):
        _refuse(f"metric.goal={goal!r}: it must be minimize or maximize{did_you_mean(goal, ['minimize', 'maximize'])}")
    target = block.get("target")
    if target is not None and (isinstance(target, bool) or not isinstance(target, int | float)):
        _refuse(f"metric.target={target!r}: it must be a number, the value at which no more trials are begun")
    return Metric(block["name"], goal, target)


def _stopping(block: Any) -> Stopping:
    if not isinstance(block, Mapping):
        _refuse("early_terminate must be a block, as in `early_terminate: {type: hyperband, min_iter: 3}`")
    _known("early_terminate.", block, _STOPPING)
    if block.get("type") != "hyperband":
        _refuse(f"early_terminate.type={block.get('type')!r}: it must be hyperband")
    eta, strict = block.get("eta", 3), block.get("strict", False)
    if isinstance(eta, bool) or not isinstance(eta, int | float) or eta <= 1:
        _refuse(f"early_terminate.eta={eta!r}: it must be above 1")
    if not isinstance(strict, bool):
        _refuse(f"early_terminate.strict={strict!r}: it must be true or false")
    for name in ("min_iter", "max_iter", "s"):
        if name in block and not _whole(block[name], 1):
            _refuse(f"early_terminate.{name}={block[name]!r}: it must be a whole number of at least 1")
    if ("min_iter" in block) == ("max_iter" in block):
        _refuse("early_terminate needs either min_iter, or max_iter and s")
    if ("max_iter" in block) != ("s" in block):
        _refuse("early_terminate.max_iter and s belong together: s times, at max_iter / eta, max_iter / eta^2, ...")
    if block.get("s", 1) > _MOST_BANDS:
        _refuse(f"early_terminate.s={block['s']}: it must be at most {_MOST_BANDS}")
    if "min_iter" in block:
        return Stopping("hyperband", block["min_iter"], None, None, eta, strict)
    every = (int(block["max_iter"] / eta**i) for i in range(1, block["s"] + 1))
    bands = list(itertools.takewhile(lambda band: band >= 1, every))
    if not bands:
        _refuse(f"early_terminate.max_iter={block['max_iter']}: divided by eta={eta} it is below one epoch")
    return Stopping("hyperband", bands[-1], block["max_iter"], block["s"], eta, strict)


def _surprises(source: Path, parameters: tuple[Parameter, ...]) -> tuple[str, ...]:
    """Bounds that look like values, where exponents are wanted."""
    found = [one for one in parameters if one.distribution.kind.endswith("log_uniform")]
    return tuple(
        f"{source}: {one.name}: bounds of {one.distribution.kind} are exponents of e, so values are between "
        "{:.4g} and {:.4g}; ".format(*one.distribution.bounds) + f"else write {one.distribution.kind}_values"
        for one in found if one.distribution.min >= 0
    )  # fmt: skip


def _known(prefix: str, block: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in block:
        if key not in known:
            _refuse(f"there is no key '{prefix}{key}'{did_you_mean(key, known)}; there are {', '.join(known)}")


def _text(key: str, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        _refuse(f"{key}={value!r}: it must be text")
    return value


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _refuse(reason: str) -> NoReturn:
    raise InputError(reason)
