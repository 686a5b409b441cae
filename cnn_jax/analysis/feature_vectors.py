"""How maps become a feature vector, and what each entry of it adds to the score of a class."""

import dataclasses
from typing import Any

import numpy as np

from cnn_jax.analysis.feature_maps import Seen, Structure, as_maps
from cnn_jax.models.last_layer import LAST_LAYER

_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class Flattening:
    """Where maps [H, W, C] become a vector [D].

    Attributes:
      kind: "flatten": entry (row * W + column) * C + map; "mean" or "max" over the places of each map; "token": what
        stands at the class token; "other".
      source: the layer that gives the maps; None: the image itself.
      target: the layer that takes the vector.
      maps: None of an image, and of kind "other".
    """

    kind: str
    source: str | None
    target: str
    vector: np.ndarray
    shape: tuple[int, int, int]
    maps: np.ndarray | None

    def place(self, entry: int) -> dict[str, int]:
        """Where an entry comes from: its `map`, and of a flattened one `row` and `column`; {} of kind "other"."""
        if self.kind == "other":
            return {}
        if self.kind != "flatten":
            return {"map": entry}
        position, number = divmod(entry, self.shape[2])
        return {"map": number, "row": position // self.shape[1], "column": position % self.shape[1]}


@dataclasses.dataclass(frozen=True)
class Contributions:
    """score = bias + sum of products, products = weights * inputs, each [D]."""

    inputs: np.ndarray
    weights: np.ndarray
    products: np.ndarray
    bias: float

    @property
    def score(self) -> float:
        return self.bias + float(self.products.sum())


def find_flattening(structure: Structure, seen: Seen, image_shape: tuple[int, int, int]) -> Flattening | None:
    """The step from maps to a vector that the head, or the first dense layer, takes; None of a network without one.

    It is told by the values of one image: the first vector that holds all entries of the maps before it; else how the
    head's vector comes from the last maps.
    """
    for target, source in structure.vectors.items():
        vector = seen.inputs[target]
        if source is None:
            if vector.size == np.prod(image_shape):
                return Flattening("flatten", None, target, vector, image_shape, None)
            continue
        output = seen.outputs[source]
        if output.ndim == 3 and vector.size == output.size and np.array_equal(vector, output.reshape(-1)):
            return Flattening("flatten", source, target, vector, output.shape, output)
    source = structure.vectors.get(LAST_LAYER[0])
    if source is None:
        return None
    # A norm may stand between the vector and the head.
    target = next(name for name, before in structure.vectors.items() if before == source)
    return _pooling(structure, seen, source, target)


def _pooling(structure: Structure, seen: Seen, source: str, target: str) -> Flattening:
    vector, output = seen.inputs[target], seen.outputs[source]
    maps = as_maps(source, output, structure)
    assert maps is not None
    places = output.reshape(-1, output.shape[-1])
    shape = (maps.shape[0], maps.shape[1], maps.shape[2])
    if vector.size == output.shape[-1]:
        candidates = [("mean", places.mean(axis=0)), ("max", places.max(axis=0))]
        candidates += [("token", places[0])] if output.ndim == 2 else []
        for kind, value in candidates:
            if np.allclose(vector, value, rtol=_TOLERANCE, atol=_TOLERANCE * max(float(np.abs(vector).max()), 1e-6)):
                return Flattening(kind, source, target, vector, shape, maps)
    return Flattening("other", source, target, vector, shape, None)


def find_contributions(variables: Any, seen: Seen, label: int) -> Contributions | None:
    """Of the last layer to the score of a class; None of a network whose last layer is not `head/logits`."""
    name = "/".join(LAST_LAYER)
    layer: Any = variables["params"]
    for part in LAST_LAYER:
        layer = layer.get(part, {})
    if name not in seen.inputs or "kernel" not in layer:
        return None
    weights = np.asarray(layer["kernel"], np.float32)[:, label]
    bias = float(np.asarray(layer["bias"])[label]) if "bias" in layer else 0.0
    inputs = seen.inputs[name]
    return Contributions(inputs, weights, inputs * weights, bias)
