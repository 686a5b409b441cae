"""Maps of positions for images of another size, as each library makes them: they differ, and so do the logits.

All are separable: a matrix [new, old] for the rows, one for the columns.
"""

import math
from collections.abc import Callable

import numpy as np

Resize = Callable[[np.ndarray, tuple[int, int]], np.ndarray]


def kept(position: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[C]: that of the class token, which is nowhere on the map."""
    return position


def timm_positions(positions: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[N * N, C] -> [*size, C]: `resample_abs_pos_embed`, PyTorch's bicubic interpolation with antialias=True."""
    return _separable(positions, size, _bicubic_antialiased)


def torchvision_positions(positions: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[N * N, C] -> [*size, C]: `interpolate_embeddings`, PyTorch's bicubic interpolation with align_corners=True."""
    return _separable(positions, size, _bicubic_aligned)


def timm_offsets(offsets: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[N * N, heads] -> [*size, heads]: `resize_rel_pos_bias_table`, after BEiT's.

    Linear interpolation, between offsets that lie the further apart the larger they are: so near ones keep theirs.
    """
    return _separable(offsets, size, _geometric)


def _separable(positions: np.ndarray, size: tuple[int, int], matrix: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """Raises ValueError where the positions are none of a square map."""
    side = math.isqrt(len(positions))
    if side * side != len(positions):
        raise ValueError(f"{len(positions)} positions are none of a square map")
    rows, columns = (matrix(side, new) for new in size)
    square = positions.reshape(side, side, -1).astype(np.float64)
    return np.einsum("ni,mj,ijc->nmc", rows, columns, square).astype(positions.dtype)


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys 1981, "Cubic convolution interpolation for digital image processing", eq. 4."""
    x = np.abs(distance)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _bicubic_antialiased(old: int, new: int) -> np.ndarray:
    """PyTorch's, which is Pillow's: a is -0.5, and the window grows where the map shrinks."""
    scale = old / new
    stretch = max(scale, 1.0)
    centres = scale * (np.arange(new) + 0.5)
    weights = _cubic((np.arange(old) + 0.5 - centres[:, None]) / stretch, -0.5)
    return weights / weights.sum(axis=1, keepdims=True)


def _bicubic_aligned(old: int, new: int) -> np.ndarray:
    """PyTorch's: a is -0.75, the first and the last positions stay, and the border goes on for ever."""
    places = np.arange(new) * ((old - 1) / (new - 1) if new > 1 else 0.0)
    matrix = np.zeros((new, old))
    for step in range(-1, 3):
        taps = np.floor(places).astype(int) + step
        np.add.at(matrix, (np.arange(new), np.clip(taps, 0, old - 1)), _cubic(places - taps, -0.75))
    return matrix


def _geometric(old: int, new: int) -> np.ndarray:
    """From offsets at 0, +-1, +-(1 + q), +-(1 + q + q^2) ...; q is such that the last is as far as it must be."""
    low, high, q = 1.01, 1.5, 1.01
    while high - low > 1e-6:
        q = (low + high) / 2
        low, high = (low, q) if (1 - q ** (old // 2)) / (1 - q) > new // 2 else (q, high)
    places = np.cumsum(q ** np.arange(old // 2))
    places = np.concatenate([-places[::-1], [0.0], places])
    wanted = np.arange(new) - new // 2
    return np.stack([np.interp(wanted, places, row) for row in np.eye(old)], axis=1)
