"""The nearest of many feature vectors, which come in parts, to a few."""

from collections.abc import Iterable

import numpy as np


def nearest(queries: np.ndarray, parts: Iterable[np.ndarray], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers [Q, k] of the vectors with the least Euclidean distance to each query, the nearest first; distances.

    No more than a part is in memory at a time. Of equal distances the lower number comes first.

    Args:
      queries: [Q, D].
      parts: arrays [M, D]; numbers go on from part to part. There are k vectors at least.
    """
    queries = queries.astype(np.float64)
    numbers = np.zeros((len(queries), 0), np.int64)
    squares = np.zeros((len(queries), 0))
    seen = 0
    for part in parts:
        part = part.astype(np.float64)
        # Differences, not |a|^2 - 2ab + |b|^2: that would lose the distances of near copies.
        found = np.stack([((part - query) ** 2).sum(axis=1) for query in queries])
        squares = np.concatenate([squares, found], axis=1)
        numbers = np.concatenate([numbers, np.tile(np.arange(seen, seen + len(part)), (len(queries), 1))], axis=1)
        kept = np.argsort(squares, axis=1, kind="stable")[:, :k]
        squares, numbers = np.take_along_axis(squares, kept, 1), np.take_along_axis(numbers, kept, 1)
        seen += len(part)
    return numbers, np.sqrt(squares)
