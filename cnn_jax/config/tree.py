"""The configuration: defaults, validation, overrides, files.

A config is an `ml_collections.ConfigDict`; `config.keys` lists every key with its default and its reason.

    config = default_config(model="mlp", optimizer="adamw")
    config.optimizer.learning_rate = 3e-3

This module imports neither JAX nor any other room, so that `--help` and mistakes are quick.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ml_collections

from cnn_jax.config.combinations import check_together
from cnn_jax.config.files import run_config_file
from cnn_jax.config.former_keys import ConfigBlock, announce_former_keys, current_keys
from cnn_jax.config.keys import AUGMENTATIONS, KEYS, SOURCES, VARIANTS
from cnn_jax.config.rules import Key, Rule, choice, did_you_mean
from cnn_jax.config.suggestions import did_you_mean_key, meant_key
from cnn_jax.errors import InputError, reason_of

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
    config = run_config_file(path)
    if not isinstance(config, ml_collections.ConfigDict):
        raise InputError(f"--config={path}: get_config() must return a ConfigDict, not {type(config).__name__}")
    return validate(config)


def flatten(config: Mapping[str, Any] | ml_collections.ConfigDict) -> dict[str, Any]:
    """{'optimizer.learning_rate': 0.1, ...}; raises InputError where a block holds itself, or a key is no text."""
    try:
        return dict(_flatten(config.to_dict() if isinstance(config, ml_collections.ConfigDict) else config))
    except RecursionError as error:
        raise InputError("this config is nested too deeply to be one; does a block hold itself?") from error
    except TypeError as error:  # ConfigDict sorts its keys
        raise InputError(f"the keys of a config must be text ({reason_of(error)})") from error


def to_json(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """The config as nested dicts of JSON values."""
    tree: dict[str, Any] = json.loads(json.dumps(config.to_dict()))
    return tree


def from_json(tree: Mapping[str, Any]) -> ml_collections.ConfigDict:
    """The inverse of `to_json`, validated; keys that did not exist yet when it was saved get their defaults."""
    flat = _current(flatten(tree))
    former = flat.get("schedule.name")
    if isinstance(former, str):
        flat["schedule.name"] = _FORMER_SCHEDULES.get(former, former)
        if flat["schedule.name"] == "OneCycleLR":
            flat.setdefault("schedule.cycle_momentum", False)  # such runs left the momentum alone
    _check_registered(flat)
    names = {block: flat.get(f"{block}.name") for block in VARIANTS}
    return validate(_tree({key: entry.default for key, entry in _entries(names).items()} | flat))


def every_key() -> list[str]:
    """All keys that any config has: `KEYS`, and of each block the name and the arguments of all its variants."""
    own = [f"{block}.{key}" for block, variants in VARIANTS.items() for key in ("name", *_arguments(variants))]
    return [*KEYS, *dict.fromkeys(own)]


def differences(old: ml_collections.ConfigDict, new: ml_collections.ConfigDict) -> dict[str, str]:
    """{key: 'old -> new'} of all keys in which two configs differ."""
    before, after = flatten(old), flatten(new)
    return {
        key: f"{before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key, "absent") != after.get(key, "absent")
    }


def _current(flat: Mapping[str, Any]) -> dict[str, Any]:
    announce_former_keys(flat)
    return current_keys(flat)


def _not_a_block(block: str, value: Any) -> str:
    return f"config.{block}={value!r}: {block} is a block of keys; its name is set by --config.{block}.name={value}"


def _arguments(variants: Mapping[str, Iterable[str]]) -> list[str]:
    return [argument for arguments in variants.values() for argument in arguments]


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
    try:
        text = repr(value)
    except Exception:  # of an object of the user's own
        text = f"<{type(value).__name__}>"
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
        meant = meant_key(key, [f"{block}.{one}" for one in known])
        hint = f" (did you mean '{meant.removeprefix(f'{block}.')}'?)" if meant else did_you_mean(argument, known)
        return f"config.{key}: the {block} '{names[block]}' has no '{argument}'{hint}; it has {', '.join(known)}"
    if any(entry.startswith(f"{key}.") for entry in entries):
        inside = ", ".join(entry for entry in entries if entry.startswith(f"{key}."))
        return f"config.{key}: this is a block, not a key; in it are {inside}"
    siblings = [entry for entry in entries if entry.startswith(f"{block}.")]
    if not siblings:
        siblings = sorted({entry.partition(".")[0] for entry in entries})
    return f"config.{key}: there is no such key{did_you_mean_key(key, entries)}; there are {', '.join(siblings)}"


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
