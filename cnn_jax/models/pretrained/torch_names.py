"""The names that a PyTorch file may ask for, and what is made in their place."""

from typing import Any

from cnn_jax.errors import InputError
from cnn_jax.models.pretrained.tensors import DTYPES, STORAGE_DTYPES, Tensor, make_tensor
from cnn_jax.models.pretrained.unpickler import Constructor, put


def _ordered_dict(items: Any = ()) -> dict[Any, Any]:
    """Python 2 pickled an OrderedDict as a call with a list of pairs."""
    made: dict[Any, Any] = {}
    for key, value in items.items() if isinstance(items, dict) else items:
        put(made, key, value)
    return made


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    return make_tensor(storage, offset, shape, strides)


def _tensor_v2(
    storage: Any, offset: Any, shape: Any, strides: Any, _requires_grad: Any, _hooks: Any, metadata: Any = None
) -> Tensor:
    _refuse_bits(metadata)
    return make_tensor(storage, offset, shape, strides)


def _tensor_v3(
    storage: Any, offset: Any, shape: Any, strides: Any, _requires_grad: Any, _hooks: Any, dtype: Any,
    metadata: Any = None,
) -> Tensor:  # fmt: skip
    """Of dtypes that came after the typed storages, such as uint16."""
    if dtype not in DTYPES.values():
        raise InputError("is damaged: a tensor has no dtype")
    _refuse_bits(metadata)
    return make_tensor(storage, offset, shape, strides, dtype)


def _refuse_bits(metadata: Any) -> None:
    if metadata:
        raise InputError("holds a tensor that is to be conjugated or negated when it is read; save it resolved")


def _parameter(data: Any = None, _requires_grad: Any = True, _hooks: Any = None) -> Any:
    return data


def _with_state(data: Any, state: Any) -> Any:
    """Before PyTorch 0.4 a state might hold the data: (data, gradient, hooks, requires_grad, volatile)."""
    return state[0] if isinstance(state, tuple) and len(state) == 5 else data


def _shape(sizes: Any = ()) -> tuple[Any, ...]:
    return tuple(sizes)


NAMES: dict[str, Any] = {
    # The state of a state_dict is `_metadata`: versions of modules.
    "collections.OrderedDict": Constructor(_ordered_dict, lambda made, state: made),
    "collections.Counter": Constructor(_ordered_dict),  # of MultiStepLR, in training checkpoints
    "torch._utils._rebuild_tensor": Constructor(_tensor),
    "torch._utils._rebuild_tensor_v2": Constructor(_tensor_v2),
    "torch._utils._rebuild_tensor_v3": Constructor(_tensor_v3),
    "torch._utils._rebuild_parameter": Constructor(_parameter),
    "torch.nn.parameter.Parameter": Constructor(_parameter, _with_state),
    "torch.Size": Constructor(_shape),
    "torch.device": Constructor(lambda *place: None),
    **{f"torch.{name}": dtype for name, dtype in DTYPES.items()},
    **{f"torch.{name}Storage": dtype for name, dtype in STORAGE_DTYPES.items()},
    "torch.storage.UntypedStorage": STORAGE_DTYPES["Untyped"],
}
