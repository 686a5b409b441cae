"""What a command line says about the config: as people write it, and in every form in which a sweep's agent passes it.

    --config.optimizer.learning_rate=0.1        --config.model.filters=[8, 16]     --config.optimizer.nesterov
    --config.optimizer={'learning_rate': 0.1}   --config={'optimizer': {...}}      config.optimizer.nesterov=True
    {"config.optimizer.learning_rate": 0.1}     DIR/config-RUN.json, which holds such an object

The last line is what wandb's macros ${args_json} and ${args_json_file} stand for. wandb adds an empty `_wandb` to the
parameters of a run that it queues again; it is left out.
"""

import ast
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.config.keys import KEYS, VARIANTS
from cnn_jax.errors import InputError

_LARGEST_FILE = 10_000_000  # bytes
_SHOWN = 100  # characters of what was given, in an error
Pairs = list[tuple[str, Any]]


def split(words: Sequence[str]) -> tuple[list[str], Pairs]:
    """The words that do not set keys, in order, and the (key, value) pairs that the others set.

    Raises:
      InputError: JSON or a dictionary is malformed, or names what is no key of the config.
    """
    rest: list[str] = []
    pairs: Pairs = []
    pending = list(words)
    while pending:
        word = pending.pop(0)
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--")
        after_flag = bool(rest) and rest[-1].startswith("--") and "=" not in rest[-1]
        if name == "_wandb" and (equals or flag.startswith("--")):
            if not equals and pending and pending[0].startswith("{"):
                pending.pop(0)
        elif flag.startswith("--config.") or (name.startswith("config.") and equals):
            if not equals:
                value = pending.pop(0) if pending and not pending[0].startswith("--") else "True"
            pairs += parse_overrides([(name.removeprefix("config."), value)])
        elif name == "config" and (value or "".join(pending[:1])).startswith("{"):
            pairs += _tree(value or pending.pop(0))
        elif flag == "config" and equals:
            rest.append(f"--{word}")
        elif not after_flag and word.startswith("{"):
            pairs += _json_pairs(word, "the JSON object")
        elif not after_flag and word.endswith(".json") and not word.startswith("-"):
            pairs += _json_pairs(_read(word), word)
        else:
            rest.append(word)
    return rest, pairs


def parse_overrides(pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Flags' texts as values: Python literals (numbers, tuples, dicts, None, true/false) or else the text itself.

    Text inside a dict is read once more where it is a number: a sweep's agent passes {'learning_rate': '1e-3'} for
    what a YAML file says plainly. Values that are not text stay.
    """
    read: list[tuple[str, Any]] = []
    for key, value in pairs:
        if isinstance(value, str) and (not _is_text(key) or value == "None"):
            value = _literal(value)
        read.append((key, _numbers_read(value, key) if isinstance(value, dict) else value))
    return read


def _numbers_read(block: Mapping[Any, Any], name: str) -> dict[Any, Any]:
    """The same block, with the numbers that are text as numbers, save where the config wants text."""
    read = {}
    for key, value in block.items():
        if isinstance(value, str) and not _is_text(f"{name}.{key}"):
            number = _literal(value)
            value = number if isinstance(number, int | float) else value
        read[key] = value
    return read


def _is_text(key: str) -> bool:
    block, _, argument = key.partition(".")
    entries = [KEYS.get(key), *(keys.get(argument) for keys in VARIANTS.get(block, {}).values())]
    return any(entry is not None and entry.rule.kind == "text" for entry in entries)


def _literal(value: str) -> Any:
    if value.lower() in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[value.lower()]
    for read in (ast.literal_eval, json.loads):
        try:
            return read(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return value


def _tree(text: str) -> Pairs:
    """--config={'optimizer': {'learning_rate': 0.1}}"""
    try:
        tree = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        raise InputError(f"--config={text[:_SHOWN]}: this is neither a file nor a dictionary of the config's blocks")
    return list(_flat(tree, f"--config={text[:_SHOWN]}"))


def _json_pairs(text: str, source: str) -> Pairs:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: {text[:_SHOWN]!r} is no JSON: {error}") from error
    if not isinstance(tree, dict):
        raise InputError(f'{source}: it must be an object, as in {{"config.optimizer.learning_rate": 0.1}}')
    pairs: Pairs = []
    for name, value in tree.items():
        if name == "config" and isinstance(value, dict):
            pairs += _flat(value, source)
        elif name.startswith("config."):
            pairs += _flat({name.removeprefix("config."): value}, source)
        elif name != "_wandb":
            raise InputError(
                f"{source}: '{name}' is no key of the config; they are like config.optimizer.learning_rate"
            )
    return pairs


def _flat(tree: Mapping[Any, Any], source: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if not isinstance(key, str):
            raise InputError(f"{source}: {key!r} is no key of the config")
        yield from parse_overrides([(key, value)])


def _read(path: str) -> str:
    try:
        if Path(path).stat().st_size > _LARGEST_FILE:
            raise InputError(f"{path}: more than {_LARGEST_FILE:,} bytes are no trial's parameters")
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{path}: the parameters cannot be read: {reason}") from error
