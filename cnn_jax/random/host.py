"""The draws of `jax.random` in NumPy, bit for bit, for worker processes that must not start JAX.

Threefry-2x32 with 20 rounds (Salmon et al. 2011, section 3.3); keys are uint32 arrays [..., 2]. What is drawn here
equals what the functions of the same names in `jax.random` draw (`jax_threefry_partitionable`, JAX's default).
"""

import numpy as np

from cnn_jax.random.streams import STREAMS

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def stream_key(seed: int, stream: str, *counters: int) -> np.ndarray:
    """The key [2] of `cnn_jax.random.keys.stream_key` with the same arguments."""
    key = fold_in(np.array([0, seed], np.uint32), STREAMS[stream])
    for counter in counters:
        key = fold_in(key, counter)
    return key


def fold_in(key: np.ndarray, data: int | np.ndarray) -> np.ndarray:
    """`jax.random.fold_in`: a key [2] with data [...] gives keys [..., 2]; keys [..., 2] with one number likewise."""
    low = np.asarray(data).astype(np.uint32)
    return np.stack(_threefry(key, np.zeros_like(low), low), axis=-1)


def uniform(keys: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`jax.random.uniform(key, shape)` for each of the keys [..., 2]: float32 [..., *shape] in [0, 1)."""
    counts = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint32)
    bits = _bits(keys[..., None, :], counts)
    # 23 random bits behind the exponent of 1.0 give a float in [1, 2).
    floats = ((bits >> np.uint32(9)) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)
    return floats.reshape(*keys.shape[:-1], *shape)


def permutation(key: np.ndarray, count: int) -> np.ndarray:
    """`jax.random.permutation(key, count)`: int64 [count]."""
    order = np.arange(count)
    # Sorting by random 32-bit words, as often as it takes to make ties everywhere unlikely.
    for _ in range(int(np.ceil(3 * np.log(max(1, count)) / np.log(2**32 - 1)))):
        key, subkey = _split(key)
        order = order[np.argsort(_bits(subkey, np.arange(count, dtype=np.uint32)), kind="stable")]
    return order


def _split(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    new = fold_in(key, np.arange(2))
    return new[0], new[1]


def _bits(keys: np.ndarray, counts: np.ndarray) -> np.ndarray:
    first, second = _threefry(keys, np.zeros_like(counts), counts)
    return first ^ second


def _threefry(keys: np.ndarray, high: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The block cipher on the words (high, low), which broadcast against the keys' leading axes."""
    words = (keys[..., 0], keys[..., 1], keys[..., 0] ^ keys[..., 1] ^ np.uint32(0x1BD11BDA))
    with np.errstate(over="ignore"):  # uint32 arithmetic is meant to wrap
        first, second = high + words[0], low + words[1]
        for group in range(5):
            for rotation in _ROTATIONS[group % 2]:
                first = first + second
                second = (second << np.uint32(rotation)) | (second >> np.uint32(32 - rotation))
                second = second ^ first
            first = first + words[(group + 1) % 3]
            second = second + words[(group + 2) % 3] + np.uint32(group + 1)
    return first, second
