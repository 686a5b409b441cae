"""What a network is made of, layer by layer, counted from shapes without computing anything."""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Layer:
    """One row: shapes without the batch; multiply-adds for one image."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...] | None
    parameters: int
    multiply_adds: int


@dataclasses.dataclass(frozen=True)
class Table:
    """All layers in the order in which they are applied; `str` draws it."""

    layers: tuple[Layer, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.layers)

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)

    def __str__(self) -> str:
        rows = [("layer", "kind", "output", "kernel", "parameters", "multiply-adds")]
        for layer in self.layers:
            kernel = "x".join(map(str, layer.kernel_shape)) if layer.kernel_shape else "-"
            output = "x".join(map(str, layer.output_shape))
            rows.append((layer.name, layer.kind, output, kernel, f"{layer.parameters:,}", f"{layer.multiply_adds:,}"))
        rows.append(("total", "", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(6)]
        lines = ["  ".join(f"{cell:<{w}}" if i < 4 else f"{cell:>{w}}" for i, (cell, w) in
                           enumerate(zip(row, widths, strict=True))).rstrip() for row in rows]  # fmt: skip
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def make_table(model: nn.Module, image_shape: tuple[int, int, int]) -> Table:
    """Per-layer table of a model for images [height, width, channels].

    A convolution with kernel [h, w, in, out] and output [H, W, out] takes H * W * h * w * in * out multiply-adds,
    a dense layer in * out for each position or token, attention of T tokens T * T * features for each of its two
    products (torchvision and timm count them, too); normalisation, activation and pooling are not counted, as is the
    custom. A layer of another kind may say its own: a function `multiply_adds` of its output's shape.

    Raises:
      ValueError: the image is too small for the network; the message names the layer.
    """
    layers: list[Layer] = []

    def record(next_call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        module = context.module
        output = next_call(*args, **kwargs)
        own = module.variables.get("params", {}) if module.scope is not None else {}
        own = {name: value for name, value in own.items() if hasattr(value, "shape")}
        count = getattr(module, "multiply_adds", None)
        if context.method_name == "__call__" and (own or count or type(module).__name__ == "Pool"):
            kernel, shape = own["kernel"].shape if "kernel" in own else None, tuple(output.shape[1:])
            of_kernel = math.prod(shape[:-1]) * math.prod(kernel) if kernel else 0
            layers.append(
                Layer(
                    name="/".join(module.path),
                    kind=type(module).__name__,
                    output_shape=shape,
                    kernel_shape=kernel,
                    parameters=sum(math.prod(value.shape) for value in own.values()),
                    multiply_adds=count(shape) if count else of_kernel,
                )
            )
        return output

    with nn.intercept_methods(record):
        jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *image_shape))))
    return Table(tuple(layers))
