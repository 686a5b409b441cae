"""The keys of a config in words, for `--help`: the usual ones, those of a topic, or all."""

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from cnn_jax.config.files import is_config
from cnn_jax.config.keys import AUGMENTATIONS, KEYS, VARIANTS
from cnn_jax.config.rules import Key
from cnn_jax.config.suggestions import did_you_mean_key
from cnn_jax.errors import InputError

# What most people set.
USUAL = (
    "data.source", "data.dir", "data.image_size", "model.name", "optimizer.name", "optimizer.learning_rate",
    "schedule.name", "augment", "batch_size", "num_epochs", "patience", "seed",
)  # fmt: skip
_INDENT = 45
_WIDTH = 120
_MANY = 20


def topics() -> list[str]:
    """What `describe` takes beside "all" and the names of models, optimizers, schedules and losses."""
    blocks = dict.fromkeys(key.partition(".")[0] for key in KEYS if "." in key)
    return ["training", *blocks, *VARIANTS, "augment"]


def describe(topic: str = "all") -> str:
    """Every key of a topic with its default and its reason.

    Args:
      topic: "all"; a block ("data", "model", ...; "training" for the keys that stand in none); "augment"; a model,
        optimizer, schedule or loss by its name; or a key.

    Raises:
      InputError: there is no such topic.
    """
    if topic == "all":
        blocks = [_variant(block, name) for block, variants in VARIANTS.items() for name in variants]
        return "\n\n".join([_lines(KEYS), *blocks, _augmentations()])
    found = [_variant(block, name) for block, variants in VARIANTS.items() for name in variants if block == topic]
    found = found or [_variant(block, topic) for block, variants in VARIANTS.items() if topic in variants]
    if topic == "training":
        found.append(_lines({key: entry for key, entry in KEYS.items() if "." not in key}))
    inside = {key: entry for key, entry in KEYS.items() if key == topic or key.startswith(f"{topic}.")}
    if topic == "augment":
        inside["augment_padding_mode"] = KEYS["augment_padding_mode"]
    if inside:
        found.append(_lines(inside))
    if topic in ("augment", *AUGMENTATIONS):
        found.append(_augmentations())
    if not found and is_config(topic):
        raise InputError(f"--help={topic}: this is no topic but a config; --config={topic} --help shows what it sets")
    if not found:
        hint = did_you_mean_key(topic, [*topics(), *KEYS, *(name for block in VARIANTS.values() for name in block)])
        raise InputError(f"--help={topic[:100]}: there is no such topic{hint}; there are all, {', '.join(topics())}")
    return "\n\n".join(found)


def describe_usual(flat: Mapping[str, Any], source: str) -> str:
    """The keys that most people set, with the values of a flat config, and how to see the others."""
    lines = [f"the usual config keys, set by --config.KEY=VALUE, as {source} has them:"]
    for key in USUAL:
        block = key.removesuffix(".name")
        if block in VARIANTS:
            why = f"{_families(VARIANTS[block])}; --help={block} lists their keys"
        else:
            entry = KEYS.get(key) or VARIANTS["optimizer"][flat["optimizer.name"]]["learning_rate"]
            why = entry.why
        lines.append(_wrapped(f"{key}={flat[key]}", why))
    lines += [
        "", "more keys:",
        _wrapped("--help=BLOCK", f"those of a block: {', '.join(topics())}"),
        _wrapped("--help=NAME", "those of a model, an optimizer or a schedule, as in --help=OneCycleLR"),
        _wrapped("--help=all", "all of them"),
    ]  # fmt: skip
    return "\n".join(lines)


def _families(names: Iterable[str]) -> str:
    """All names; where they are many, the first of each family, which begin with the same letters."""
    names = list(names)
    firsts: dict[str, str] = {}
    for name in names:
        firsts.setdefault(re.sub(r"[\d_].*", "", name), name)
    if len(names) <= _MANY:
        return ", ".join(names)
    return f"{', '.join(firsts.values())} and others, {len(names)} in all"


def _lines(entries: Mapping[str, Key]) -> str:
    return "\n".join(_described(key, entry) for key, entry in entries.items())


def _described(key: str, entry: Key) -> str:
    choices = f" ({', '.join(entry.rule.choices)})" if entry.rule.choices else ""
    return _wrapped(f"{key}={entry.default}", f"{entry.why}{choices}")


def _wrapped(setting: str, why: str) -> str:
    wrapper = textwrap.TextWrapper(_WIDTH, subsequent_indent=" " * _INDENT)
    wrapper.break_long_words = wrapper.break_on_hyphens = False  # it may be pasted
    return wrapper.fill(f"  {setting:<42} {why}")


def _variant(block: str, name: str) -> str:
    own: Iterable[tuple[str, Key]] = VARIANTS[block][name].items()
    return "\n".join([f"{block}.name={name}", *(_described(f"{block}.{key}", entry) for key, entry in own)])


def _augmentations() -> str:
    lines = ["augment: (name, a usual strength) and what the strength means"]
    return "\n".join(
        [*lines, *(_wrapped(f"({name!r}, {entry.default})", entry.why) for name, entry in AUGMENTATIONS.items())]
    )
