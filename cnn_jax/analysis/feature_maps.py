"""What every layer makes of an image, and which of its maps are dead: zero for every image of a sample.

A map is a channel of an output [B, H, W, C] or of tokens [B, T, C]; of a vector [B, D] each entry is one.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.layers import Apply, with_outputs

_LARGEST_BATCH = 128
_INTO = "input of "
_LIVE = 4  # outputs that are in memory at a time, about: each is reduced as soon as the next one is made


@dataclasses.dataclass(frozen=True)
class Structure:
    """What a network computes for one image, in order.

    Attributes:
      layers: {name: shape of its output}; a layer that hands on what another gave is left out, and dropout with it. A
        vector that no layer gave, but one takes, as flattened maps or a hidden layer's activations, is "input of NAME".
      depths: {name: how deep its output stands}: 0 of what the network itself uses, 1 of what a block of it does; of an
        output that several give, the outermost counts.
      vectors: {name: the layer with the last map before it, None: the image}, of layers that take a vector [B, D].
    """

    layers: dict[str, tuple[int, ...]]
    depths: dict[str, int]
    vectors: dict[str, str | None]


@dataclasses.dataclass(frozen=True)
class Seen:
    """Of one image: {name: output [...]} of all layers, {name: input [D]} of those that take a vector."""

    outputs: Mapping[str, np.ndarray]
    inputs: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Activity:
    """Of N images.

    Attributes:
      logits: [N, K].
      peaks: {layer: the largest absolute value of each map, [C]}.
      active: {layer: share of its values that are not 0}.
    """

    logits: np.ndarray
    peaks: Mapping[str, np.ndarray]
    active: Mapping[str, float]

    def dead(self, layer: str) -> np.ndarray:
        """Numbers of the maps that are zero for every image."""
        return np.flatnonzero(self.peaks[layer] == 0)


class Observer:
    """A network whose layers are looked at; it is compiled once.

    Args:
      apply, variables: see `layers`.
      image_shape: (height, width, channels).
      images: how many there are to look at, for the size of a batch.
      memory: bytes that a batch may take, about.
    """

    def __init__(
        self, apply: Apply, variables: Any, image_shape: tuple[int, int, int], images: int, memory: int = 1 << 28
    ):
        self.structure = find_structure(apply, variables, image_shape)
        self._variables = variables
        largest = max((int(np.prod(shape)) for shape in self.structure.layers.values()), default=1)
        self.batch = int(np.clip(memory // (4 * _LIVE * largest), 1, min(_LARGEST_BATCH, images)))
        self._program = jax.jit(_observing(apply, self.structure))

    def see(self, image: np.ndarray) -> Seen:
        """One image [H, W, C]."""
        images, mask = _padded(image[None], self.batch)
        first = self._program(self._variables, images, mask)[1]
        outputs, inputs = ({name: np.asarray(value, np.float32) for name, value in of.items()} for of in first)
        return Seen(outputs, inputs)

    def activity(self, images: np.ndarray) -> Iterator[tuple[int, Activity]]:
        """Of [N, H, W, C]: after each batch, how many images it had, and the activity so far."""
        logits: list[np.ndarray] = []
        peaks = {name: np.zeros(shape[-1], np.float32) for name, shape in self.structure.layers.items()}
        active = dict.fromkeys(peaks, 0.0)
        done = 0
        for start in range(0, len(images), self.batch):
            part, mask = _padded(images[start : start + self.batch], self.batch)
            of_part, _, highest, nonzero = self._program(self._variables, part, mask)
            count = int(mask.sum())
            logits.append(np.asarray(of_part)[:count])
            for name in peaks:
                peaks[name] = np.maximum(peaks[name], np.asarray(highest[name]))
                active[name] += (float(nonzero[name]) - active[name]) * count / (done + count)
            done += count
            yield count, Activity(np.concatenate(logits), peaks, active)


def find_structure(apply: Apply, variables: Any, image_shape: tuple[int, int, int]) -> Structure:
    """Traced, not computed."""
    layers: dict[str, tuple[int, ...]] = {}
    depths: dict[str, int] = {}
    vectors: dict[str, str | None] = {}

    def trace(weights: Any, images: jax.Array) -> None:
        given: dict[int, tuple[str, jax.Array]] = {}  # by identity; kept, so that no two of them have the same
        last_map: list[str] = []

        def is_new(name: str, value: jax.Array) -> bool:
            first, _ = given.setdefault(id(value), (name, value))
            depths[first] = min(depths.get(first, name.count("/")), name.count("/"))
            if first == name:
                layers[name] = value.shape[1:]
            return first == name

        def note(call: Any, arguments: Any, keywords: Any, context: nn.module.InterceptorContext) -> Any:
            name = "/".join(context.module.path)
            named = bool(name) and context.method_name == "__call__" and not isinstance(context.module, nn.Dropout)
            if named and arguments and _rank(arguments[0]) == 1:
                vectors[name] = last_map[-1] if last_map else None
                is_new(_INTO + name, arguments[0])
            output = call(*arguments, **keywords)
            if named and _rank(output) in (1, 2, 3) and is_new(name, output) and _rank(output) > 1:
                last_map.append(name)
            return output

        with nn.intercept_methods(note):
            apply(weights, images)

    jax.eval_shape(trace, variables, jax.ShapeDtypeStruct((1, *image_shape), "float32"))
    return Structure(layers, depths, vectors)


def as_maps(layer: str, output: np.ndarray, structure: Structure) -> np.ndarray | None:
    """An output as maps [H, W, C]: tokens lie on the grid of the last maps before them; None for a vector.

    Tokens [T, C] before which there was no map of T places stand below each other, [T, 1, C]; tokens beyond the places
    (that of the class) are left out.
    """
    if output.ndim != 2:
        return output if output.ndim == 3 else None
    before = list(structure.layers)[: list(structure.layers).index(layer)]
    for name in reversed(before):
        shape = structure.layers[name]
        if len(shape) == 3 and 0 <= len(output) - shape[0] * shape[1] <= 1:
            places = shape[0] * shape[1]
            return output[len(output) - places :].reshape(*shape[:2], -1)
    return output[:, None]


def most_varied(maps: np.ndarray, most: int) -> np.ndarray:
    """Numbers of the maps of [H, W, C] with the largest variance over their places, the largest first."""
    return np.argsort(-maps.reshape(-1, maps.shape[-1]).var(axis=0), kind="stable")[:most]


def choose_layers(depths: Mapping[str, int], most: int) -> list[str]:
    """All layers; of more than `most` the outermost, as whole blocks, and the last; of too many of these some."""
    last = list(depths)[-1]
    for depth in range(max(depths.values()), min(depths.values()) - 1, -1):
        chosen = [name for name in depths if depths[name] <= depth or name == last]
        if len(chosen) <= most:
            break
    return [chosen[i] for i in np.unique(np.linspace(0, len(chosen) - 1, min(most, len(chosen))).astype(int))]


def _observing(apply: Apply, structure: Structure) -> Any:
    """(variables, images, mask [B]) -> (logits, (outputs, inputs) of the first image, peaks, active shares)."""
    applied = with_outputs(apply, list(structure.layers))

    def observe(variables: Any, images: jax.Array, mask: jax.Array) -> Any:
        inputs: dict[str, jax.Array] = {}

        def keep(call: Any, arguments: Any, keywords: Any, context: nn.module.InterceptorContext) -> Any:
            name = "/".join(context.module.path)
            if name in structure.vectors and context.method_name == "__call__":
                inputs[name] = arguments[0]
            return call(*arguments, **keywords)

        with nn.intercept_methods(keep):
            logits, outputs = applied(variables, images)
        outputs |= {_INTO + name: given for name, given in inputs.items() if _INTO + name in structure.layers}
        outputs = {name: outputs[name] for name in structure.layers}
        peaks, active = {}, {}
        for name, output in outputs.items():
            weight = mask.reshape(-1, *[1] * (output.ndim - 1))
            peaks[name] = (jnp.abs(output) * weight).astype(jnp.float32).max(axis=tuple(range(output.ndim - 1)))
            places = output.size // len(output)
            active[name] = ((output != 0) * weight).astype(jnp.float32).sum() / (mask.sum() * places)
        first = jax.tree.map(lambda value: value[0], (outputs, inputs))
        return logits, first, peaks, active

    return observe


def _padded(images: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """[count, ...] with zeros behind, and which are real, float32 [count]."""
    missing = count - len(images)
    mask = np.repeat(np.array([1, 0], np.float32), [len(images), missing])
    return np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)]), mask


def _rank(value: Any) -> int:
    """Axes behind the batch; 0 of what is no array."""
    return value.ndim - 1 if isinstance(value, jax.Array) else 0
