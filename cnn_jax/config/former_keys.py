"""Keys that once had another name: config files, command lines and stored runs that hold it are understood."""

import functools
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections

FORMER_KEYS = {
    "augment_edges": "augment_padding_mode",
    "eval_views": "eval_tta",
    "model.edges": "model.padding_mode",
    "model.neck": "model.global_pool",
}


def current_keys(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The same values by the names of today; the value of a former name replaces that of its successor."""
    former = {FORMER_KEYS[key]: value for key, value in flat.items() if key in FORMER_KEYS}
    return {key: value for key, value in flat.items() if key not in FORMER_KEYS} | former


def announce_former_keys(flat: Mapping[str, Any]) -> None:
    """Prints a line for each former name, once in a process."""
    for key in flat:
        if key in FORMER_KEYS:
            _announce(f"config.{key} is now config.{FORMER_KEYS[key]}")


@functools.cache
def _announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class ConfigBlock(ml_collections.ConfigDict):
    """A `ConfigDict` on which former names of its keys may be set, too, though it is locked.

    They stand beside their successors until the config is validated.
    """

    def __setitem__(self, key: str, value: Any) -> None:
        if self.is_locked and key not in self and any(name in self for name in _successors(key)):
            with self.unlocked():
                super().__setitem__(key, value)
        else:
            super().__setitem__(key, value)


def _successors(leaf: str) -> Iterator[str]:
    """Names of today, in a block, of what there was once called so."""
    for former, current in FORMER_KEYS.items():
        if former.rpartition(".")[2] == leaf:
            yield current.rpartition(".")[2]
