"""The `parameters` of a sweep file: blocks of arguments become distributions, nested ones paths."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from cnn_jax.config.rules import did_you_mean
from cnn_jax.errors import InputError
from cnn_jax.tuning.search.distributions import Distribution
from cnn_jax.tuning.sweeps.types import Parameter

_BOUNDS = {"min": None, "max": None}
_NORMAL, _BETA, _STEP = {"mu": 0.0, "sigma": 1.0}, {"a": 1.0, "b": 1.0}, {"q": 1}
# Each kind's arguments with wandb's defaults; None: it must be given.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "constant": {"value": None},
    "categorical": {"values": None, "probabilities": ()},
    "int_uniform": _BOUNDS,
    "uniform": _BOUNDS,
    "q_uniform": _BOUNDS | _STEP,
    "log_uniform": _BOUNDS,
    "log_uniform_values": _BOUNDS,
    "q_log_uniform": _BOUNDS | _STEP,
    "q_log_uniform_values": _BOUNDS | _STEP,
    "inv_log_uniform": _BOUNDS,
    "inv_log_uniform_values": _BOUNDS,
    "normal": _NORMAL,
    "q_normal": _NORMAL | _STEP,
    "log_normal": _NORMAL,
    "q_log_normal": _NORMAL | _STEP,
    "beta": _BETA,
    "q_beta": _BETA | _STEP,
}
_ALIASES = {"categorical_w_probabilities": "categorical"}  # the name in wandb's own schema
_EVERY = sorted({argument for arguments in ARGUMENTS.values() for argument in arguments} | {"distribution"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # what wandb takes for a parameter's name
_LARGEST_LOGARITHM = 80.0  # e^80 is beyond float32


def read_parameters(blocks: Any, path: tuple[str, ...] = ()) -> Iterator[Parameter]:
    """All parameters below a `parameters` block, in the order of the file."""
    where = ".".join(path) or "parameters"
    if not isinstance(blocks, Mapping) or not blocks:
        raise InputError(f"{where}: there must be a block of parameters, each with a value, values or min and max")
    for name, block in blocks.items():
        if not _NAME.fullmatch(name):
            raise InputError(f"{where}: '{name}' is no parameter's name; they are like config.optimizer.learning_rate")
        here = (*path, name)
        if isinstance(block, Mapping) and "parameters" in block:
            if others := sorted(block.keys() - {"parameters"}):
                raise InputError(f"{'.'.join(here)}: nested parameters stand alone; take out {', '.join(others)}")
            yield from read_parameters(block["parameters"], here)
        else:
            yield Parameter(here, read_distribution(".".join(here), block))


def read_distribution(name: str, block: Any) -> Distribution:
    """One parameter's block; where `distribution` is left out it is inferred as wandb does.

    Raises:
      InputError: an argument is unknown, missing or out of range; the line begins with the parameter's name.
    """
    if not isinstance(block, Mapping):
        _refuse(name, f"{block!r} is no block; write `value: {block}` for a constant, or values, or min and max")
    kind = _kind(name, block)
    known = ARGUMENTS[kind]
    for argument in block:
        if argument not in known and argument != "distribution":
            hint = did_you_mean(argument, known)
            _refuse(name, f"the distribution '{kind}' has no '{argument}'{hint}; it has {', '.join(known)}")
    for argument, default in known.items():
        if default is None and argument not in block:
            _refuse(name, f"the distribution '{kind}' needs '{argument}'; it has {', '.join(known)}")
    if kind == "constant":
        return Distribution(kind, (block["value"],))
    if kind == "categorical":
        return Distribution(kind, *_categorical(name, block))
    numbers = {argument: block.get(argument, default) for argument, default in known.items()}
    for argument, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            _refuse(name, f"{argument}={value!r} is not a number")
    distribution = Distribution(kind, **numbers)
    _check_numbers(name, distribution, numbers)
    return distribution


def _kind(name: str, block: Mapping[str, Any]) -> str:
    if "distribution" in block:
        kind = str(block["distribution"])
        kind = _ALIASES.get(kind, kind)
        if kind not in ARGUMENTS:
            _refuse(name, f"there is no distribution '{kind}'{did_you_mean(kind, ARGUMENTS)}; {', '.join(ARGUMENTS)}")
        return kind
    for argument in block:
        if argument not in _EVERY:
            _refuse(name, f"there is no argument '{argument}'{did_you_mean(argument, [*_EVERY, 'parameters'])}")
    given = [argument for argument in ("value", "values", "min", "max") if argument in block]
    if given == ["value"]:
        return "constant"
    if given == ["values"]:
        return "categorical"
    if given == ["min", "max"] and "q" not in block:
        whole = all(isinstance(block[bound], int) and not isinstance(block[bound], bool) for bound in given)
        return "int_uniform" if whole else "uniform"
    if given and given != ["min", "max"]:
        _refuse(name, f"{', '.join(given)}: there must be exactly one of value, values, or min and max")
    _refuse(name, "say which distribution it has, as in `distribution: q_uniform`, or give value, values, or min, max")


def _categorical(name: str, block: Mapping[str, Any]) -> tuple[tuple[Any, ...], tuple[float, ...] | None]:
    values = block["values"]
    if not isinstance(values, list) or not values:
        _refuse(name, f"values={values!r}: it must be a list of at least one value")
    if "probabilities" not in block:
        return tuple(values), None
    shares = block["probabilities"]
    numbers = isinstance(shares, list) and all(isinstance(s, int | float) and not isinstance(s, bool) for s in shares)
    if not numbers or any(share < 0 for share in shares):
        _refuse(name, f"probabilities={shares!r}: it must be a list of numbers of at least 0")
    if len(shares) != len(values):
        _refuse(name, f"there are {len(shares)} probabilities for {len(values)} values")
    if abs(math.fsum(shares) - 1) > 1e-6:
        _refuse(name, f"the probabilities sum to {math.fsum(shares):g}, not to 1")
    return tuple(values), tuple(map(float, shares))


def _check_numbers(name: str, distribution: Distribution, numbers: Mapping[str, Any]) -> None:
    kind, low, high = distribution.kind, distribution.min, distribution.max
    for argument in ("q", "sigma", "a", "b"):
        if argument in numbers and numbers[argument] <= 0:
            _refuse(name, f"{argument}={numbers[argument]}: it must be above 0")
    if "min" in numbers:
        if low >= high:
            same = f"; for one value write `value: {low}`" if low == high else ""
            _refuse(name, f"min={low} must be below max={high}{same}")
        if kind == "int_uniform" and not (isinstance(low, int) and isinstance(high, int)):
            _refuse(name, f"min={low} and max={high}: int_uniform is between whole numbers; for others: uniform")
        if kind.endswith("log_uniform_values") and low <= 0:
            _refuse(name, f"min={low}: bounds of {kind} must be above 0")
        if kind.endswith("log_uniform") and max(abs(low), abs(high)) > _LARGEST_LOGARITHM:
            _refuse(name, f"min={low}, max={high}: bounds of {kind} are exponents of e; of values: {kind}_values")
    if kind == "q_normal" or kind == "normal" or "q" not in numbers:
        return
    if not distribution.has_multiples:
        low, high = distribution.bounds
        _refuse(name, f"no multiple of q={distribution.q} lies between {low:g} and {high:g}")


def _refuse(name: str, reason: str) -> NoReturn:
    raise InputError(f"{name}: {reason}")
