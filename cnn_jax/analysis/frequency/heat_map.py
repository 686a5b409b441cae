"""The Fourier heat map (Yin et al. 2019): what waves of each frequency, added to images, do to a network."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.layers import Apply, with_outputs
from cnn_jax.random.keys import example_keys


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """What waves do, by their frequency; a wave and its mirror image through 0 are one.

    Attributes:
      rows: [R], frequencies down, in waves per image; 0 is among them.
      columns: [C], those across.
      wrong: [R, C] integers, how many images are classified wrongly.
      wrong_without: how many are without a wave.
      images: how many there are.
      changes: {layer: [R, C]}, the mean over images of the length of the change of its output.
      lengths: {layer: the mean length of its output without a wave}.
    """

    rows: np.ndarray
    columns: np.ndarray
    wrong: np.ndarray
    wrong_without: int
    images: int
    changes: Mapping[str, np.ndarray]
    lengths: Mapping[str, float]


def fourier_wave(height: int, width: int, row: int | jax.Array, column: int | jax.Array) -> jax.Array:
    """The real wave [H, W] of norm 1 whose transform is (1 + i) / 2 at a frequency and (1 - i) / 2 opposite.

    Two that are neither the same nor opposite are orthogonal.

    Args:
      row, column: waves per image down and across, -H // 2 to (H - 1) // 2; may be traced.
    """
    # Of a pair the reference takes the first in reading order; frequencies count modulo the size.
    row, column = jnp.asarray(row), jnp.asarray(column)
    is_first = jnp.where((2 * row) % height == 0, column < 0, row < 0)
    turn = jnp.where(is_first, 1, -1)
    y, x = jnp.arange(height)[:, None], jnp.arange(width)[None, :]
    # In whole numbers, so that high frequencies are as exact as low ones.
    down, across = (turn * row * y) % height * width, (turn * column * x) % width * height
    angle = 2 * math.pi / (height * width) * ((down + across) % (height * width)).astype(jnp.float32)
    return (jnp.cos(angle) - jnp.sin(angle)) / math.sqrt(height * width)


def published_norm(height: int, width: int) -> float:
    """The wave's norm for pixels in 0..1: 4.0 of 32x32 images, 15.7 of 224x224, as published.

    Images of other sizes get the root of the mean square, an eighth of the range up to 64 pixels and 0.07 above, of
    the published size that is nearer.
    """
    side = math.sqrt(height * width)
    return 4.0 * side / 32 if side <= 64 else 15.7 * side / 224


def frequency_grid(size: int, step: int = 1) -> np.ndarray:
    """The multiples of `step` among the frequencies of `size` pixels, from below 0 to above it."""
    frequencies = np.arange(-(size // 2), (size + 1) // 2)
    return frequencies[frequencies % step == 0]


def fourier_heat_map(
    apply: Apply,
    variables: Any,
    images: np.ndarray,
    labels: np.ndarray,
    norm: float,
    layers: Sequence[str] = (),
    step: int = 1,
    key: jax.Array | None = None,
    clip: bool = False,
    batch_size: int = 128,
    advance: Callable[[float], object] = lambda share: None,
) -> HeatMap:
    """Adds each wave to each image, before any normalisation, and compares.

    The authors' code forgets the factor `norm` where it flips signs; here it counts in both cases.

    Args:
      apply: (variables, pixels 0..255 [B, H, W, C]) -> logits.
      images: [N, H, W, C], pixels 0..255.
      labels: [N].
      norm: of the wave in each channel, for pixels in 0..1; see `published_norm`.
      layers: whose outputs are compared, too.
      step: only every so many-th frequency, in both directions.
      key: for a random sign of each wave, image and channel; None: all are added.
      clip: whether what leaves 0..255 is cut off; the published figures were made without.
      batch_size: images at once.
      advance: is told which share is done since the last call.
    """
    height, width = images.shape[1:3]
    rows, columns = frequency_grid(height, step), frequency_grid(width, step)
    waves = _half(rows, columns, height, width)
    plain, added = _compiled(apply, tuple(layers), norm, key is not None, clip)
    key = jax.random.key(0) if key is None else key
    wrong, wrong_without, lengths = np.zeros(len(waves), np.int64), 0, np.zeros(len(layers))
    changes = np.zeros((len(waves), len(layers)))
    batch_size = min(batch_size, len(images))
    for start in range(0, len(images), batch_size):
        index = np.arange(start, start + batch_size)
        counts = index < len(images)  # the last batch is filled up
        pixels, targets = (jnp.asarray(each[index % len(images)]) for each in (images, labels))
        clean, missed, length = plain(variables, pixels, targets, counts)
        wrong_without += int(missed)
        lengths += np.asarray(length, np.float64)
        for place, wave in enumerate(waves):
            missed, changed = added(variables, pixels, targets, clean, counts, np.array(wave), key, index)
            wrong[place] += int(missed)
            changes[place] += np.asarray(changed, np.float64)
            advance(counts.sum() / len(images) / len(waves))
    spread = functools.partial(_on_grid, waves=waves, rows=rows, columns=columns, height=height, width=width)
    return HeatMap(
        rows, columns, spread(wrong), wrong_without, len(images),
        {name: spread(changes[:, i] / len(images)) for i, name in enumerate(layers)},
        {name: float(lengths[i] / len(images)) for i, name in enumerate(layers)},
    )  # fmt: skip


def _compiled(
    apply: Apply, layers: tuple[str, ...], norm: float, flips: bool, clip: bool
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Of plain images -> (outputs, how many are wrong, sums of lengths); with a wave -> (how many, sums of changes)."""
    outputs = with_outputs(apply, layers)

    def summed(found: Sequence[jax.Array], counts: jax.Array) -> jax.Array:
        return jnp.array([(counts * _lengths(output)).sum() for output in found])

    def missed(logits: jax.Array, targets: jax.Array, counts: jax.Array) -> jax.Array:
        return (counts & (logits.argmax(-1) != targets)).sum()

    @jax.jit
    def plain(
        variables: Any, pixels: jax.Array, targets: jax.Array, counts: jax.Array
    ) -> tuple[list[jax.Array], jax.Array, jax.Array]:
        logits, found = outputs(variables, pixels)
        clean = [found[name] for name in layers]
        return clean, missed(logits, targets, counts), summed(clean, counts)

    @jax.jit
    def added(
        variables: Any, pixels: jax.Array, targets: jax.Array, clean: list[jax.Array], counts: jax.Array,
        wave: jax.Array, key: jax.Array, index: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:  # fmt: skip
        height, width, channels = pixels.shape[1:]
        signs = jnp.ones((len(pixels), channels))
        if flips:
            # Of the wave's own frequency, whichever others are looked at.
            own = jax.random.fold_in(key, (wave[0] % height) * width + wave[1] % width)
            signs = jax.vmap(lambda each: jax.random.rademacher(each, (channels,), jnp.float32))(
                example_keys(own, index)
            )
        noise = 255 * norm * fourier_wave(height, width, wave[0], wave[1])
        noisy = pixels.astype(jnp.float32) + noise[None, :, :, None] * signs[:, None, None, :]
        logits, found = outputs(variables, jnp.clip(noisy, 0, 255) if clip else noisy)
        changes = [found[name] - before for name, before in zip(layers, clean, strict=True)]
        return missed(logits, targets, counts), summed(changes, counts)

    return plain, added


def _lengths(output: jax.Array) -> jax.Array:
    """[B, ...] -> [B]."""
    return jnp.sqrt((output.astype(jnp.float32) ** 2).reshape(len(output), -1).sum(-1))


def _half(rows: np.ndarray, columns: np.ndarray, height: int, width: int) -> list[tuple[int, int]]:
    """One of each pair of opposite frequencies on the grid."""
    pairs = {min((int(i), int(j)), _opposite(int(i), int(j), height, width)): None for i in rows for j in columns}
    return list(pairs)


def _opposite(row: int, column: int, height: int, width: int) -> tuple[int, int]:
    """The highest frequency of an even size is its own opposite."""
    return tuple(-each if 2 * each != -size else each for each, size in ((row, height), (column, width)))  # type: ignore[return-value]


def _on_grid(
    values: np.ndarray, waves: Sequence[tuple[int, int]], rows: np.ndarray, columns: np.ndarray, height: int, width: int
) -> np.ndarray:
    """[waves] -> [R, C], the same at opposite frequencies."""
    of = dict(zip(waves, values, strict=True))
    places = [[min((int(i), int(j)), _opposite(int(i), int(j), height, width)) for j in columns] for i in rows]
    return np.array([[of[place] for place in line] for line in places])
