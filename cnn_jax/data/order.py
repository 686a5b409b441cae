"""Which examples each step of an epoch sees: a function of (seed, epoch), the same wherever it is computed."""

import numpy as np

from cnn_jax import host_random


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
    there = np.unique(classes)
    # Ranks of the permuted numbers: which numbers appear depends on what was left out, their ranks are 0, 1, 2, ...
    slots = np.argsort(np.argsort(order)) % len(there)
    balanced = np.empty_like(order)
    for number, label in enumerate(there):
        places, members = np.flatnonzero(slots == number), np.flatnonzero(classes == label)
        members = members[host_random.permutation(host_random.fold_in(key, int(label)), len(members))]
        balanced[places] = np.resize(members, len(places))
    return balanced


def in_order(count: int, batch_size: int) -> np.ndarray:
    """Every example once, in order: int32 [ceil(count / batch_size), batch_size]; the end is padded with `count`."""
    steps = -(-count // batch_size)
    index = np.arange(steps * batch_size, dtype=np.int32)
    return np.minimum(index, count, dtype=np.int32).reshape(steps, batch_size)
