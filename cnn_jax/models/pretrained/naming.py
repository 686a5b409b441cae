"""Which array of a library's state dict is which parameter here.

A layout (`layouts/`) is a function that gives the `NameMap` of a network from the paths of its modules. It says what
the library calls each module; what the arrays of a module are called, and how their axes lie, are rules that all share.
"""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from cnn_jax.models.pretrained import rules
from cnn_jax.models.pretrained.rules import Rule

# A parameter's name here: its name in PyTorch.
_NAMES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
_KERNELS = {2: rules.DENSE, 4: rules.CONVOLUTION}  # by the number of axes


@dataclasses.dataclass(frozen=True)
class NameMap:
    """What a library calls the parts of a network.

    Attributes:
      modules: a path here ("stage1/block1/expand/conv"): the module's key there ("features.2.conv.0.0").
      kernels: the same paths: the rule of a kernel that is not simply that of a convolution or of a dense layer.
      leaves: a parameter's path here: its key there and its rule, where it belongs to no module of `modules`.
      no_weights: a pattern of keys there (matched as a whole) that hold nothing to load.
      first, last: the paths of what other images and other classes change: the first convolution, the last layer.
    """

    modules: Mapping[str, str]
    kernels: Mapping[str, Rule] = dataclasses.field(default_factory=dict)
    leaves: Mapping[str, tuple[str, Rule]] = dataclasses.field(default_factory=dict)
    no_weights: str = r".*\.num_batches_tracked"
    first: str = "stem/conv"
    last: str = "head/logits"


Layout = Callable[[Collection[str]], NameMap]


class Array(NamedTuple):
    """One array of a state dict: its key there, how it is turned, and its shape there."""

    key: str
    rule: Rule
    shape: tuple[int, ...]


def module_paths(variables: Mapping[str, Any]) -> list[str]:
    """Of all modules that have parameters or statistics, block2 before block10."""
    paths = {"/".join(path[1:-1]) for path in traverse_util.flatten_dict(dict(variables))}
    return sorted(paths, key=lambda path: [(text, int(number or 0)) for text, number in _WORDS.findall(path)])


_WORDS = re.compile(r"([^0-9]+)([0-9]*)")


def arrays_of(names: NameMap, variables: Mapping[str, Any]) -> dict[tuple[str, ...], Array]:
    """The path of each leaf of `variables` (arrays or their shapes), and what it is in the state dict.

    Raises:
      ValueError: the map names no such module, or two leaves alike: it is not of this network.
    """
    leaves = traverse_util.flatten_dict(dict(variables))
    found = {path: _array(names, path, leaf.shape) for path, leaf in leaves.items()}
    if len({array.key for array in found.values()}) < len(found):
        raise ValueError("two parameters have the same key")
    return found


def _array(names: NameMap, path: tuple[str, ...], shape: tuple[int, ...]) -> Array:
    module, leaf = "/".join(path[1:-1]), path[-1]
    whole = "/".join(path[1:])
    if whole in names.leaves:
        key, rule = names.leaves[whole]
    elif module in names.modules and leaf in _NAMES:
        key, rule = f"{names.modules[module]}.{_NAMES[leaf]}", rules.AS_IT_IS
        if leaf == "kernel":
            rule = names.kernels.get(module) or _KERNELS[len(shape)]
    else:
        raise ValueError(f"no name is known for {whole}")
    # Nothing is stored: all elements are the same one.
    return Array(key, rule, rule.to_torch(np.broadcast_to(np.float32(0), shape)).shape)
