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
      new: the path of the last layer, where it is that of `variables` and nothing of the file; else None.
    """

    variables: dict[str, Any]
    library: str
    notes: tuple[str, ...] = ()
    new: str | None = None


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
    notes: list[str] = []
    new = None
    made: dict[tuple[str, ...], np.ndarray] = {}
    reshaped: list[str] = []
    for path, array in arrays.items():
        if array.key not in given:
            continue
        value, module, want = given[array.key], "/".join(path[1:-1]), leaves[path]
        if tuple(value.shape) == array.shape:
            made[path] = np.ascontiguousarray(array.rule.to_flax(value), want.dtype)
        elif other_classes and module == names.last and tuple(value.shape[1:]) == array.shape[1:]:
            made[path], new = np.asarray(want), module
            if path[-1] == "kernel":
                notes.append(f"{module} is new: the file has {value.shape[0]} classes, the network {array.shape[0]}")
        elif other_channels and module == names.first and _differ_in_channels(value.shape, array.shape):
            kernel = _with_channels(array.rule.to_flax(value), want.shape[-2])
            made[path] = np.ascontiguousarray(kernel, want.dtype)
            notes.append(f"{module} was fitted to images of {want.shape[-2]} channels; the file is for 3")
        else:
            reshaped.append(f"{array.key} {tuple(value.shape)} for {array.shape}")
    _refuse_rest(name, library, arrays.values(), given, reshaped)
    return Imported(traverse_util.unflatten_dict(made), library, tuple(notes), new)


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


def _differ_in_channels(there: tuple[int, ...], here: tuple[int, ...]) -> bool:
    """[out, 3, height, width] and [out, another number, height, width]."""
    return len(there) == 4 and there[1] == 3 and (there[0], *there[2:]) == (here[0], *here[2:])


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
