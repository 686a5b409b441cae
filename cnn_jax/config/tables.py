"""What the tables of names are made of: the config keys of a name, and a lazy reference to the code that takes them.

A target is "module:attribute", imported when it is used, so that `--help` imports no JAX; or the object itself.
"""

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from cnn_jax.config.rules import Key
from cnn_jax.errors import InputError

Target = str | Callable[..., Any]


def resolve(target: Target, keys: Collection[str] = ()) -> Callable[..., Any]:
    """The object that a target names.

    Args:
      target: "module:attribute", or the object.
      keys: what it must take as keyword arguments.

    Raises:
      InputError: it cannot be imported, or does not take the keys.
    """
    found = _imported(target) if isinstance(target, str) else target
    for key in keys:
        try:
            inspect.signature(found).bind_partial(**{key: None})
        except TypeError as error:
            raise InputError(f"{described(target)}: its config has the key '{key}', which it does not take") from error
    return found


def described(target: Target) -> str:
    """ "module:attribute", as people write it."""
    if isinstance(target, str):
        return target
    function = getattr(target, "func", target)  # of a partial
    return f"{function.__module__}:{getattr(function, '__qualname__', type(function).__qualname__)}"


def _imported(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{target}: it cannot be imported ({error}); the folder must be in PYTHONPATH") from error
    return found


class Variant(dict[str, Key]):
    """The keys of one model, optimizer, schedule or loss, and what is built with them.

    Attributes:
      target: what builds it.
      own: those of the keys that are checked against the target's signature.
      stages: of a model: whether remat=stage can take it apart.
    """

    def __init__(
        self, target: Target, keys: Mapping[str, Key] | None = None, own: Collection[str] = (), stages: bool = False
    ):
        super().__init__(keys or {})
        self.target, self.own, self.stages = target, own, stages

    def load(self) -> Callable[..., Any]:
        """What builds it; raises InputError where it cannot be imported or does not take its own keys."""
        return resolve(self.target, self.own)


@dataclasses.dataclass(frozen=True)
class Augmentation(Key):
    """The strength of an operation on images; and the operation, in one of these forms.

    map: (keys, strength) -> matrices; neighbours in the list become one interpolation, with the field behind them.
    field: (keys, (height, width), strength) -> how far each pixel is moved.
    image: (images, keys, strength) -> images.
    image_padded: (images, keys, strength, padding_mode) -> images.
    mix: (images, labels, keys, strength, what finds the next row of the batch) -> (images, labels).
    alternate: (images, draws, the place in the list) -> images.
    """

    target: Target
    form: str = "image"

    def load(self) -> Callable[..., Any]:
        return resolve(self.target)


@dataclasses.dataclass(frozen=True)
class DataSource:
    """What reads the `data` block; `takes` says which of its keys `name` and `dir` mean something there."""

    target: Target
    why: str
    takes: Collection[str] = ()

    def load(self) -> Callable[..., Any]:
        return resolve(self.target)
