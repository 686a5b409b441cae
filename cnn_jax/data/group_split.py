"""A part of a set whose groups stay whole: as near to its size and to the shares of the classes as they allow."""

from collections.abc import Sequence

import numpy as np

_CHOICES = 100_000  # groups that are looked at, over all attempts
_MOST_ATTEMPTS = 64


def group_split(labels: np.ndarray, groups: np.ndarray, total: int, seed: int) -> np.ndarray:
    """Sorted indices of about `total` examples: whole groups, each class with about its share.

    Groups are tried in random order; one is taken, given back or (in the best of some attempts) exchanged where that
    brings the part nearer to what is wanted: the sum of the squared relative errors of its size and (their mean) of the
    classes' sizes. No class gives its last group. scikit-learn's StratifiedGroupKFold is alike, for equal parts.

    Args:
      labels: [N] integers.
      groups: [N] integers, equal within a group.
      total: how many examples are wanted.

    Returns:
      int64; empty where every group is too large, or holds the whole of a class.
    """
    _, labels = np.unique(labels, return_inverse=True)
    _, groups = np.unique(groups, return_inverse=True)
    counts = np.bincount(labels)
    contents: list[list[tuple[int, int]]] = [[] for _ in range(groups.max() + 1)]
    pairs, sizes = np.unique(groups * len(counts) + labels, return_counts=True)
    for pair, size in zip(pairs.tolist(), sizes.tolist(), strict=True):
        contents[pair // len(counts)].append((pair % len(counts), size))
    # RandomState's stream is frozen by NumPy's policy; Generator's may change from version to version.
    random = np.random.RandomState(seed)
    attempts = max(1, min(_MOST_ATTEMPTS, _CHOICES // len(contents)))
    tried = [_Part(contents, counts.tolist(), total) for _ in range(attempts)]
    for part in tried:
        part.improve(random.permutation(len(contents)).tolist())
    best = min(tried, key=lambda part: part.error())
    if sum(best.has) * len(contents) <= _CHOICES:  # among many groups some fit as they are
        best.exchange()
    return np.flatnonzero(np.array(best.has)[groups])


class _Part:
    """Some of the groups, and how far they are from what is wanted.

    Args:
      contents: (class, examples) pairs of each group.
      counts: examples of each class.
      total: how many of all are wanted.
    """

    def __init__(self, contents: Sequence[Sequence[tuple[int, int]]], counts: Sequence[int], total: int):
        self._contents, self._counts, self._total = contents, counts, total
        self._wanted = [count * total / sum(counts) for count in counts]
        self._weights = [1 / (max(wanted, 1) ** 2 * len(counts)) for wanted in self._wanted]
        self._taken = [0] * len(counts)
        self._size = 0
        self.has = [False] * len(contents)

    def error(self) -> float:
        """0 for a part just as it is wanted, 2 for an empty one."""
        of_size = ((self._size - self._total) / self._total) ** 2
        zipped = zip(self._taken, self._wanted, self._weights, strict=True)
        return of_size + sum((taken - wanted) ** 2 * weight for taken, wanted, weight in zipped)

    def improve(self, order: Sequence[int]) -> None:
        """Takes groups and gives them back, in this order again and again, while the error falls."""
        moved = True
        while moved:
            moved = False
            for group in order:
                if self._gain(group) < -1e-12:
                    self._toggle(group)
                    moved = True

    def exchange(self) -> None:
        """Gives a group back for another one, while the error falls."""
        while any(self._exchanged(group) for group, has in enumerate(self.has) if has):
            pass

    def _exchanged(self, group: int) -> bool:
        change = self._gain(group)
        self._toggle(group)
        others = [other for other, has in enumerate(self.has) if not has and other != group]
        gains = [self._gain(other) for other in others]
        better = bool(gains) and change + min(gains) < -1e-12
        self._toggle(others[gains.index(min(gains))] if better else group)
        return better

    def _sign(self, group: int) -> int:
        return -1 if self.has[group] else 1

    def _gain(self, group: int) -> float:
        """The change of the error by taking a group, or giving it back."""
        sign, size, change = self._sign(group), 0, 0.0
        for label, count in self._contents[group]:
            off = self._taken[label] - self._wanted[label]
            if sign > 0 and self._taken[label] + count == self._counts[label]:
                return 0.0  # it would be the class's last group
            size += count
            change += ((off + sign * count) ** 2 - off**2) * self._weights[label]
        off = self._size - self._total
        return change + ((off + sign * size) ** 2 - off**2) / self._total**2

    def _toggle(self, group: int) -> None:
        sign = self._sign(group)
        for label, count in self._contents[group]:
            self._taken[label] += sign * count
            self._size += sign * count
        self.has[group] = not self.has[group]
