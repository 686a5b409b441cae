"""Which pictures of a set are the same, and which are nearly the same."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from cnn_jax.audit.candidates import candidates
from cnn_jax.audit.quality import Entry
from cnn_jax.audit.registration import agreement
from cnn_jax.cli.progress import progress_bar
from cnn_jax.data.reading.scan import in_threads

# Below 16 pixels a side there is too little in a picture to tell a copy from a likeness.
_LEAST_SIDE = 16
# Half of the parts: photographs of different things reach 0.25, copies 0.75.
_LEAST_AGREEMENT = 0.5
_PAIRS_AT_ONCE, _PAIRS_OF_A_THREAD = 512, 64

# Rows of the entries -> gray, uint8 [N, 128, 128]: the pictures, stretched to a square.
SecondLook = Callable[[Sequence[int]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Group:
    """Pictures that belong together.

    Attributes:
      rows: of the entries, ascending.
      likeness: 1 where all pixels agree; else the least by which two of the pictures were joined: the share of their
        parts that agree in a second look, or, of pictures below 64 pixels, the correlation of their thumbnails.
      looked: there was a second look.
    """

    rows: tuple[int, ...]
    likeness: float
    looked: bool = False


def exact_groups(entries: Sequence[Entry]) -> list[Group]:
    """Pictures of one size, mode and pixels. Blank ones are left out: that they agree says nothing."""
    by_digest: dict[bytes, list[int]] = {}
    for row, entry in enumerate(entries):
        if not entry.record.fault and not entry.record.blank:
            by_digest.setdefault(entry.record.pixel_digest, []).append(row)
    return [Group(tuple(rows), 1.0) for rows in by_digest.values() if len(rows) > 1]


def near_groups(entries: Sequence[Entry], exact: Sequence[Group], second_look: SecondLook) -> list[Group]:
    """Pictures that show the same thing from the same place, the surest group first.

    Candidates are pairs with similar hashes and thumbnails; of those that are large enough, parts must agree, too, at a
    higher resolution: clothes on the same cloth correlate as thumbnails more than two photographs of one dress. A group
    holds what is connected by such pairs, with all exact copies; what is only an exact copy makes no group.

    Args:
      entries: of the whole set.
      exact: its `exact_groups`.
      second_look: reads pictures again.
    """
    copies = {group.rows[0]: group.rows for group in exact}
    others = {row for group in exact for row in group.rows[1:]}
    rows = np.array([row for row, entry in enumerate(entries) if row not in others and _is_comparable(entry)], np.int64)
    if len(rows) < 2:
        return []
    pairs = candidates([entries[row].record for row in rows])
    forest = _Forest(len(rows))
    small = np.flatnonzero(pairs.is_small)
    for pair in small:
        forest.join(int(pairs.first[pair]), int(pairs.second[pair]), float(pairs.likeness[pair]), looked=False)
    large = np.flatnonzero(~pairs.is_small)
    concerned = np.unique([pairs.first[large], pairs.second[large]])
    place = np.searchsorted(concerned, np.arange(len(rows)))
    with progress_bar(len(large), "looking at pairs again", "pair") as bar:
        pictures = second_look(rows[concerned].tolist()) if len(large) else np.zeros(0)
        for start in range(0, len(large), _PAIRS_AT_ONCE):
            part = large[start : start + _PAIRS_AT_ONCE]
            bar.update(len(part))
            # What other pairs have joined already needs no look.
            part = part[[not forest.joined(int(pairs.first[pair]), int(pairs.second[pair])) for pair in part]]
            first, second = pairs.first[part], pairs.second[part]
            agreed = _agreements(pictures, place[first], place[second])
            for k in np.flatnonzero(agreed >= _LEAST_AGREEMENT):
                forest.join(int(first[k]), int(second[k]), float(agreed[k]), looked=True)
    groups = [
        Group(tuple(sorted(row for i in group for row in copies.get(int(rows[i]), (int(rows[i]),)))), likeness, looked)
        for group, likeness, looked in forest.groups()
    ]
    return sorted(groups, key=lambda group: (-group.likeness, group.rows))


def _agreements(pictures: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    def part(start: int) -> np.ndarray:
        of_part = slice(start, start + _PAIRS_OF_A_THREAD)
        return agreement(pictures[first[of_part]], pictures[second[of_part]])

    parts = list(in_threads(part, range(0, len(first), _PAIRS_OF_A_THREAD)))
    return np.concatenate(parts) if parts else np.zeros(0)


def _is_comparable(entry: Entry) -> bool:
    record = entry.record
    return not record.fault and not record.blank and min(record.height, record.width) >= _LEAST_SIDE


class _Forest:
    """Which of so many things are connected (Galler & Fischer 1964), and by how weak a link at worst."""

    def __init__(self, count: int):
        self._parents = list(range(count))
        self._likeness = [1.0] * count  # of each root, the least in its group
        self._looked = [False] * count

    def root(self, i: int) -> int:
        while self._parents[i] != i:
            self._parents[i] = i = self._parents[self._parents[i]]
        return i

    def joined(self, i: int, j: int) -> bool:
        return self.root(i) == self.root(j)

    def join(self, i: int, j: int, likeness: float, looked: bool) -> None:
        one, other = self.root(i), self.root(j)
        if one == other:
            return
        self._parents[one] = other
        self._likeness[other] = min(likeness, self._likeness[one], self._likeness[other])
        self._looked[other] |= self._looked[one] | looked

    def groups(self) -> list[tuple[list[int], float, bool]]:
        """(members, least likeness, looked at again) of all that have several members."""
        members: dict[int, list[int]] = {}
        for i in range(len(self._parents)):
            members.setdefault(self.root(i), []).append(i)
        return [(group, self._likeness[root], self._looked[root]) for root, group in members.items() if len(group) > 1]
