"""Which pictures of a set are the same, and which are nearly the same: from hashes, then from thumbnails."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from cnn_jax.audit.quality import THUMBNAIL_SIDE, Entry
from cnn_jax.cli.progress import progress_bar

# Below 16 pixels a side there is too little in a picture to tell a copy from a likeness.
_LEAST_SIDE = 16
_SMALL_SIDE = 64
_ROWS_AT_ONCE, _PAIRS_AT_ONCE = 1024, 4096  # both keep what is at hand within a processor's cache


# When two pictures are nearly the same: at most so many bits of their hashes differ, and thumbnails and their edges
# correlate at least so much. Photographs that were encoded anew, scaled or brightened pass the first; of 240 different
# ones (28,680 pairs) no pair does. In CIFAR-10 121 pairs reach the second's figures; all of them show one thing twice.
# Small gray drawings are alike by nature: different digits of MNIST reach 0.98 and 0.86.
_RULES = np.array([(8, 0.85, 0.45), (8, 0.93, 0.75), (4, 0.985, 0.93)])
_BITS, _THUMBNAILS, _EDGES = _RULES.T


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
    small = np.array([min(record.height, record.width) < _SMALL_SIDE for record in records])
    gray = np.array([not record.colored for record in records])
    hashes = np.array([record.perceptual_hash for record in records], np.uint64)
    thumbnails = np.stack([record.thumbnail for record in records if record.thumbnail is not None])
    parents = list(range(len(rows)))
    likeness: dict[int, float] = {}  # of each root: the least correlation that joins its group
    alike: set[int] = set()
    with progress_bar(_blocks(len(hashes)), "comparing pictures", "block") as bar:
        for first, second in _alike_hashes(hashes):
            small_pair, gray_pair = small[first] | small[second], gray[first] & gray[second]
            rules = np.where(small_pair, np.where(gray_pair, 2, 1), 0)
            for i, j, correlation in _alike(hashes, thumbnails, first, second, rules):
                one, other = _root(parents, i), _root(parents, j)
                parents[one] = other
                likeness[other] = min(correlation, likeness.get(other, 1.0), likeness.get(one, 1.0))
                alike |= {i, j}
            bar.update(1)
    members: dict[int, list[int]] = {}
    for i in sorted(alike):
        members.setdefault(_root(parents, i), []).append(i)
    return [
        Group(tuple(sorted(row for i in group for row in copies.get(int(rows[i]), (int(rows[i]),)))), likeness[root])
        for root, group in members.items()
    ]


def _is_comparable(entry: Entry) -> bool:
    record = entry.record
    return not record.fault and not record.blank and min(record.height, record.width) >= _LEAST_SIDE


def _blocks(count: int) -> int:
    sides = -(-count // _ROWS_AT_ONCE)
    return sides * (sides + 1) // 2


def _alike_hashes(hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs (first < second) whose hashes differ in few bits. All pairs are compared, by blocks: 100,000 in seconds."""
    for start in range(0, len(hashes), _ROWS_AT_ONCE):
        block = hashes[start : start + _ROWS_AT_ONCE].reshape(-1, 1)
        for other in range(start, len(hashes), _ROWS_AT_ONCE):
            distances = np.bitwise_count(block ^ hashes[other : other + _ROWS_AT_ONCE].reshape(1, -1))
            first, second = np.nonzero(distances <= int(_BITS.max()))
            kept = first + start < second + other
            yield first[kept] + start, second[kept] + other


def _alike(
    hashes: np.ndarray, thumbnails: np.ndarray, first: np.ndarray, second: np.ndarray, rules: np.ndarray
) -> list[tuple[int, int, float]]:
    """Those of the pairs that pass their rules, with the correlation of their thumbnails."""
    near = np.bitwise_count(hashes[first] ^ hashes[second]) <= _BITS[rules]
    first, second, rules = first[near], second[near], rules[near]
    found: list[tuple[int, int, float]] = []
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        i, j, rule = first[part], second[part], rules[part]
        whole = _correlation(thumbnails[i], thumbnails[j])
        kept = np.flatnonzero(whole >= _THUMBNAILS[rule])
        edges = _correlation(_laplacian(thumbnails[i[kept]]), _laplacian(thumbnails[j[kept]]))
        kept = kept[edges >= _EDGES[rule[kept]]]
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
