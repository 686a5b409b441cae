"""A sweep against the config tree: what a trial would refuse is said before the first one."""

import itertools
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections

from cnn_jax.config.overrides import Pairs, split
from cnn_jax.config.rules import did_you_mean
from cnn_jax.config.schedule_keys import check_warmup
from cnn_jax.config.suggestions import meant_key
from cnn_jax.config.tree import every_key, flatten, load_config, override
from cnn_jax.errors import InputError
from cnn_jax.tuning.search.distributions import Distribution
from cnn_jax.tuning.search.draws import draw
from cnn_jax.tuning.search.grids import grid_point, grid_size
from cnn_jax.tuning.sweeps.agent_command import (
    ARGUMENT_MACROS,
    COMMAND_BLOCK,
    argument_forms,
    environment,
    is_own_command,
    is_own_program,
    nested,
)
from cnn_jax.tuning.sweeps.types import Metric, Sweep

# What summary.json holds to compare trials by, and which way is better.
METRICS = {
    "validation_accuracy": "maximize",
    "validation_loss": "minimize",
    "validation_balanced_accuracy": "maximize",
    "validation_top5_accuracy": "maximize",  # only of more than 5 classes
    "images_per_second": "maximize",
    "wall_seconds": "minimize",
    "parameters": "minimize",
}
_MOST_POINTS, _MOST_DRAWS, _DRAWS = 2_000, 500, 100
_TAIL = 1e-3  # of distributions without bounds, the share on either side that is not looked at
_SHOWN = 200  # characters of a trial's values, in an error
_FROM_TRAINING = ("digits", "synthetic")  # sources whose validation split can only be taken from the training data


def check_against_config(sweep: Sweep, trials: int | None, seed: int = 0) -> None:
    """Checks every parameter, value and combination against the config that `command` names.

    Every choice and both bounds are tried under every combination of names; then the points of the grid (at most
    2,000), or the first `trials` draws of this seed (at most 500). Sweeps of other programs are not checked.

    Raises:
      InputError: one line, which names the key and the trial that a run would refuse.
    """
    if not is_own_program(sweep.program):
        return
    try:
        _check_names(sweep)
        _check_metric(sweep.metric, sweep.stopping is not None)
        config, fixed = _base(sweep)
        macro = _macro(sweep)
    except InputError as error:
        raise InputError(f"{sweep.source}: {error}") from error
    for values in _trials(sweep, trials, seed):
        try:
            _check_trial(sweep, macro, config, fixed, values)
        except InputError as error:
            shown = ", ".join(f"{name}={value}" for name, value in values.items())
            shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
            raise InputError(f"{sweep.source}: {error} (in the trial {shown}){_hint(str(error))}") from error


def _hint(reason: str) -> str:
    surprise = re.search("=(True|False): it must be one of .*(on|off|yes|no)\\b", reason)
    return "; YAML reads on, off, yes and no as true and false: put them in quotes" if surprise else ""


def _check_names(sweep: Sweep) -> None:
    for parameter in sweep.parameters:
        if not f"{parameter.name}.".startswith("config."):
            meant = meant_key(parameter.name, every_key())
            hint = f" (did you mean 'config.{meant}'?)" if meant else ""
            raise InputError(f"{parameter.name}: names of parameters begin with 'config.'{hint}")


def _check_metric(metric: Metric, stops_early: bool) -> None:
    name = metric.name
    if name.startswith("test_"):
        instead = name.replace("test_", "validation_")
        instead = instead if instead in METRICS else "validation_accuracy"
        raise InputError(f"metric: {name}: test data are touched once, at the end; choose trials by {instead}")
    if name not in METRICS:
        raise InputError(f"metric: no run logs '{name}'{did_you_mean(name, METRICS)}; there are {', '.join(METRICS)}")
    if metric.goal != METRICS[name]:
        raise InputError(
            f"metric: goal={metric.goal} (wandb's default is minimize): {name} wants goal: {METRICS[name]}"
        )
    if stops_early and not name.startswith("validation_"):
        raise InputError(f"early_terminate compares trials after each epoch; '{name}' is known at the end only")


