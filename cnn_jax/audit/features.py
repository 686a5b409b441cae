"""What a picture looks like, in figures that need no training: gradients and colors, then their main directions."""

from collections.abc import Callable, Iterable

import numpy as np

FEATURE_SIDE = 64  # pixels; pictures are stretched to a square
_CELLS = (8, 16)  # pixels a side
_ORIENTATIONS = 9
_MOST_OF_A_BLOCK = 0.2
_COLOR_GRIDS = ((4, 8), (1, 16))  # parts a side, levels of each color axis
_DIMENSIONS = 256
# A basis of so many pictures is that of all of them, nearly.
_PICTURES_FOR_A_BASIS = 4096


def describe(images: np.ndarray) -> list[np.ndarray]:
    """Histograms of oriented gradients at two scales, and of colors in 16 parts and in the whole.

    Args:
      images: uint8 [N, 64, 64, 3].

    Returns:
      float32 [N, 1764], [N, 324], [N, 384], [N, 48].
    """
    pixels = images.astype(np.float32)
    strength, orientation = _gradients(pixels.mean(axis=-1))
    return [
        *(oriented_gradients(strength, orientation, cell) for cell in _CELLS),
        *(_color_histograms(pixels, parts, levels) for parts, levels in _COLOR_GRIDS),
    ]


def oriented_gradients(strength: np.ndarray, orientation: np.ndarray, cell: int) -> np.ndarray:
    """HOG (Dalal & Triggs 2005) with unsigned gradients, linear votes for orientations, and blocks of 2 x 2 cells.

    Args:
      strength: of the gradient at each pixel, [N, H, W].
      orientation: 0..9, of which 9 is 0 again, [N, H, W].
      cell: pixels a side.

    Returns:
      float32 [N, (H / cell - 1) x (W / cell - 1) x 36], square roots of blocks that are normalised and clipped.
    """
    count, height, width = strength.shape
    rows, columns = height // cell, width // cell
    place = np.add.outer(np.arange(height) // cell * columns, np.arange(width) // cell)
    place = (np.arange(count).reshape(-1, 1, 1) * (rows * columns) + place) * _ORIENTATIONS
    lower = np.floor(orientation).astype(np.int64)
    share = orientation - lower
    size = count * rows * columns * _ORIENTATIONS
    votes = np.bincount((place + lower % _ORIENTATIONS).ravel(), (strength * (1 - share)).ravel(), size)
    votes += np.bincount((place + (lower + 1) % _ORIENTATIONS).ravel(), (strength * share).ravel(), size)
    cells = votes.reshape(count, rows, columns, _ORIENTATIONS)
    blocks = np.concatenate([cells[:, :-1, :-1], cells[:, 1:, :-1], cells[:, :-1, 1:], cells[:, 1:, 1:]], axis=-1)
    # A gray level of gradient at every tenth pixel keeps noise of flat parts from being blown up.
    norms = np.sqrt((blocks**2).sum(axis=-1, keepdims=True) + (0.1 * cell * cell) ** 2)
    return np.sqrt(np.minimum(blocks / norms, _MOST_OF_A_BLOCK)).reshape(count, -1).astype(np.float32)


def main_directions(parts: Callable[[np.ndarray], Iterable[list[np.ndarray]]], count: int) -> np.ndarray:
    """Principal components of descriptions, each kind with the same variance: float32 [N, at most 256].

    Args:
      parts: makes the descriptions of these pictures, int64 [M], in order, in as many parts as it likes.
      count: of the pictures. They are asked for in a mixed order, each once, so that few are in memory at a time.
    """
    from sklearn.decomposition import PCA

    order = np.random.RandomState(0).permutation(count)  # its stream is frozen by NumPy's policy
    first = [np.concatenate(of_kind) for of_kind in zip(*parts(order[:_PICTURES_FOR_A_BASIS]), strict=True)]
    scales = [max(float(np.sqrt(of_kind.var(axis=0).sum())), 1e-6) for of_kind in first]
    sample = np.concatenate([of_kind / scale for of_kind, scale in zip(first, scales, strict=True)], axis=1)
    basis = PCA(min(_DIMENSIONS, *sample.shape), svd_solver="randomized", random_state=0).fit(sample)
    found = [basis.transform(sample)]
    if count > len(sample):
        for part in parts(order[_PICTURES_FOR_A_BASIS:]):
            scaled = [of_kind / scale for of_kind, scale in zip(part, scales, strict=True)]
            found.append(basis.transform(np.concatenate(scaled, axis=1)))
    mixed = np.concatenate(found).astype(np.float32)
    features = np.empty_like(mixed)
    features[order] = mixed / max(float(mixed[:, 0].std()), 1e-6)
    return features


def _gradients(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strength and orientation (0..9) of central differences; the outermost pixels have none across the border."""
    down, right = np.zeros_like(gray), np.zeros_like(gray)
    down[:, 1:-1] = gray[:, 2:] - gray[:, :-2]
    right[:, :, 1:-1] = gray[:, :, 2:] - gray[:, :, :-2]
    orientation = np.arctan2(down, right) % np.pi * (_ORIENTATIONS / np.pi)
    return np.hypot(down, right), np.minimum(orientation, np.float32(_ORIENTATIONS) - 1e-4)


def _color_histograms(pixels: np.ndarray, parts: int, levels: int) -> np.ndarray:
    """Square roots of shares: of each part of the picture, along brightness, red-green and yellow-blue."""
    count, side = len(pixels), pixels.shape[1] // parts
    red, green, blue = np.moveaxis(pixels, -1, 0)
    axes = np.stack([(red + green + blue) / 3, (red - green) / 2 + 128, (red + green - 2 * blue) / 4 + 128], axis=-1)
    level = np.clip((axes * (levels / 256)).astype(np.int64), 0, levels - 1)
    along = np.arange(pixels.shape[1]) // side
    place = np.arange(count).reshape(-1, 1, 1) * parts**2 + np.add.outer(along * parts, along)
    index = (place[..., None] * 3 + np.arange(3)) * levels + level
    counts = np.bincount(index.ravel(), minlength=count * parts**2 * 3 * levels)
    return np.sqrt(counts.reshape(count, -1) / side**2).astype(np.float32)
