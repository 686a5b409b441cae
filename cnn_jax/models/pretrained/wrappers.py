"""The weights within what was saved around them: checkpoints of training, and modules around the network."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from cnn_jax.errors import InputError, shown
from cnn_jax.models.pretrained.tensors import Tensor
from cnn_jax.models.pretrained.unpickler import unwrap

# The average of the weights (EMA) is what its trainer evaluated: it comes first.
_AVERAGES = ("state_dict_ema", "model_ema", "model_ema_state_dict", "ema_state_dict")
_WRAPPERS = (*_AVERAGES, "state_dict", "model", "model_state_dict")
_DEEPEST = 3
_MOST_NAMES = 8
_Value = TypeVar("_Value")


def select_weights(root: Any, note: Callable[[str], None]) -> dict[str, Tensor]:
    """The tensors of a network's state_dict, which may lie within a checkpoint.

    Args:
      root: what the file holds.
      note: is told which of several sets of weights was taken.

    Raises:
      InputError: there are none.
    """
    found = unwrap(root)
    for _ in range(_DEEPEST):
        sets = [name for name in _WRAPPERS if isinstance(found, dict) and _holds_dict(found, name)]
        if not sets:
            break
        if sets[0] in _AVERAGES and len(sets) > 1:
            note(f"holds the weights '{sets[1]}' and their average (EMA) '{sets[0]}'; the average is read")
        found = unwrap(found[sets[0]])
    if isinstance(found, dict):
        tensors = {name: unwrap(value) for name, value in found.items() if isinstance(name, str)}
        tensors = {name: value for name, value in tensors.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
    raise InputError(f"holds no weights by name: {_what(found)}")


def plain_names(weights: dict[str, _Value]) -> dict[str, _Value]:
    """Names as the network itself has them: without `module.` of DataParallel, and `_orig_mod.` of torch.compile.

    Raises:
      InputError: two tensors would have one name.
    """
    names = {name: ".".join(part for part in name.split(".") if part != "_orig_mod") for name in weights}
    while (averaged := [name for name in names if names[name] != "n_averaged"]) and all(
        names[name].startswith("module.") for name in averaged
    ):
        # `n_averaged` counts what torch.optim.swa_utils.AveragedModel has averaged.
        names = {name: names[name].removeprefix("module.") for name in averaged}
    if len(set(names.values())) < len(names):
        raise InputError("holds two tensors of one name, with and without '_orig_mod.'")
    return {plain: weights[name] for name, plain in names.items()}


def _holds_dict(found: dict[Any, Any], name: str) -> bool:
    return isinstance(unwrap(found.get(name)), dict)


def _what(found: Any) -> str:
    if isinstance(found, Tensor):
        return f"it is one tensor of shape {found.shape}"
    if not isinstance(found, dict):
        return f"it is a {type(found).__name__}, not a state_dict"
    return f"its entries are {_listed(found)}" if found else "it is an empty dict"


def _listed(names: Iterable[Any]) -> str:
    names = list(names)
    few = ", ".join(f"'{shown(name[:60])}'" if isinstance(name, str) else "..." for name in names[:_MOST_NAMES])
    return few + (f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")
