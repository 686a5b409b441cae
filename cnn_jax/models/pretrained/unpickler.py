"""Pickles of strangers: plain values, and what a table names; nothing else is made, imported or called.

`pickle.Unpickler` is not used, not even with a `find_class` of one's own: a few bytes make it allocate gigabytes (the
index of a memo), and hash what is nested without end.
"""

import dataclasses
import pickletools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from cnn_jax.errors import InputError, shown

_MOST_OPCODES = 4_000_000  # some 50 a tensor are usual; it bounds what objects can take, at about 64 bytes each
_LONGEST_NAME = 100
_MARK = object()
_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUT, _GET = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}, {"GET", "BINGET", "LONG_BINGET"}


@dataclasses.dataclass(frozen=True)
class Constructor:
    """What stands for a class or function of the pickle. It is called with the pickled arguments.

    Attributes:
      make: the arguments -> the value.
      update: (value, pickled state) -> the value; None where the pickle may set no state.
    """

    make: Callable[..., Any]
    update: Callable[[Any, Any], Any] | None = None


@dataclasses.dataclass(eq=False)
class Built:
    """A value whose state may still come; `value` is what stands in its place in the end."""

    value: Any
    update: Callable[[Any, Any], Any]


def load(stream: Any, names: Mapping[str, Any], persistent_load: Callable[[Any], Any]) -> Any:
    """One pickle of a stream, which is left behind its end.

    Args:
      stream: a binary file, or anything with `read`, `readline` and `tell`.
      names: "module.name" -> what stands for it: a `Constructor`, or a value.
      persistent_load: persistent id -> value; raises InputError for an id that is none.

    Raises:
      InputError: the pickle names something else (the message says what), is damaged, or is cut short.
    """
    machine = _Machine(names, persistent_load)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of escapes in damaged text
            for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
                if count >= _MOST_OPCODES:
                    raise InputError(f"is no file of weights: a pickle of more than {_MOST_OPCODES:,} steps")
                machine.step(opcode.name, argument)
        return machine.pop()
    except InputError:
        raise
    except (ValueError, LookupError, TypeError, OverflowError) as error:  # of pickletools, the stack, the memo
        raise InputError("is damaged or cut short: its pickle cannot be read") from error


def put(target: dict[Any, Any], key: Any, value: Any) -> None:
    """`target[key] = value` for keys that are plain: to hash what is nested deep would end the process."""
    if not _is_plain(key) and not (isinstance(key, tuple) and all(map(_is_plain, key))):
        raise InputError("is damaged: the key of a dict is neither a string nor a number")
    target[key] = value


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self, names: Mapping[str, Any], persistent_load: Callable[[Any], Any]):
        self._names, self._persistent_load = names, persistent_load
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark in the place of a value")
        return value

    def step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            self._stack.append(tuple(reversed([self.pop() for _ in range(_TUPLES[name])])))
        elif name in _PUT:
            self._memo[len(self._memo) if name == "MEMOIZE" else argument] = self._top()
        elif name in _GET:
            self._stack.append(self._memo[argument])
        elif name not in ("PROTO", "FRAME", "STOP"):
            steps = getattr(self, f"_{name.lower()}", None)
            if steps is None:
                raise InputError(f"is no file of weights: its pickle uses {name}, as PyTorch's never do")
            steps(argument)

    def _top(self) -> Any:
        value = self._stack[-1]
        if value is _MARK:
            raise ValueError("a mark in the place of a value")
        return value

    def _pop_to_mark(self) -> list[Any]:
        values = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _mark(self, _: None) -> None:
        self._stack.append(_MARK)

    def _pop(self, _: None) -> None:
        self._stack.pop()

    def _pop_mark(self, _: None) -> None:
        self._pop_to_mark()

    def _dup(self, _: None) -> None:
        self._stack.append(self._top())

    def _tuple(self, _: None) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _list(self, _: None) -> None:
        self._stack.append(self._pop_to_mark())

    def _empty_list(self, _: None) -> None:
        self._stack.append([])

    def _append(self, _: None) -> None:
        self._extend([self.pop()])

    def _appends(self, _: None) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, values: list[Any]) -> None:
        if not isinstance(self._top(), list):
            raise TypeError("no list to append to")
        self._top().extend(values)

    def _empty_dict(self, _: None) -> None:
        self._stack.append({})

    def _dict(self, _: None) -> None:
        items = self._pop_to_mark()
        self._stack.append({})
        self._set(items)

    def _setitem(self, _: None) -> None:
        value, key = self.pop(), self.pop()
        self._set([key, value])

    def _setitems(self, _: None) -> None:
        self._set(self._pop_to_mark())

    def _set(self, items: list[Any]) -> None:
        target = self._top()
        target = target.value if isinstance(target, Built) else target
        if not isinstance(target, dict):
            raise TypeError("no dict to set items of")
        for key, value in zip(items[::2], items[1::2], strict=True):
            put(target, key, value)

    def _global(self, name: str) -> None:
        self._stack.append(self._named(name.replace(" ", ".", 1)))

    def _stack_global(self, _: None) -> None:
        name, module = self.pop(), self.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise TypeError("a name that is no string")
        self._stack.append(self._named(f"{module}.{name}"))

    def _named(self, name: str) -> Any:
        if name not in self._names:
            raise InputError(
                f"is refused: it asks for {shown(name[:_LONGEST_NAME])}, and a file of weights may hold nothing but "
                f"tensors and plain values; save the network's state_dict() alone, or as safetensors"
            )
        return self._names[name]

    def _inst(self, name: str) -> None:
        function = self._named(name.replace(" ", ".", 1))
        self._call(function, self._pop_to_mark())

    def _obj(self, _: None) -> None:
        function, *arguments = self._pop_to_mark()
        self._call(function, arguments)

    def _reduce(self, _: None) -> None:
        arguments, function = self.pop(), self.pop()
        self._call(function, arguments)

    _newobj = _reduce

    def _newobj_ex(self, _: None) -> None:
        keywords, arguments, function = self.pop(), self.pop(), self.pop()
        if keywords != {}:
            raise TypeError("keywords, which no value of a file of weights takes")
        self._call(function, arguments)

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Constructor) or not isinstance(arguments, tuple | list):
            raise TypeError("a call of what cannot be called")
        value = function.make(*map(unwrap, arguments))
        self._stack.append(value if function.update is None else Built(value, function.update))

    def _build(self, _: None) -> None:
        state, target = self.pop(), self._top()
        if not isinstance(target, Built):
            raise TypeError("a state for a value that has none")
        target.value = target.update(target.value, unwrap(state))

    def _persid(self, argument: str) -> None:
        self._stack.append(self._persistent_load(argument))

    def _binpersid(self, _: None) -> None:
        self._stack.append(self._persistent_load(self.pop()))


def unwrap(value: Any) -> Any:
    """What a `Built` stands for; any other value as it is."""
    return value.value if isinstance(value, Built) else value


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bytes)
