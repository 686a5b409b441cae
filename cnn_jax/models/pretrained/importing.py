"""A library's state dict as the variables of a network here: all of it, or none."""

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from cnn_jax.errors import InputError
from cnn_jax.models.pretrained.layouts import LAYOUTS
from cnn_jax.models.pretrained.naming import Array, NameMap, arrays_of, module_paths

_SHOWN = 3  # keys of each kind in a message


@dataclasses.dataclass(frozen=True)
class Imported:
    """What `from_state_dict` made.

    Attributes:
      variables: {"params", "batch_stats"} of NumPy arrays, in the types that the network has.
      library: whose names they had.
      notes: a sentence for each thing that is not as it was in the file.
    """

    variables: dict[str, Any]
    library: str
    notes: tuple[str, ...] = ()


def from_state_dict(
    name: str,
    variables: Mapping[str, Any],
    state_dict: Mapping[str, np.ndarray],
    library: str | None = None,
    *,
    other_classes: bool = False,
    other_channels: bool = False,
) -> Imported:
    """The variables of a network with the values of a PyTorch state dict.

    Each array must have its place and each place its array, of the same shape; `num_batches_tracked` alone is dropped.

    Args:
      name: the network's, as in `model.name`.
      variables: of the network, {"params", "batch_stats"}: arrays, or their shapes where no value is kept.
      state_dict: arrays by key, as the library names and shapes them.
      library: whose names these are; None: told from the keys.
      other_classes: where the last layer has another number of classes, it stays as it is in `variables`.
      other_channels: where the images have not the three channels of the file, the first kernel is fitted to them by
        timm's rule: for one channel the sum over the three, for others the three repeated, times 3 / channels.

    Raises:
      InputError: the network has no published names, the keys are not of such a network, or arrays are missing,
        unexpected or of other shapes: all in one line.
    """
    if library is None:
        library = recognised(name, variables, state_dict)
    names = name_map(name, library, variables)
    arrays = arrays_of(names, variables)
    given = {key: array for key, array in state_dict.items() if not re.fullmatch(names.no_weights, key)}
    leaves = traverse_util.flatten_dict(dict(variables))
    made: dict[tuple[str, ...], np.ndarray] = {}
    notes: dict[str, str] = {}  # of a module
    reshaped: list[str] = []
    for path, array in arrays.items():
        if array.key not in given:
            continue
        module = "/".join(path[1:-1])
        may_differ = other_classes and module == names.last, other_channels and module == names.first
        value, note = _fitted(given[array.key], array, leaves[path], *may_differ)
        if value is None:
            reshaped.append(f"{array.key} {tuple(given[array.key].shape)} for {array.shape}")
        else:
            made[path] = np.array(value, leaves[path].dtype, order="C")
        if note:
            notes[module] = f"{module} {note}"
    _refuse_rest(name, library, arrays.values(), given, reshaped)
    return Imported(traverse_util.unflatten_dict(made), library, tuple(notes.values()))


def _fitted(
    value: np.ndarray, array: Array, leaf: Any, other_classes: bool, other_channels: bool
) -> tuple[np.ndarray | None, str]:
    """The value of a leaf, and what is to be said about it; None where it does not fit."""
    there, here = tuple(value.shape), array.shape
    if there == here:
        return array.rule.to_flax(value), ""
    if other_classes and there[1:] == here[1:]:
        return np.asarray(leaf), f"is new: the weights are for {there[0]} classes, the network for {here[0]}"
    if other_channels and there == (here[0], 3, *here[2:]):
        fitted = _with_channels(array.rule.to_flax(value), here[1])
        return fitted, f"is made for images of {here[1]} channels from weights for 3"
    return None, ""


def recognised(name: str, variables: Mapping[str, Any], keys: Iterable[str]) -> str:
    """The library that has most of these keys for this network.

    Raises:
      InputError: none has any.
    """
    keys = set(keys)
    shared = {library: len(keys & _keys(name, library, variables)) for library in _layouts(name)}
    best = max(shared, key=lambda library: shared[library])
    if shared[best]:
        return best
    known = ", ".join(f"{library} ('{min(_keys(name, library, variables))}')" for library in shared)
    some = ", ".join(f"'{key}'" for key in sorted(keys)[:_SHOWN]) or "no arrays at all"
    raise InputError(f"these are no weights of {name}: they have {some}; known are those of {known}")


def name_map(name: str, library: str, variables: Mapping[str, Any]) -> NameMap:
    """What the library calls the modules of this network; raises InputError where it is not known."""
    layouts = _layouts(name)
    if library not in layouts:
        raise InputError(f"{name}: the names of '{library}' are not known; there are {', '.join(layouts)}")
    return layouts[library](module_paths(variables))


def _layouts(name: str) -> Mapping[str, Any]:
    if name not in LAYOUTS:
        raise InputError(f"no published weights are known for '{name}'; there are some for {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def _keys(name: str, library: str, variables: Mapping[str, Any]) -> set[str]:
    return {array.key for array in arrays_of(name_map(name, library, variables), variables).values()}


def _with_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    """[height, width, 3, out] -> [height, width, channels, out]."""
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    repeated = np.take(kernel, np.arange(channels) % 3, axis=2)
    return repeated * (3 / channels)


def _refuse_rest(
    name: str, library: str, arrays: Collection[Array], given: Mapping[str, Any], reshaped: list[str]
) -> None:
    known = [array.key for array in arrays]
    kinds = {
        "missing": [key for key in known if key not in given],
        "unexpected": sorted(set(given) - set(known)),
        "of another shape": reshaped,
    }
    wrong = [
        f"{len(found)} {kind} ({', '.join(found[:_SHOWN])}{', ...' if len(found) > _SHOWN else ''})"
        for kind, found in kinds.items()
        if found
    ]
    if wrong:
        raise InputError(f"these weights are not {library}'s of {name}: {'; '.join(wrong)}; none is loaded")
