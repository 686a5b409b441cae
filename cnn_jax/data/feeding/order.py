"""Which examples each step of an epoch sees: a function of (seed, epoch), the same wherever it is computed."""

from types import ModuleType
from typing import Any

import numpy as np

from cnn_jax.random import host as host_random

# Away from the numbers 0 and 1, which `permutation` folds into the same key.
_BALANCE = 2**31


def epoch_order(seed: int, epoch: int, count: int, batch_size: int, classes: np.ndarray | None = None) -> np.ndarray:
    """int32 [count // batch_size, batch_size], indices of training examples.

    A last partial batch is left out; as every epoch is permuted anew, no example is left out for good.

    Args:
      classes: the labels [count], to see every class equally often (to within one): of common classes an epoch sees
        another part each time, rare ones it sees repeatedly. None: every example once.
    """
    key = host_random.stream_key(seed, "shuffle", epoch)
    steps = count // batch_size
    order = host_random.permutation(key, count)[: steps * batch_size]
    if classes is not None:
        order = _balanced(key, classes, order)
    return order.astype(np.int32).reshape(steps, batch_size)


def _balanced(key: np.ndarray, classes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Puts an example of class c where `order` would put an example of number c modulo the number of classes."""
    there, counts = np.unique(classes, return_counts=True)
    # Ranks of the permuted numbers: which numbers appear depends on what was left out, their ranks are 0, 1, 2, ...
    slots = np.argsort(np.argsort(order)) % len(there)
    places = np.split(np.argsort(slots, kind="stable"), np.cumsum(np.bincount(slots, minlength=len(there)))[:-1])
    members = np.split(np.argsort(classes, kind="stable"), np.cumsum(counts)[:-1])
    own = host_random.fold_in(key, _BALANCE)
    balanced = np.empty_like(order)
    for label, of_class, here in zip(there, members, places, strict=True):
        shuffled = of_class[host_random.permutation(host_random.fold_in(own, int(label)), len(of_class))]
        balanced[here] = np.resize(shuffled, len(here))
    return balanced


def unique_example_ids(index: Any, count: int, xp: ModuleType) -> Any:
    """Numbers [B] by which the examples of one step draw: their indices, and others where one comes again.

    Balanced sampling may show a rare example several times in a step; it should not look the same each time.

    Args:
      index: int32 [B], the whole step's examples.
      count: of all training examples.
      xp: numpy or jax.numpy.
    """
    earlier = xp.tril(index[:, None] == index[None, :], -1)
    return index + count * earlier.sum(axis=1, dtype=index.dtype)


def in_order(count: int, batch_size: int) -> np.ndarray:
    """Every example once, in order: int32 [ceil(count / batch_size), batch_size]; the end is padded with `count`."""
    steps = -(-count // batch_size)
    index = np.arange(steps * batch_size, dtype=np.int32)
    return np.minimum(index, count, dtype=np.int32).reshape(steps, batch_size)