def _base(sweep: Sweep) -> tuple[ml_collections.ConfigDict, Pairs]:
    """The config file of the command, and the keys that its other flags set."""
    words = list(sweep.command)
    starts = [i for i, word in enumerate(words) if word == "${program}" or is_own_program(word)]
    if not starts:
        raise InputError(f"command: nothing runs {sweep.program}; add ${{program}}, or name in `program` what it runs")
    begin = starts[0] + 1
    as_file = words[starts[0] - 1 : starts[0]] == ["${interpreter}"] or words[begin : begin + 1] != ["train"]
    if as_file and is_own_command(sweep.program):
        raise InputError(f"command: {sweep.program} is a command, no file for Python; write `{COMMAND_BLOCK}`")
    fixed = [environment(word) for word in words[begin:]]
    rest, pairs = split([word for word in fixed if not (word.startswith("${") and word.endswith("}"))])
    path = "configs/digits.py"
    for i, word in enumerate(rest):
        flag, equals, value = word.partition("=")
        if flag == "--config":
            path = value if equals else rest[i + 1] if i + 1 < len(rest) else path
        if flag == "--workdir":
            raise InputError("command: --workdir would be the same for all trials; leave it out, each gets its own")
        if flag == "--dry_run":
            raise InputError("command: --dry_run trains nothing, so no trial would have a figure")
    swept = {parameter.name.removeprefix("config.") for parameter in sweep.parameters}
    for key in flatten(dict(pairs)):
        if key in swept:
            raise InputError(f"command: --config.{key} is a parameter of the sweep, too")
    return load_config(path), pairs


def _macro(sweep: Sweep) -> str:
    macros = [macro for macro in ARGUMENT_MACROS if f"${{{macro}}}" in sweep.command]
    if not macros:
        raise InputError("command: nothing passes the parameters on; add ${args} at its end")
    return macros[0].removesuffix("_file")


def _check_trial(
    sweep: Sweep, macro: str, config: ml_collections.ConfigDict, fixed: Pairs, values: Mapping[str, Any]
) -> None:
    rest, pairs = split(argument_forms(nested(sweep, values))[macro])
    for word in rest:  # a parameter `config` chooses among files
        config = load_config(word.removeprefix("--config="))
    config = override(config, [*fixed, *pairs])
    check_warmup(config.schedule, config.num_epochs)
    flat = flatten(config)
    if macro == "args_no_boolean_flags":
        for name in (name for name, value in values.items() if value is False):
            if flat.get(name.removeprefix("config."), False) is not False:
                raise InputError(f"{name}=False: ${{{macro}}} passes no False, and the config says True; use ${{args}}")
    if flat["data.validation"] == 0 and flat["data.source"] in _FROM_TRAINING and "validation" in sweep.metric.name:
        raise InputError(f"config.data.validation=0: without validation data no run logs {sweep.metric.name}")


def _trials(sweep: Sweep, trials: int | None, seed: int) -> Iterator[dict[str, Any]]:
    yield from itertools.islice(_one_by_one(sweep), _MOST_POINTS)
    if sweep.method == "grid":
        size = grid_size(sweep)
        points = range(size) if size <= _MOST_POINTS else random.Random(seed).sample(range(size), _MOST_POINTS)
        yield from (grid_point(sweep, number) for number in points)
    else:
        count = min(trials or sweep.run_cap or _DRAWS, _MOST_DRAWS)
        yield from (draw(sweep, seed, number) for number in range(count))


def _one_by_one(sweep: Sweep) -> Iterator[dict[str, Any]]:
    """Under every combination of names, each parameter at each of what is tried of it, the others in the middle."""
    middle = {one.name: _tried(one.distribution)[0] for one in sweep.parameters}
    naming = [one for one in sweep.parameters if one.name.endswith(".name") and one.distribution.is_categorical]
    for chosen in itertools.product(*(one.distribution.choices for one in naming)):
        start = middle | {one.name: value for one, value in zip(naming, chosen, strict=True)}
        yield start
        for one in sweep.parameters:
            if one not in naming:
                yield from ({**start, one.name: value} for value in _tried(one.distribution)[1:])


def _tried(distribution: Distribution) -> list[Any]:
    """Every choice; of numbers one from the middle and both bounds, or what lies far out where there are none."""
    if distribution.is_categorical:
        return list(distribution.choices)
    middle = distribution.quantile(0.5)
    if "normal" in distribution.kind or "beta" in distribution.kind:
        return [middle, distribution.quantile(_TAIL), distribution.quantile(1 - _TAIL)]
    if distribution.kind.startswith("q_") or distribution.kind == "int_uniform":
        return [middle, distribution.quantile(0.0), distribution.quantile(1.0)]
    return [middle, *map(float, distribution.bounds)]
