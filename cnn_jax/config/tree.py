"""The configuration: defaults, validation, overrides, files.

A config is an `ml_collections.ConfigDict`; `config.keys` lists every key with its default and its reason.

    config = default_config(model="mlp", optimizer="adamw")
    config.optimizer.learning_rate = 3e-3

This module imports neither JAX nor any other room, so that `--help` and mistakes are quick.
"""

import hashlib
import importlib.util
import json
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ml_collections

from cnn_jax.config.combinations import check_together
from cnn_jax.config.files import find_config
from cnn_jax.config.former_keys import ConfigBlock, announce_former_keys, current_keys
from cnn_jax.config.keys import AUGMENTATIONS, KEYS, SOURCES, VARIANTS
from cnn_jax.config.rules import Key, Rule, choice, did_you_mean
from cnn_jax.errors import InputError

_LONGEST_VALUE = 200  # in an error
_FORMER_SCHEDULES = {
    "step": "StepLR", "multistep": "MultiStepLR", "exponential": "ExponentialLR", "cosine": "CosineAnnealingLR",
    "warmup_cosine": "CosineAnnealingLR", "one_cycle": "OneCycleLR",
}  # fmt: skip


def default_config(
    model: str = "cnn", optimizer: str = "sgd", schedule: str = "constant", loss: str = "cross_entropy"
) -> ml_collections.ConfigDict:
    """The default configuration with the arguments of the named variants. Unknown keys cannot be set on it."""
    flat = {key: entry.default for key, entry in KEYS.items()}
    for block, name in (("model", model), ("optimizer", optimizer), ("schedule", schedule), ("loss", loss)):
        flat |= _variant(block, name)
    return _tree(flat)


