"""YAML as plain values, stricter than PyYAML: no key twice, numbers are numbers, nothing that JSON cannot hold."""

import math
import re
from pathlib import Path
from typing import Any

import yaml

from cnn_jax.errors import InputError

_LARGEST_FILE = 1_000_000  # bytes
_MOST_VALUES = 100_000  # with aliases written out
_DEEPEST = 32
_LARGEST_WHOLE = 2**63
# YAML 1.1 wants a dot and a signed exponent, so that PyYAML, and wandb with it, reads 1e-3 and 1.5e3 as text.
_EXPONENT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")


def read_yaml(path: Path) -> tuple[Any, tuple[str, ...]]:
    """The content of a YAML file, and notes for the user, one line each.

    Raises:
      InputError: the file cannot be read, is no YAML, or repeats a key; the line is named.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise InputError(f"{path}: a sweep file of more than {_LARGEST_FILE:,} bytes is surely another file")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: this sweep file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is no text (UTF-8), so no sweep file") from error
    notes: list[str] = []

    class Loader(_Loader):
        pass

    def exponent(loader: Any, node: Any) -> float:
        notes.append(
            f"{path}, line {node.start_mark.line + 1}: {node.value} is read as a number here, but as text by wandb "
            f"(YAML 1.1); write {_spelled(node.value)}"
        )
        return float(node.value)

    Loader.add_constructor(_Loader.EXPONENT, exponent)
    try:
        content = Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: this is no YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: this is no YAML: {' '.join(str(error).split())}") from error
    return _Plain(path).value(content, "", 0), tuple(notes)


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key that stands twice in one block, and knows numbers with exponents."""

    EXPONENT = "tag:exponent"
    _merged = 0

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen if isinstance(key.value, str) else False:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' stands twice in one block", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: Any) -> None:
        """Merges (`<<: *block`), which grow as aliases do, but while the file is read."""
        super().flatten_mapping(node)
        self._merged += len(node.value)
        if self._merged > _MOST_VALUES:
            raise yaml.constructor.ConstructorError(None, None, "its merges hold too many values", node.start_mark)


_Loader.add_implicit_resolver(_Loader.EXPONENT, re.compile(f"^(?:{_EXPONENT.pattern})$"), list("-+.0123456789"))


class _Plain:
    """Text, numbers, booleans, None, lists and dicts, copied; aliases are counted each time they are used."""

    def __init__(self, path: Path):
        self._path, self._count = path, 0

    def value(self, value: Any, where: str, depth: int) -> Any:
        self._count += 1
        if self._count > _MOST_VALUES or depth > _DEEPEST:
            raise InputError(f"{self._path}: this is nested too deeply, or holds too many values, to be a sweep file")
        if isinstance(value, dict):
            return {self._key(key, where): self.value(one, f"{where}{key}.", depth + 1) for key, one in value.items()}
        if isinstance(value, list):
            return [self.value(one, where, depth + 1) for one in value]
        if value is None or isinstance(value, str | bool | int | float):
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{self._path}: {where.rstrip('.')}: {value} is no finite number")
            if isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
                raise InputError(
                    f"{self._path}: {where.rstrip('.')}: a number of {len(str(value))} digits is too large"
                )
            return value
        kind = type(value).__name__
        raise InputError(f"{self._path}: {where.rstrip('.')}: {value} is read as a {kind}; put it in quotes, for text")

    def _key(self, key: Any, where: str) -> str:
        if not isinstance(key, str):
            raise InputError(f"{self._path}: {where}{key}: a key must be text; put it in quotes")
        return key


def _spelled(number: str) -> str:
    """The same number as YAML 1.1 wants it: 1.0e-3."""
    mantissa, exponent = re.split("[eE]", number)
    mantissa = mantissa if "." in mantissa else f"{mantissa}.0"
    sign = exponent if exponent[0] in "+-" else f"+{exponent}"
    return f"{mantissa}e{sign}"
