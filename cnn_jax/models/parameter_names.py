"""Parameters by name ("stage1/block2/conv1/conv/kernel"), and what regular expressions over these names single out."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
from jax import lax

from cnn_jax.errors import InputError

_MAX_NAMES = 6


def parameter_names(params: Any) -> Any:
    """The tree with each leaf's name in its place: its keys from the root on, joined by "/"."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jax.tree_util.keystr(path, simple=True, separator="/"), params
    )


def is_kernel(name: str, parameter: Any) -> bool:
    """Whether it is a matrix or a convolution: not a bias, a scale or the like, nor a table of positions to be added.

    So timm takes it, too (`no_weight_decay`).
    """
    return parameter.ndim > 1 and re.search(r"(^|/)(position_embedding|relative_position_bias)$", name) is None


def frozen(params: Any, pattern: str | None) -> Any:
    """True for the leaves in whose names the pattern is found (`re.search`); None is found in none."""
    return jax.tree.map(
        lambda name: pattern is not None and re.search(pattern, name) is not None, parameter_names(params)
    )


def stop_gradient_frozen(params: Any, pattern: str | None) -> Any:
    """The same values; no gradient flows into those that are frozen, and XLA leaves out what would compute it."""
    return jax.tree.map(lambda leaf, still: lax.stop_gradient(leaf) if still else leaf, params, frozen(params, pattern))


def multiplier(name: str, multipliers: Iterable[tuple[str, float]]) -> float:
    """The factor of the first pattern that is found in the name; 1 where none is."""
    return next((factor for pattern, factor in multipliers if re.search(pattern, name)), 1.0)


def check_patterns(config: Mapping[str, Any], params: Any) -> None:
    """Raises InputError where `freeze` or a pair of `optimizer.rate_multipliers` singles out nothing.

    Args:
      config: with these two keys.
      params: the parameters, or their shapes.
    """
    names = jax.tree.leaves(parameter_names(params))
    pattern = config["freeze"]
    if pattern is not None:
        held = [name for name in names if re.search(pattern, name)]
        if not held:
            raise InputError(f"config.freeze={pattern!r}: it is found in no parameter's name; {_listed(names)}")
        if len(held) == len(names):
            raise InputError(f"config.freeze={pattern!r}: it is found in every name, nothing would be trained; "
                             f"{_listed(names)}")  # fmt: skip
    rest = names
    for pattern, factor in config["optimizer"]["rate_multipliers"]:
        where = f"config.optimizer.rate_multipliers: ({pattern!r}, {factor:g})"
        if not any(re.search(pattern, name) for name in names):
            raise InputError(f"{where} is found in no parameter's name; {_listed(names)}")
        if not any(re.search(pattern, name) for name in rest):
            raise InputError(f"{where} never acts: pairs before it take all in whose names it is found; put it first")
        rest = [name for name in rest if not re.search(pattern, name)]


def _listed(names: list[str]) -> str:
    if len(names) <= _MAX_NAMES:
        return f"there are {', '.join(names)}"
    shown = [*names[: _MAX_NAMES // 2], "...", *names[-_MAX_NAMES // 2 :]]
    return f"there are {len(names)}: {', '.join(shown)}"
