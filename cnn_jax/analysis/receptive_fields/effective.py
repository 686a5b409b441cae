"""The effective receptive field: where the gradient of a unit is, and how large (Luo, Li, Urtasun & Zemel 2016).

"Understanding the effective receptive field in deep convolutional neural networks": a 1 is put at the unit in the
middle of a layer's map, 0 elsewhere, and carried back to the image. What comes out is large in the middle and falls off
like a Gaussian; most of what a unit can see hardly counts.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.layers import Apply, with_outputs
from cnn_jax.analysis.receptive_fields.field import Box, Field

Program = Callable[[Any, jax.Array, jax.Array], jax.Array]
THRESHOLD = 1 - 0.9545  # of the largest value: where a Gaussian's two standard deviations end
_MOST_BYTES = 256 << 20


class Gradients(NamedTuple):
    """Of a unit with respect to the pixels of N images, summed up over channels: float32 [N, H, W].

    Attributes:
      signed: the sum.
      absolute: of absolute values.
      squared: of squares.
    """

    signed: np.ndarray
    absolute: np.ndarray
    squared: np.ndarray


class Fit(NamedTuple):
    """A Gaussian by least squares: standard deviations in pixels, and the share of the variance that it explains."""

    std: tuple[float, float]
    r2: float


class Extent(NamedTuple):
    """How far a map of gradients reaches; pixels, as (rows, columns).

    Attributes:
      size: the square root of the number of pixels above 4.55 % of the largest value.
      std: of the map as a distribution.
      fit: None where no Gaussian fits.
      ratio: size, over the side of a square as large as what the unit can see of the image.
      leakage: the share of the map outside of that; 0, or the theoretical field is wrong.
    """

    size: float
    std: tuple[float, float]
    fit: Fit | None
    ratio: float
    leakage: float


def compile_gradients(apply: Apply, fields: Sequence[Field]) -> Program:
    """(variables, images [B, H, W, C], channels [L, B]) -> gradients [L, B, H, W, C] of each layer's middle unit.

    Each image has its own channel of the unit: a sum over channels may have no gradient where they are normalised.
    """

    def gradients(variables: Any, images: jax.Array, channels: jax.Array) -> jax.Array:
        def units(pixels: jax.Array) -> jax.Array:
            outputs = with_outputs(apply, [field.name for field in fields])(variables, pixels)[1]
            return jnp.stack([_unit(outputs[f.name], f, channel) for f, channel in zip(fields, channels, strict=True)])

        _, pull = jax.vjp(units, images)
        one_hot = jnp.broadcast_to(jnp.eye(len(fields))[:, :, None], (len(fields), *channels.shape))
        return jax.lax.map(lambda cotangent: pull(cotangent)[0], one_hot)

    return jax.jit(gradients)


def _unit(output: jax.Array, field: Field, channel: jax.Array) -> jax.Array:
    """[B]: of each image one channel of the middle unit."""
    values = output[(slice(None), *field.middle)].reshape(len(output), -1)
    return jnp.take_along_axis(values, channel[:, None] % values.shape[1], axis=1)[:, 0]


def measure_gradients(
    program: Program, fields: Sequence[Field], variables: Any, images: np.ndarray, seed: int = 0
) -> dict[str, Gradients]:
    """Of each layer the gradients of its middle unit, for each image of one of its channels, drawn by the seed.

    Args:
      program: of `compile_gradients` for these fields.
      images: as the network takes them, float32 [N, H, W, C].
    """
    channels = np.random.RandomState(seed).randint(0, 1 << 30, (len(fields), len(images)))
    at_once = min(len(images), images_at_once(fields))
    parts = []
    for start in range(0, len(images), at_once):
        # The last ones once more: all calls have one shape.
        rows = np.minimum(np.arange(start, start + at_once), len(images) - 1)
        gradients = np.asarray(program(variables, jnp.asarray(images[rows]), jnp.asarray(channels[:, rows])))
        kept = gradients[:, : len(images) - start]
        parts.append(np.stack([kept.sum(-1), np.abs(kept).sum(-1), np.square(kept).sum(-1)], axis=1))
    return {field.name: Gradients(*maps) for field, maps in zip(fields, np.concatenate(parts, axis=2), strict=True)}


def images_at_once(fields: Sequence[Field]) -> int:
    """How many images fit into 256 MiB, with some values kept of each layer up to the last of these."""
    height, width = fields[0].image
    floats = sum(math.prod(field.shape) for field in fields) * 12 + height * width * 3 * (3 + len(fields))
    return max(1, _MOST_BYTES // (4 * floats))


def mean_map(gradients: Gradients, kind: str) -> np.ndarray:
    """[H, W]: over images the mean of "signed" or "absolute", or the root of that of squares, "rms"."""
    if kind == "rms":
        return np.sqrt(gradients.squared.mean(0))
    mean: np.ndarray = getattr(gradients, kind).mean(0)
    return mean


def measure_extent(values: np.ndarray, box: Box) -> Extent | None:
    """Of a map [H, W] without negative values; None where it is zero everywhere.

    Args:
      box: what the unit can see of the image.
    """
    values = np.asarray(values, np.float64)
    total = values.sum()
    if not total > 0:
        return None
    top, left, bottom, right = box
    inside = values[top:bottom, left:right]
    size = size_of(values)
    std = [_deviation(values.sum(axis)) for axis in (1, 0)]
    area = (bottom - top) * (right - left)
    outside = values.copy()
    outside[top:bottom, left:right] = 0
    return Extent(size, (std[0], std[1]), _fit(inside), size / math.sqrt(area), float(outside.sum() / total))


def size_of(values: np.ndarray) -> float:
    """The square root of the number of pixels of [H, W] above 4.55 % of the largest."""
    return math.sqrt(int((values > THRESHOLD * values.max()).sum()))


def standard_error(absolute: np.ndarray, seed: int = 0, draws: int = 200) -> float:
    """Of the size of the mean of maps [N, H, W]: its deviation over bootstrap samples of the images (Efron 1979)."""
    count = len(absolute)
    weights = np.random.RandomState(seed).multinomial(count, [1 / count] * count, size=draws) / count
    means = weights.astype(np.float32) @ absolute.reshape(count, -1)
    return float(np.std([size_of(mean) for mean in means], ddof=1))


def _deviation(profile: np.ndarray) -> float:
    places = np.arange(len(profile))
    share = profile / profile.sum()
    middle = (share * places).sum()
    return float(np.sqrt((share * (places - middle) ** 2).sum()))


def _fit(values: np.ndarray) -> Fit | None:
    from scipy.optimize import curve_fit

    rows, columns = np.indices(values.shape).reshape(2, -1)
    start = [values.max(), *(np.average(places, weights=values.reshape(-1)) for places in (rows, columns))]
    start += [max(_deviation(values.sum(axis)), 0.3) for axis in (1, 0)]
    spread = np.square(values - values.mean()).sum()
    if values.size <= len(start) or spread == 0:
        return None
    try:
        found, _ = curve_fit(_gaussian, (rows, columns), values.reshape(-1) / start[0], [1.0, *start[1:]], maxfev=2000)
    except RuntimeError:  # it did not converge
        return None
    residual = np.square(_gaussian((rows, columns), *found) * start[0] - values.reshape(-1)).sum()
    return Fit((abs(float(found[3])), abs(float(found[4]))), 1 - float(residual / spread))


def _gaussian(
    places: Sequence[np.ndarray], height: float, row: float, column: float, std_rows: float, std_columns: float
) -> np.ndarray:
    rows, columns = places
    values: np.ndarray = height * np.exp(
        -((rows - row) ** 2) / (2 * std_rows**2) - (columns - column) ** 2 / (2 * std_columns**2)
    )
    return values


def choose_layers(fields: Mapping[str, Field], most: int) -> list[Field]:
    """At most so many layers whose units have a place, of which each sees more than the one before; the last is one."""
    grown: list[Field] = []
    for field in fields.values():
        if field.local is None or len(field.places) < 2:
            continue
        if grown and (field.size, field.stride) == (grown[-1].size, grown[-1].stride):
            grown[-1] = field  # the last of those that see as much: behind norm and activation
        else:
            grown.append(field)
    places: Any = np.unique(np.linspace(0, len(grown) - 1, min(most, len(grown))).round().astype(int)) if grown else []
    return [grown[place] for place in places]
