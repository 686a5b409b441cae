"""Whether two pictures show the same, patch by patch: a second look at those that look alike as thumbnails.

Patches of one are searched in the other (normalised cross-correlation, Lewis 1995). In a copy, however it was scaled,
cropped, encoded or lit, they all move by one affine map, which random samples of three find (RANSAC, Fischler & Bolles
1981). Different things before one wall may correlate as a whole; their patches move at random.
"""

import functools

import numpy as np

SECOND_SIDE = 128
_PATCH, _REACH = 16, 8  # a patch is looked for so many pixels up, down, left and right of where it stands
_WINDOW = _PATCH + 2 * _REACH
_SMOOTHED = 4  # pixels: light that changes more slowly than this is taken out
_TEXTURED = 1.0  # gray levels: the spread of a patch in which there is something to find
_CORRELATED = 0.4
_SAMPLES, _TOLERANCE = 200, 1.0
_MOST_DISTORTION = 0.15  # of either side; what is cropped by a tenth is scaled by 1.11
# Any three patches fit some map, and a few more do by chance: so few prove nothing.
_LEAST_FITTING = 10
_PAIRS_AT_ONCE = 16


def agreement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The share of patches that one affine map carries from the first picture to the second, pair by pair.

    Patches without texture in both are not counted, nor are the three that any map fits. Of 6,000 pairs of photographs
    whose thumbnails are alike, those that show different things have at most 0.25, copies and series 0.5 to 1.

    Args:
      first, second: gray, uint8 [N, 128, 128].

    Returns:
      float64 [N]; 0 where fewer than 10 patches fit one map.
    """
    parts = [
        _agreement(first[start : start + _PAIRS_AT_ONCE], second[start : start + _PAIRS_AT_ONCE])
        for start in range(0, len(first), _PAIRS_AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _agreement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    one, other = _without_slow_light(first), _without_slow_light(second)
    patches, windows = _blocks(one, _PATCH, 0), _blocks(other, _WINDOW, -_REACH)
    correlation, moves = _search(patches, windows)
    spreads = np.maximum(patches.std(axis=(-2, -1)), _blocks(other, _PATCH, 0).std(axis=(-2, -1)))
    counted = spreads >= _TEXTURED
    fitting = _largest_consensus(moves, counted & (correlation >= _CORRELATED))
    total = counted.sum(axis=1)
    return np.where(fitting >= _LEAST_FITTING, (fitting - 3) / np.maximum(total - 3, 1), 0.0)


def _without_slow_light(images: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    images = images.astype(np.float32)
    return images - gaussian_filter(images, (0, _SMOOTHED, _SMOOTHED), mode="nearest")


@functools.cache
def _corners() -> np.ndarray:
    """int64 [P, 2]: upper left corners of the patches, which tile all but a border that the search needs."""
    along = np.arange(_REACH, SECOND_SIDE - _PATCH - _REACH + 1, _PATCH)
    return np.stack(np.meshgrid(along, along, indexing="ij"), axis=-1).reshape(-1, 2)


def _blocks(images: np.ndarray, side: int, offset: int) -> np.ndarray:
    """[N, H, W] -> [N, P, side, side]: at each patch's corner, moved by `offset`."""
    views = np.lib.stride_tricks.sliding_window_view(images, (side, side), axis=(1, 2))
    rows, columns = (_corners() + offset).T
    return views[:, rows, columns]


def _search(patches: np.ndarray, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best normalised cross-correlation of each patch within its window [N, P], and its move [N, P, 2] there."""
    patches = patches - patches.mean(axis=(-2, -1), keepdims=True)
    windows = windows - windows.mean(axis=(-2, -1), keepdims=True)
    shifts = 2 * _REACH + 1
    spectrum = np.fft.rfft2(windows) * np.conj(np.fft.rfft2(patches, (_WINDOW, _WINDOW)))
    products = np.fft.irfft2(spectrum, (_WINDOW, _WINDOW))[..., :shifts, :shifts]
    energy = _box_sums(windows.astype(np.float64) ** 2) - _box_sums(windows.astype(np.float64)) ** 2 / _PATCH**2
    norms = np.sqrt((patches**2).sum(axis=(-2, -1)))[..., None, None] * np.sqrt(np.maximum(energy, 0.0))
    correlation = (products / np.maximum(norms, 1e-3)).reshape(*patches.shape[:2], shifts**2)
    best = correlation.argmax(axis=-1)
    moves = np.stack(np.divmod(best, shifts), axis=-1) - _REACH
    return correlation.max(axis=-1), moves


def _box_sums(values: np.ndarray) -> np.ndarray:
    """Sums over every patch-sized box: [..., H, W] -> [..., H - 15, W - 15]."""
    sums = np.zeros((*values.shape[:-2], values.shape[-2] + 1, values.shape[-1] + 1))
    sums[..., 1:, 1:] = values.cumsum(axis=-2).cumsum(axis=-1)
    below, above = sums[..., _PATCH:, :], sums[..., :-_PATCH, :]
    return below[..., _PATCH:] - below[..., :-_PATCH] - above[..., _PATCH:] + above[..., :-_PATCH]


@functools.cache
def _samples() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places of the patches [P, 3] (row, column, 1), triples of them [T, 3], and the inverse of each triple's places.

    The triples are the same for all pairs, so that a pair's result depends on nothing else; those on a line are left
    out.
    """
    places = np.concatenate([_corners() + (_PATCH - SECOND_SIDE) / 2, np.ones((len(_corners()), 1))], axis=1)
    random = np.random.RandomState(0)  # its stream is frozen by NumPy's policy
    triples = np.stack([random.permutation(len(places))[:3] for _ in range(2 * _SAMPLES)])
    area = np.abs(np.linalg.det(places[triples]))
    triples = triples[area >= np.median(area)][:_SAMPLES]
    return places, triples, np.linalg.inv(places[triples])


def _largest_consensus(moves: np.ndarray, found: np.ndarray) -> np.ndarray:
    """How many patches the best of the sampled affine maps carries along, [N]."""
    places, triples, inverses = _samples()
    maps = inverses @ moves[:, triples].astype(np.float64)  # [N, T, 3, 2]
    gentle = np.abs(maps[:, :, :2]).max(axis=(-2, -1)) <= _MOST_DISTORTION
    errors = np.abs(places @ maps - moves[:, None]).max(axis=-1)
    counts = ((errors <= _TOLERANCE) & found[:, None]).sum(axis=-1)
    return np.where(gentle & found[:, triples].all(axis=-1), counts, 0).max(axis=1)