def validate(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Returns the config in canonical form (tuples, floats); raises InputError for the first key that is wrong."""
    flat = _current(flatten(config))
    names: dict[str, str] = {}
    for block in VARIANTS:
        if block in flat:
            raise InputError(_not_a_block(block, flat[block]))
        if f"{block}.name" not in flat:
            raise InputError(f"config.{block}.name is missing: it must be one of {', '.join(VARIANTS[block])}")
        names[block] = flat[f"{block}.name"]
    entries = _entries(names)
    for key in flat:
        if key not in entries:
            raise InputError(_unknown_key(key, entries, names))
    for key in entries:
        if key not in flat:
            raise InputError(f"config.{key} is missing: start from cnn_jax.config.default_config()")
    canonical = {key: _check(key, value, entries[key].rule) for key, value in flat.items()}
    check_together(canonical)
    return _tree(canonical)


def override(config: ml_collections.ConfigDict, overrides: Iterable[tuple[str, Any]]) -> ml_collections.ConfigDict:
    """The config with (key, value) pairs applied, then validated.

    A value that is a dict is merged key by key. Another `name` for model, optimizer or schedule brings that variant's
    arguments with their defaults; values of arguments that both variants have are kept.
    """
    changes: dict[str, Any] = {}
    for key, value in overrides:
        if key in VARIANTS and not isinstance(value, Mapping):
            raise InputError(_not_a_block(key, value))
        if value == {}:
            raise InputError(f"config.{key}={{}}: an empty block sets nothing")
        change = {f"{key}.{k}": v for k, v in _flatten(value)} if isinstance(value, Mapping) else {key: value}
        changes |= _current(change)
    flat = _current(flatten(config))
    for block, variants in VARIANTS.items():
        name = changes.get(f"{block}.name", flat.get(f"{block}.name"))
        if name == flat.get(f"{block}.name") or not isinstance(name, str) or name not in variants:
            continue
        fresh = _variant(block, name)
        kept = {key: flat[key] for key in fresh if key in flat and key != f"{block}.name"}
        flat = {key: value for key, value in flat.items() if not key.startswith(f"{block}.")} | fresh | kept
    return validate(_tree(flat | changes))


def load_config(path: str | Path) -> ml_collections.ConfigDict:
    """Runs the `get_config()` of a Python file, which may be given by its name alone; see `files.find_config`.

    Raises:
      InputError: the file does not exist, does not define `get_config`, fails, or sets an unknown key.
    """
    found = find_config(path)
    # The same file has the same name, so that what it registers twice is known to be the same.
    name = f"cnn_jax_config_file_{hashlib.sha256(bytes(found.resolve())).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, found)
    if spec is None or spec.loader is None:
        raise InputError(f"--config={path}: a config is a Python file (.py) that defines get_config()")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        get_config = getattr(module, "get_config", None)
        if get_config is None:
            raise InputError(f"--config={path}: the file does not define get_config()")
        config = get_config()
    except InputError:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:  # whatever the user's own code raises
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(found)]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else "?")
        # ConfigDict lists the whole config behind an unknown key; its first sentence says what is wrong.
        reason = " ".join(str(error.args[0] if error.args else error).partition(" Other fields present")[0].split())
        raise InputError(f"--config={path}, line {line}: {type(error).__name__}: {reason}") from error
    if not isinstance(config, ml_collections.ConfigDict):
        raise InputError(f"--config={path}: get_config() must return a ConfigDict, not {type(config).__name__}")
    return validate(config)


def flatten(config: Mapping[str, Any] | ml_collections.ConfigDict) -> dict[str, Any]:
    """{'optimizer.learning_rate': 0.1, ...}"""
    tree = config.to_dict() if isinstance(config, ml_collections.ConfigDict) else config
    return dict(_flatten(tree))


def to_json(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """The config as nested dicts of JSON values."""
    tree: dict[str, Any] = json.loads(json.dumps(config.to_dict()))
    return tree


def from_json(tree: Mapping[str, Any]) -> ml_collections.ConfigDict:
    """The inverse of `to_json`, validated; keys that did not exist yet when it was saved get their defaults."""
    try:
        flat = _current(flatten(tree))
    except RecursionError as error:
        raise InputError("this config is nested too deeply to be one") from error
    former = flat.get("schedule.name")
    if isinstance(former, str):
        flat["schedule.name"] = _FORMER_SCHEDULES.get(former, former)
        if flat["schedule.name"] == "OneCycleLR":
            flat.setdefault("schedule.cycle_momentum", False)  # such runs left the momentum alone
    _check_registered(flat)
    names = {block: flat.get(f"{block}.name") for block in VARIANTS}
    return validate(_tree({key: entry.default for key, entry in _entries(names).items()} | flat))


def differences(old: ml_collections.ConfigDict, new: ml_collections.ConfigDict) -> dict[str, str]:
    """{key: 'old -> new'} of all keys in which two configs differ."""
    before, after = flatten(old), flatten(new)
    return {
        key: f"{before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key, "absent") != after.get(key, "absent")
    }


def describe() -> str:
    """Every key with its default and its reason, for `--help`."""
    lines = [_described(key, entry) for key, entry in KEYS.items()]
    for block, variants in VARIANTS.items():
        for name, arguments in variants.items():
            lines.append(f"\n{block}.name={name}")
            lines += [_described(f"{block}.{argument}", entry) for argument, entry in arguments.items()]
    lines.append("\naugment: (name, a usual strength) and what the strength means")
    lines += [f"  {f'({name!r}, {entry.default})':<42} {entry.why}" for name, entry in AUGMENTATIONS.items()]
    return "\n".join(lines)


def _current(flat: Mapping[str, Any]) -> dict[str, Any]:
    announce_former_keys(flat)
    return current_keys(flat)


def _not_a_block(block: str, value: Any) -> str:
    return f"config.{block}={value!r}: {block} is a block of keys; its name is set by --config.{block}.name={value}"


def _described(key: str, entry: Key) -> str:
    choices = f" ({', '.join(entry.rule.choices)})" if entry.rule.choices else ""
    return f"  {f'{key}={entry.default}':<42} {entry.why}{choices}"


def _variant(block: str, name: str) -> dict[str, Any]:
    variants = VARIANTS[block]
    arguments = variants[_check(f"{block}.name", name, choice(*variants))]
    return {f"{block}.name": name} | {f"{block}.{key}": entry.default for key, entry in arguments.items()}


def _entries(names: Mapping[str, Any]) -> dict[str, Key]:
    """All keys that a config with these model, optimizer and schedule names has."""
    entries = dict(KEYS)
    for block, name in names.items():
        rule = choice(*VARIANTS[block])
        _check(f"{block}.name", name, rule)
        entries[f"{block}.name"] = Key(name, rule, "")
        entries |= {f"{block}.{key}": entry for key, entry in VARIANTS[block][name].items()}
    return entries


def _check(key: str, value: Any, rule: Rule) -> Any:
    try:
        return rule(value)
    except ValueError as error:
        raise InputError(f"config.{key}={_clipped(value)}: it {error}") from error


def _clipped(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _check_registered(flat: Mapping[str, Any]) -> None:
    """Raises InputError where a saved config has names that are not in the tables (yet)."""
    tables: dict[str, Mapping[str, Any]] = {f"{block}.name": variants for block, variants in VARIANTS.items()}
    tables["data.source"] = SOURCES
    names = [(key, flat.get(key), table) for key, table in tables.items()]
    pipeline = flat.get("augment")
    for pair in pipeline if isinstance(pipeline, list | tuple) else ():
        names.append(("augment", pair[0] if isinstance(pair, list | tuple) and pair else None, AUGMENTATIONS))
    for key, name, table in names:
        if isinstance(name, str) and name not in table:
            raise InputError(
                f"config.{key}={_clipped(name)}: there is no such name{did_you_mean(name, table)}; one of your own "
                f"must be registered first (scripts: --config=FILE, the config file that registers it)"
            )


def _unknown_key(key: str, entries: Mapping[str, Key], names: Mapping[str, str]) -> str:
    key = key[:_LONGEST_VALUE]
    block, _, argument = key.partition(".")
    if block in VARIANTS and argument:
        known = [entry.partition(".")[2] for entry in entries if entry.startswith(f"{block}.")]
        hint = did_you_mean(argument, known)
        return f"config.{key}: the {block} '{names[block]}' has no '{argument}'{hint}; it has {', '.join(known)}"
    if any(entry.startswith(f"{key}.") for entry in entries):
        inside = ", ".join(entry for entry in entries if entry.startswith(f"{key}."))
        return f"config.{key}: this is a block, not a key; in it are {inside}"
    siblings = [entry for entry in entries if entry.startswith(f"{block}.")]
    if not siblings:
        siblings = sorted({entry.partition(".")[0] for entry in entries})
    return f"config.{key}: there is no such key{did_you_mean(key, entries)}; there are {', '.join(siblings)}"


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _tree(flat: Mapping[str, Any]) -> ml_collections.ConfigDict:
    # Types are checked by the rules, with better words; ConfigDict guards the keys.
    config = ConfigBlock(type_safe=False)
    for key, value in flat.items():
        *parents, leaf = key.split(".")
        block = config
        for parent in parents:
            if not isinstance(block.get(parent), ml_collections.ConfigDict):
                block[parent] = ConfigBlock(type_safe=False)
            block = block[parent]
        block[leaf] = value
    return config.lock()
