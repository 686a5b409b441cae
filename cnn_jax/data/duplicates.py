"""Which pictures of a set are the same, and which are nearly the same: from hashes, then from thumbnails."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from cnn_jax.data.quality import THUMBNAIL_SIDE, Entry

# Below 16 pixels a side there is too little in a picture to tell a copy from a likeness.
_LEAST_SIDE = 16
_SMALL_SIDE = 64
_ROWS_AT_ONCE, _PAIRS_AT_ONCE = 1024, 4096


@dataclasses.dataclass(frozen=True)
class _Rule:
    """When two pictures are nearly the same: at most so many different bits, at least these correlations."""

    bits: int
    thumbnails: float
    edges: float


# A photograph that was encoded anew, scaled or brightened passes; of 240 different ones (28,680 pairs) no pair passes
# the first or the second. Pictures of 28 or 32 pixels are alike by nature (two handwritten ones: 0.98 and 0.86).
_RULE = _Rule(8, 0.85, 0.45)
_RULE_OF_SMALL = _Rule(4, 0.985, 0.93)


@dataclasses.dataclass(frozen=True)
class Group:
    """Pictures that belong together.

    Attributes:
      rows: of the entries, ascending.
      likeness: correlation of thumbnails of the least similar pair that was compared; 1 where all pixels agree.
    """

    rows: tuple[int, ...]
    likeness: float


def exact_groups(entries: Sequence[Entry]) -> list[Group]:
    """Pictures of one size, mode and pixels. Blank ones are left out: that they agree says nothing."""
    by_digest: dict[bytes, list[int]] = {}
    for row, entry in enumerate(entries):
        if not entry.record.fault and not entry.record.blank:
            by_digest.setdefault(entry.record.pixel_digest, []).append(row)
    return [Group(tuple(rows), 1.0) for rows in by_digest.values() if len(rows) > 1]


def near_groups(entries: Sequence[Entry], exact: Sequence[Group]) -> list[Group]:
    """Pictures that show the same: their perceptual hashes agree in all but a few bits, and so do their thumbnails.

    A group holds what is connected by such pairs, with all exact copies; what is only an exact copy makes no group.
    The hash is the DCT's (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions"). It alone
    would accuse many: simple drawings collide. So thumbnails must correlate as well, and their edges (Laplacians).

    Args:
      entries: of the whole set.
      exact: its `exact_groups`.
    """
    copies = {group.rows[0]: group.rows for group in exact}
    others = {row for group in exact for row in group.rows[1:]}
    rows = np.array([row for row, entry in enumerate(entries) if row not in others and _is_comparable(entry)], np.int64)
    if len(rows) < 2:
        return []
    records = [entries[row].record for row in rows]
    sides = np.array([min(record.height, record.width) for record in records])
    hashes = np.array([record.perceptual_hash for record in records], np.uint64)
    thumbnails = np.stack([record.thumbnail for record in records if record.thumbnail is not None])
    parents = list(range(len(rows)))
    edges: list[tuple[int, int, float]] = []
    for first, second in _alike_hashes(hashes, sides < _SMALL_SIDE):
        edges += _alike(thumbnails, sides, first, second)
    for i, j, _ in edges:
        parents[_root(parents, i)] = _root(parents, j)
    members: dict[int, list[int]] = {}
    for i in sorted({i for edge in edges for i in edge[:2]}):
        members.setdefault(_root(parents, i), []).append(i)
    likeness: dict[int, float] = {}
    for i, _, correlation in edges:
        root = _root(parents, i)
        likeness[root] = min(correlation, likeness.get(root, 1.0))
    return [
        Group(tuple(sorted(row for i in group for row in copies.get(int(rows[i]), (int(rows[i]),)))), likeness[root])
        for root, group in members.items()
    ]


def _is_comparable(entry: Entry) -> bool:
    record = entry.record
    return not record.fault and not record.blank and min(record.height, record.width) >= _LEAST_SIDE


def _alike_hashes(hashes: np.ndarray, small: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs (first < second) whose hashes differ in few bits. All pairs are compared, by blocks: 100,000 in seconds."""
    bits = np.where(small, _RULE_OF_SMALL.bits, _RULE.bits).astype(np.uint8)
    for start in range(0, len(hashes), _ROWS_AT_ONCE):
        block = hashes[start : start + _ROWS_AT_ONCE]
        distances = np.bitwise_count(block[:, None] ^ hashes[None, start:])
        first, second = np.nonzero(distances <= _RULE.bits)
        near = distances[first, second] <= np.minimum(bits[first + start], bits[second + start])
        kept = near & (first < second)
        yield first[kept] + start, second[kept] + start


def _alike(
    thumbnails: np.ndarray, sides: np.ndarray, first: np.ndarray, second: np.ndarray
) -> list[tuple[int, int, float]]:
    """Those of the pairs whose thumbnails agree, with their correlation."""
    found: list[tuple[int, int, float]] = []
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        i, j = first[start : start + _PAIRS_AT_ONCE], second[start : start + _PAIRS_AT_ONCE]
        small = np.minimum(sides[i], sides[j]) < _SMALL_SIDE
        whole = _correlation(thumbnails[i], thumbnails[j])
        kept = np.flatnonzero(whole >= np.where(small, _RULE_OF_SMALL.thumbnails, _RULE.thumbnails))
        edges = _correlation(_laplacian(thumbnails[i[kept]]), _laplacian(thumbnails[j[kept]]))
        kept = kept[edges >= np.where(small[kept], _RULE_OF_SMALL.edges, _RULE.edges)]
        found += list(zip(i[kept].tolist(), j[kept].tolist(), whole[kept].tolist(), strict=True))
    return found


def _correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's, pair by pair: [N, 32, 32], [N, 32, 32] -> float32 [N]."""
    a, b = (images.reshape(len(images), THUMBNAIL_SIDE**2).astype(np.float32) for images in (one, other))
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    products, a_squares, b_squares = (np.einsum("np,np->n", x, y) for x, y in ((a, b), (a, a), (b, b)))
    return products / np.maximum(np.sqrt(a_squares * b_squares), 1e-6)


def _laplacian(images: np.ndarray) -> np.ndarray:
    images = images.astype(np.float32)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    side = THUMBNAIL_SIDE
    neighbours = padded[:, :side, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :side] + padded[:, 1:-1, 2:]
    return 4 * images - neighbours


def _root(parents: list[int], i: int) -> int:
    while parents[i] != i:
        parents[i] = i = parents[parents[i]]
    return i
