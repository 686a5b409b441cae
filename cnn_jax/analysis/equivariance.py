"""Which layer does not move with the picture: ||f(T x) - T f(x)|| / ||f(x)||, for each layer f.

T moves a picture in a circle, down and to the right, and a map by as many of its own steps. Two shifts tell two faults
apart: by the step of all layers together a network differs at its borders alone (zeros beyond them, pixels left out);
by one pixel, where a map moves by a part of its step and is interpolated, what is sampled too coarsely differs, too.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import FlaxError

from cnn_jax.analysis.layers import Apply, list_layers, with_outputs

Stride = tuple[int, int]

_BROKEN = 1e-3  # far above rounding, far below what anyone would see
_GROWTH = 960  # pixels by which an image is larger: the usual strides divide it
_BYTES, _VIEWS = 256 * 2**20, 3  # of the outputs of all layers; of each image


class LayerError(NamedTuple):
    """How far a layer is from moving with the picture; of vectors: from not moving.

    Attributes:
      stride: pixels of the image per step of its map, down and across; None of vectors.
      one_pixel: the error at a shift by one pixel.
      whole_steps: at a shift that all strides divide; None where its own does not.
      chance: between different images: what a layer has that knows nothing of the picture's place.
    """

    name: str
    shape: tuple[int, ...]
    stride: Stride | None
    one_pixel: float
    whole_steps: float | None
    chance: float

    @property
    def of_chance(self) -> float:
        """The error at one pixel as a share of chance: sizes of maps, and means that all maps have, cancel."""
        return self.one_pixel / max(self.chance, 1e-30)


class Equivariance(NamedTuple):
    """Of all layers that give maps or vectors, in order.

    Attributes:
      shift: pixels of `whole_steps`.
      first: the first layer whose error at one pixel is above 0.001; None where there is none.
      most: of those behind it the one at which the error, as a share of chance, rises most above the layer's before it;
        None where it rises nowhere.
    """

    layers: tuple[LayerError, ...]
    shift: int
    first: str | None
    most: str | None


def layer_strides(apply: Apply, variables: Any, image_shape: Sequence[int]) -> dict[str, Stride]:
    """Pixels of the image per step of each layer's map, down and across.

    They are seen in how a map grows with the image. A head that takes maps of one size ends the comparison; layers
    whose maps do not grow have no stride.
    """
    height, width, channels = image_shape
    near = list_layers(apply, variables, image_shape)
    far: dict[str, tuple[int, ...]] = {}

    def note(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        output = call(*args, **kwargs)
        if context.method_name == "__call__" and isinstance(output, jax.Array):
            far["/".join(context.module.path)] = output.shape[1:]
        return output

    larger = jax.ShapeDtypeStruct((1, height + _GROWTH, width + _GROWTH, channels), "float32")
    try:
        with nn.intercept_methods(note):
            jax.eval_shape(apply, variables, larger)
    except (TypeError, ValueError, FlaxError):  # flattened maps that are too long, or positions too few
        pass
    strides = {}
    for name, shape in near.items():
        grown = [there - here for here, there in zip(shape[:2], far.get(name, shape)[:2], strict=True)]
        if len(shape) == 3 and min(grown) > 0:
            strides[name] = (round(_GROWTH / grown[0]), round(_GROWTH / grown[1]))
    return strides


def measure_equivariance(apply: Apply, variables: Any, images: np.ndarray) -> Equivariance:
    """The errors of all layers over images [N, H, W, C], N at least 2, and the layers that break.

    Left out are layers that give tokens or maps of one step, a block that gives what its last layer gives, and images
    that do not fill the last of several equal parts, where not all fit into memory at once.
    """
    shape = images.shape[1:]
    strides = layer_strides(apply, variables, shape)
    shapes = {
        name: size
        for name, size in list_layers(apply, variables, shape).items()
        if len(size) == 1 or (name in strides and min(size[:2]) > 1)
    }
    shift = _common_step([strides[name] for name in shapes if name in strides], min(shape[:2]))
    measure = jax.jit(functools.partial(_sums, apply, {name: strides.get(name) for name in shapes}, shift))
    most = max(2, _BYTES // (_VIEWS * 4 * sum(map(math.prod, shapes.values()))))
    part = len(images) // -(-len(images) // most)
    parts = [measure(variables, images[start : start + part]) for start in range(0, len(images) - part + 1, part)]
    rows: list[LayerError] = []
    for name, stride in ((name, strides.get(name)) for name in shapes):
        one, whole, chance, norm = np.sum([np.asarray(sums[name], np.float64) for sums in parts], axis=0)
        errors = [math.sqrt(each / max(norm, 1e-30)) for each in (one, whole, chance)]
        if rows and rows[-1].name.startswith(f"{name}/") and np.isclose(errors[0], rows[-1].one_pixel, rtol=1e-6):
            continue
        divides = stride is None or not any(shift % step for step in stride)
        rows.append(LayerError(name, shapes[name], stride, errors[0], errors[1] if divides else None, errors[2]))
    return Equivariance(tuple(rows), shift, *_breaking(rows))


def _breaking(rows: Sequence[LayerError]) -> tuple[str | None, str | None]:
    """The first broken layer, and the one behind it at which the error rises most."""
    first = next((place for place, row in enumerate(rows) if row.one_pixel > _BROKEN), None)
    if first is None:
        return None, None
    rises = [
        (row.of_chance - before.of_chance, row.name)
        for before, row in itertools.pairwise(rows[first:])
        if (row.stride is None) == (before.stride is None)  # maps that should move, or vectors that should not
    ]
    rise, most = max(rises, default=(0.0, ""))
    return rows[first].name, most if rise > 0 else None


def _common_step(strides: Sequence[Stride], side: int) -> int:
    """A shift below the image's side that all strides divide, or as many of the first as do; 1 where there are none."""
    shift = 1
    for step in sorted({step for stride in strides for step in stride}):
        if math.lcm(shift, step) < side:
            shift = math.lcm(shift, step)
    return shift


def _sums(
    apply: Apply, strides: dict[str, Stride | None], shift: int, variables: Any, images: jax.Array
) -> dict[str, jax.Array]:
    """Of each layer the sums of squares over a batch: of three errors, and of what it gives."""
    images = images.astype(jnp.float32)
    seen = jnp.concatenate([images, *(jnp.roll(images, (by, by), (1, 2)) for by in (1, shift))])
    _, outputs = with_outputs(apply, list(strides))(variables, seen)
    sums = {}
    for name, stride in strides.items():
        plain, by_one, by_steps = jnp.split(outputs[name].astype(jnp.float32), _VIEWS)
        expected = _moved(plain, 1, stride)
        differences = (
            by_one - expected, by_steps - _moved(plain, shift, stride), jnp.roll(by_one, 1, axis=0) - expected, plain
        )  # fmt: skip
        sums[name] = jnp.stack([jnp.square(each).sum() for each in differences])
    return sums


def _moved(maps: jax.Array, pixels: int, stride: Stride | None) -> jax.Array:
    """A map [B, h, w, C] moved in a circle by pixels of the image, between its own steps linearly; a vector stays."""
    for axis, step in enumerate(stride or (), start=1):
        steps, rest = divmod(pixels, step)
        near, far = jnp.roll(maps, steps, axis), jnp.roll(maps, steps + 1, axis)
        maps = near if rest == 0 else near + rest / step * (far - near)
    return maps
