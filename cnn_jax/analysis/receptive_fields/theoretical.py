"""The receptive field of every layer of a network, from a trace of its program.

The program is followed from the image on, operation by operation; so ways around layers, dilation, pooling, odd
paddings and concatenation are what they are. No weights are needed and nothing is compiled.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal, Var

from cnn_jax.analysis.layers import Apply, with_names
from cnn_jax.analysis.receptive_fields import spans
from cnn_jax.analysis.receptive_fields.calls import called_by, inputs_of
from cnn_jax.analysis.receptive_fields.field import Field, Path, first_centre, strides_of
from cnn_jax.analysis.receptive_fields.operations import apply_operation
from cnn_jax.analysis.receptive_fields.views import View, Views, collect, merge, unite

_PREFIX = "cnn_jax layer: "
_IMAGE = "image"


def receptive_fields(apply: Apply, variables: Any, image_shape: Sequence[int]) -> dict[str, Field]:
    """The field of each layer, by name, in the order of the computation; layers that see nothing are left out.

    Args:
      apply: of a network made `in_order`; images as the network takes them.
      variables: arrays, or `jax.ShapeDtypeStruct`.
      image_shape: (height, width, channels).
    """
    image = jax.ShapeDtypeStruct((1, *image_shape), "float32")
    weights, tree = jax.tree.flatten(variables)
    named = with_names(apply, _PREFIX)
    program = jax.make_jaxpr(lambda x, *leaves: named(jax.tree.unflatten(tree, leaves), x))(image, *weights)
    fields = _follow(program, image_shape, goes_on=True)
    for name, field in _follow(program, image_shape, goes_on=False).items():
        seen = tuple(view for view in (field.local, field.overall) if view is not None)
        fields[name] = dataclasses.replace(fields[name], seen=seen)
    return fields


def _follow(program: ClosedJaxpr, image_shape: Sequence[int], goes_on: bool) -> dict[str, Field]:
    tracer = _Tracer((image_shape[0], image_shape[1]))
    rows, columns = (spans.of_image(image_shape[axis - 1], 4, axis, goes_on) for axis in (1, 2))
    tracer.follow(program, [collect([View(_IMAGE, rows, columns)]), *[{}] * (len(program.jaxpr.invars) - 1)])
    return tracer.fields


def receptive_field(model: Any, image_shape: Sequence[int]) -> Field:
    """Of the last layer whose units have a place in the image; without any, of the last layer.

    Args:
      model: a `Classifier`, made `in_order`.
      image_shape: (height, width, channels).
    """
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *image_shape))))
    fields = receptive_fields(lambda weights, x: model.apply(weights, x, train=False), variables, image_shape)
    places = [field for field in fields.values() if field.local is not None]
    return places[-1] if places else list(fields.values())[-1]


def late_layers(fields: Mapping[str, Field]) -> list[str]:
    """Layers with a kernel that begin when the field is larger than the image: they see nothing new of it.

    Richter et al. 2021, "(Input) size matters for CNN classifiers": what lies behind this border adds little to the
    accuracy. A larger image, or later strides, would make use of it.
    """
    return [name for name, field in fields.items() if field.is_late]


class _Tracer:
    """Follows a program; `fields` is what it has found."""

    def __init__(self, image: tuple[int, int]):
        self.fields: dict[str, Field] = {}
        self._image = image

    def follow(self, program: ClosedJaxpr, inputs: Sequence[Views]) -> list[Views]:
        """What the outputs of the program see, given what its inputs do."""
        jaxpr = program.jaxpr
        known: dict[Var, Views] = dict(zip(jaxpr.invars, inputs, strict=True))

        def views(atom: Any) -> Views:
            return {} if isinstance(atom, Literal) else known.get(atom, {})

        for equation in jaxpr.eqns:
            given = [views(atom) for atom in equation.invars]
            if not any(given):
                continue
            for output, seen in zip(equation.outvars, self._outputs(equation, given), strict=True):
                known[output] = seen if output.aval.size else {}
        return [views(atom) for atom in jaxpr.outvars]

    def _outputs(self, equation: JaxprEqn, given: Sequence[Views]) -> Sequence[Views]:
        name = equation.primitive.name
        if (program := called_by(equation)) is not None:
            return self.follow(program, given[len(given) - len(inputs_of(equation)) :])
        if name == "cond":
            branches = [self.follow(branch, given[1:]) for branch in equation.params["branches"]]
            return [unite(outputs) for outputs in zip(*branches, strict=True)]
        if name == "name":
            marked = equation.params["name"]
            return (
                [self._layer(marked.removeprefix(_PREFIX), equation, given[0])] if marked.startswith(_PREFIX) else given
            )
        return apply_operation(equation, given)

    def _layer(self, name: str, equation: JaxprEqn, views: Views) -> Views:
        """Notes the field of a layer's output; what is computed from it sees the image through this layer."""
        local, paths = _together([view for view in views.values() if view.axes], name)
        fixed = [view for view in views.values() if not view.axes]
        overall = merge(fixed, name) if fixed else None
        sources = tuple(dict.fromkeys(view.source for view in views.values()))
        before = [self.fields[source].size for source in sources if source in self.fields and self.fields[source].local]
        size = (max(rows for rows, _ in before), max(columns for _, columns in before)) if before else None
        shape = tuple(equation.outvars[0].aval.shape[1:])  # type: ignore[attr-defined]
        self.fields[name] = Field(name, shape, self._image, local, overall, (), paths, sources, size)
        return collect(view for view in (local, overall) if view is not None)


def _together(views: Sequence[View], name: str) -> tuple[View | None, tuple[Path, ...]]:
    """One view of all, and the ways that meet, where they do so with different centres or strides."""
    if not views:
        return None, ()
    whole = merge(views, name)
    ways = [Path(view.source, strides_of(view), first_centre(view)) for view in views]
    if len({(way.stride, way.centre) for way in ways}) == 1:
        return whole, ()
    return View(name, whole.rows, whole.columns, is_aligned=False), tuple(ways)
