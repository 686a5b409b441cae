"""Pairs of pictures that may show the same, from their hashes and thumbnails: cheap enough for all pairs of a set."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from cnn_jax.audit.quality import THUMBNAIL_SIDE, Record
from cnn_jax.cli.progress import progress_bar

# A picture with a shorter side than this holds hardly more than its thumbnail.
_SMALL_SIDE = 64
_ROWS_AT_ONCE, _PAIRS_AT_ONCE = 1024, 4096  # both keep what is at hand within a processor's cache


# For a pair to be a candidate, at most so many bits of the hashes differ, and thumbnails and their edges correlate at
# least so much. The first rule is for photographs, which get a second look: it lets through copies that lost a
# twentieth of each side. Small pictures get none, so their rules are strict: in CIFAR-10 121 pairs reach the second's
# figures; all of them show one thing twice. Small gray drawings are alike by nature: different digits of MNIST reach
# 0.98 and 0.86.
_RULES = np.array([(16, 0.6, 0.6), (8, 0.93, 0.75), (4, 0.985, 0.93)])
_BITS, _THUMBNAILS, _EDGES = _RULES.T
# Of photographs each is looked at beside its likest ones alone, which bounds the second looks in sets of one motif.
_LIKEST = 8
_SHIFT = 2  # pixels of a thumbnail
_FINE, _COARSE = 0.7, 2.0  # spreads of the Gaussians whose difference shows the edges of photographs


class Pairs(NamedTuple):
    """Candidates, the likest first.

    Attributes:
      first, second: int64 [P], first < second.
      likeness: [P], correlation of the thumbnails.
      is_small: [P], a picture is so small that a second look shows nothing new.
    """

    first: np.ndarray
    second: np.ndarray
    likeness: np.ndarray
    is_small: np.ndarray


def candidates(records: Sequence[Record]) -> Pairs:
    """Pairs whose perceptual hashes agree in most bits, and whose thumbnails and edges correlate.

    The hash is the DCT's (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions"). It alone
    would accuse many: simple drawings collide.
    """
    small = np.array([min(record.height, record.width) < _SMALL_SIDE for record in records])
    gray = np.array([not record.colored for record in records])
    hashes = np.array([record.perceptual_hash for record in records], np.uint64)
    thumbnails = np.stack([record.thumbnail for record in records if record.thumbnail is not None])
    found = [np.zeros((4, 0))]
    with progress_bar(_blocks(len(hashes)), "comparing pictures", "block") as bar:
        for first, second in _alike_hashes(hashes):
            small_pair, gray_pair = small[first] | small[second], gray[first] & gray[second]
            rules = np.where(small_pair, np.where(gray_pair, 2, 1), 0)
            near = np.bitwise_count(hashes[first] ^ hashes[second]) <= _BITS[rules]
            found.append(_alike(thumbnails, first[near], second[near], rules[near]))
            bar.update(1)
    first, second, whole, edges = np.concatenate(found, axis=1)
    first, second = first.astype(np.int64), second.astype(np.int64)
    is_small = small[first] | small[second]
    kept = np.flatnonzero(is_small | _among_the_likest(first, second, edges))
    kept = kept[np.lexsort((second[kept], first[kept], -edges[kept]))]
    return Pairs(first[kept], second[kept], whole[kept], is_small[kept])


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


def _alike(thumbnails: np.ndarray, first: np.ndarray, second: np.ndarray, rules: np.ndarray) -> np.ndarray:
    """Those of the pairs that pass their rules: first, second, correlation of thumbnails and of edges, [4, P]."""
    found = [np.zeros((4, 0))]
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        i, j, rule = first[part], second[part], rules[part]
        whole = _correlation(thumbnails[i], thumbnails[j])
        kept = np.flatnonzero(whole >= _THUMBNAILS[rule])
        i, j, rule, whole = i[kept], j[kept], rule[kept], whole[kept]
        edges, large = np.empty(len(i)), rule == 0
        edges[~large] = _correlation(_laplacian(thumbnails[i[~large]]), _laplacian(thumbnails[j[~large]]))
        edges[large] = _shifted_correlation(thumbnails[i[large]], thumbnails[j[large]])
        passed = edges >= _EDGES[rule]
        found.append(np.stack([i, j, whole, edges])[:, passed])
    return np.concatenate(found, axis=1)


def _among_the_likest(first: np.ndarray, second: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Whether a pair is among the few likest of either of its pictures, bool [P]."""
    pictures, pairs = np.concatenate([first, second]), np.tile(np.arange(len(first)), 2)
    order = np.lexsort((pairs, -edges[pairs], pictures))
    starts = np.searchsorted(pictures[order], pictures[order])
    kept = np.zeros(len(first), bool)
    kept[pairs[order][np.arange(len(order)) - starts < _LIKEST]] = True
    return kept


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


def _shifted_correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of the edges, at the best shift of up to two pixels, as a crop makes them: [N, 32, 32] twice -> [N]."""
    a, b = (np.fft.rfft2(_unit_edges(images)) for images in (one, other))
    correlation = np.fft.irfft2(a * np.conj(b), (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    near = np.arange(-_SHIFT, _SHIFT + 1)
    return correlation[:, near][:, :, near].max(axis=(1, 2))


def _unit_edges(images: np.ndarray) -> np.ndarray:
    """A difference of Gaussians, fading to the borders, with mean 0 and norm 1."""
    from scipy.ndimage import gaussian_filter

    images = images.astype(np.float32)
    fine, coarse = (gaussian_filter(images, (0, spread, spread), mode="nearest") for spread in (_FINE, _COARSE))
    fade = np.hanning(THUMBNAIL_SIDE + 2)[1:-1] ** 0.25
    edges = (fine - coarse) * np.outer(fade, fade).astype(np.float32)
    edges -= edges.mean(axis=(1, 2), keepdims=True)
    return edges / np.maximum(np.sqrt((edges**2).sum(axis=(1, 2), keepdims=True)), 1e-6)
