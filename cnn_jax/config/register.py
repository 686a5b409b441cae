"""Names of your own: call these in a config file, or before `default_config`. docs/extending.md has examples.

    register.model("patchnet", PatchNet, keys={"width": Key(16, integer(1), "channels of the first block")})

A target is the class or function itself, or "module:attribute", which is imported when it is built. A key is a
`cnn_jax.config.rules.Key`: its default, its rule and its reason; it is validated, listed and overridden like any other.

Each function raises InputError for a name that exists already (the same target may be registered again: a file may be
read twice), for a key that cannot be used, and for a default that breaks its own rule.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any

from cnn_jax.config import schedule_keys
from cnn_jax.config.augment_keys import AUGMENTATIONS
from cnn_jax.config.keys import KEYS, SOURCES, augment_key, source_key
from cnn_jax.config.model_keys import MODELS
from cnn_jax.config.optimizer_keys import LOSSES, OPTIMIZERS
from cnn_jax.config.optimizer_keys import SHARED as OF_OPTIMIZERS
from cnn_jax.config.rules import Key
from cnn_jax.config.tables import Augmentation, DataSource, Target, Variant, described, resolve
from cnn_jax.errors import InputError

_registered: dict[tuple[str, str], str] = {}  # (kind, name): target


def has_names() -> bool:
    """Whether anything has been registered."""
    return bool(_registered)


def model(name: str, target: Target, keys: Mapping[str, Key] | None = None, stages: bool = False) -> None:
    """A model: `target(num_classes=, compute=, **keys)` is a `cnn_jax.models.Classifier`.

    Args:
      stages: its blocks are wrapped for remat=stage.
    """
    own = _checked("model", name, target, keys, taken=("name", "parent", "num_classes", "compute", "edges", "neck"))
    _add("model", MODELS, name, Variant(target, own, tuple(own), stages))


def optimizer(name: str, target: Target, keys: Mapping[str, Key] | None = None) -> None:
    """An optimizer: `target(rate, mask, weight_decay=, **keys)` is an Optax transformation.

    `rate` is a function of the step; `mask` tells which parameters are decayed. It also has the keys of all optimizers:
    learning_rate and weight_decay, for which `keys` may hold other defaults, clip_norm, and so on.
    """
    shared = [key for key in OF_OPTIMIZERS if key not in ("learning_rate", "weight_decay")]
    given = _checked("optimizer", name, target, keys, taken=("name", *shared, "lookahead_steps", "lookahead_decay"))
    own = {key: entry for key, entry in given.items() if key not in OF_OPTIMIZERS}
    _add("optimizer", OPTIMIZERS, name, Variant(target, OF_OPTIMIZERS | given, (*own, "weight_decay")))


def schedule(name: str, target: Target, keys: Mapping[str, Key] | None = None) -> None:
    """A schedule: `target(base, clock, **keys)` gives the rate as a function of the updates made so far, fit for `jit`.

    `clock.length(duration)` turns a duration of `schedule.unit` into updates; `clock.span` is all of training. It also
    has the keys of all schedules, warm-up among them, and may be part of a SequentialLR.
    """
    own = _checked("schedule", name, target, keys, taken=("name", *schedule_keys.SHARED))
    _add("schedule", schedule_keys.SCHEDULES, name, Variant(target, schedule_keys.SHARED | own, tuple(own)))
    schedule_keys.SIMPLE[name] = Variant(target, own, tuple(own))


def loss(name: str, target: Target, keys: Mapping[str, Key] | None = None) -> None:
    """A loss: `target(logits [B, K], labels, **keys)` gives the loss per example [B].

    Labels are integers [B], or probabilities [B, K] where `augment` mixes examples. Of the keys, `class_weights` (as
    cross_entropy has it) is given as an array [K], or None.
    """
    own = _checked("loss", name, target, keys, taken=("name",))
    _add("loss", LOSSES, name, Variant(target, own, tuple(own)))


def augmentation(name: str, target: Target, strength: Key) -> None:
    """An operation of `augment`: `target(images [B, H, W, C], keys [B], strength)` gives images of the same shape.

    Images are uint8 or float32, in 0..255; each example draws from its own random key.
    """
    own = _checked("augmentation", name, target, {"strength": strength})["strength"]
    _add("augmentation", AUGMENTATIONS, name, Augmentation(own.default, own.rule, own.why, target))
    KEYS["augment"] = augment_key()


def source(name: str, target: Target, why: str = "registered") -> None:
    """A source of data: `target(data)` gives a `cnn_jax.data.Source`; `data` is the config's block.

    It may use data.dir and data.name as it likes.
    """
    _checked("source", name, target)
    _add("source", SOURCES, name, DataSource(target, why, ("name", "dir")))
    KEYS["data.source"] = source_key()


def _checked(
    kind: str, name: str, target: Target, keys: Mapping[str, Key] | None = None, taken: Collection[str] = ()
) -> dict[str, Key]:
    """The keys with their defaults in canonical form."""
    where = f"register.{kind}({name!r})"
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise InputError(f"{where}: a name is made of letters, digits and _")
    if isinstance(target, str) and not re.fullmatch(r"[\w.]+:\w+", target):
        raise InputError(f"{where}: the target {target!r} must be 'module:attribute', or the object itself")
    if not isinstance(target, str) and not callable(target):
        raise InputError(f"{where}: the target {target!r} must be a class or a function, or 'module:attribute'")
    own: dict[str, Key] = {}
    for key, entry in (keys or {}).items():
        if not key.isidentifier() or key in taken:
            raise InputError(f"{where}: a key cannot be called {key!r}; choose another name")
        if not isinstance(entry, Key):
            raise InputError(f"{where}: {key} must be a Key(default, rule, why) of cnn_jax.config.rules")
        try:
            own[key] = dataclasses.replace(entry, default=entry.rule(entry.default))
        except ValueError as error:
            raise InputError(f"{where}: the default of {key} is {entry.default!r}; it {error}") from error
    return own


def _add(kind: str, table: dict[str, Any], name: str, entry: Any) -> None:
    target = described(entry.target)
    if name in table and _registered.get((kind, name)) != target:
        raise InputError(f"register.{kind}({name!r}): there is one of this name already; choose another name")
    if isinstance(entry, Variant) and not isinstance(entry.target, str):
        resolve(entry.target, entry.own)
    _registered[kind, name] = target
    table[name] = entry
