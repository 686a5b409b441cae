"""What each operation of JAX does to what its inputs see of the image."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from jax.extend.core import JaxprEqn

from cnn_jax.analysis.receptive_fields import spans
from cnn_jax.analysis.receptive_fields.spans import Span
from cnn_jax.analysis.receptive_fields.views import Views, concatenate, everywhere, map_views, unite

Rule = Callable[[JaxprEqn, Sequence[Views]], Views]

# Of arrays of one shape, and numbers.
_ELEMENTWISE = frozenset((
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clamp",
    "convert_element_type", "copy", "copy_p", "cos", "cosh", "digamma", "div", "eq", "erf", "erf_inv", "erfc", "exp",
    "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt",
    "max", "min", "mul", "ne", "neg", "nextafter", "not", "or", "pow", "reduce_precision", "rem", "round", "rsqrt",
    "select_n", "sign", "sin", "sinh", "sqrt", "square", "sub", "tan", "tanh", "xor",
))  # fmt: skip


def apply_operation(equation: JaxprEqn, inputs: Sequence[Views]) -> list[Views]:
    """What each output sees.

    Operations that are not known here, as loops, are said to see all that any of their inputs sees.
    """
    name = equation.primitive.name
    if name == "optimization_barrier":
        return list(inputs)
    if name == "split":
        return _split(equation, inputs[0])
    if name in _ELEMENTWISE:
        return [unite(inputs)]
    if name in _RULES:
        return [_RULES[name](equation, inputs)]
    return [everywhere(inputs, _rank(output)) for output in equation.outvars]


def _shape(atom: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = atom.aval.shape
    return shape


def _rank(atom: Any) -> int:
    return len(_shape(atom))


def _split(equation: JaxprEqn, views: Views) -> list[Views]:
    parts, start = [], 0
    for size in equation.params["sizes"]:
        part = partial(spans.take, axis=equation.params["axis"], start=start, stop=start + size, stride=1)
        parts.append(map_views(views, part))
        start += size
    return parts


def _slice(equation: JaxprEqn, inputs: Sequence[Views]) -> Views:
    params, views = equation.params, inputs[0]
    starts, stops = params["start_indices"], params["limit_indices"]
    strides = params["strides"] or (1,) * len(starts)
    for axis, (start, stop, stride) in enumerate(zip(starts, stops, strides, strict=True)):
        views = map_views(views, partial(spans.take, axis=axis, start=start, stop=stop, stride=stride))
    return views


def _rev(equation: JaxprEqn, inputs: Sequence[Views]) -> Views:
    views = inputs[0]
    for axis in equation.params["dimensions"]:
        last = _shape(equation.invars[0])[axis] - 1
        views = map_views(views, partial(spans.take, axis=axis, start=last, stop=-1, stride=-1))
    return views


def _pad(equation: JaxprEqn, inputs: Sequence[Views]) -> Views:
    views = inputs[0]
    for axis, (before, behind, between) in enumerate(equation.params["padding_config"]):
        around = (int(before), int(behind))
        views = map_views(views, partial(spans.window, axis=axis, size=1, padding=around, spread=int(between) + 1))
    return unite([views, everywhere(inputs[1:], _rank(equation.outvars[0]))])


def _reduce(equation: JaxprEqn, inputs: Sequence[Views]) -> Views:
    axes = equation.params["axes"]
    return map_views(inputs[0], lambda span: _dropped(spans.reduce(span, axes), axes))


def _squeeze(equation: JaxprEqn, inputs: Sequence[Views]) -> Views:
    return map_views(inputs[0], lambda span: _dropped(span, equation.params["dimensions"]))


def _dropped(span: Span, axes: Sequence[int]) -> Span:
    kept = [axis for axis in range(span.low.ndim) if axis not in axes]
    return spans.rearrange(span, {axis: place for place, axis in enumerate(kept)}, len(kept))


def _transpose(equation: JaxprEqn, inputs: Sequence[Views]) -> Views:
    order = equation.params["permutation"]
    places = {axis: place for place, axis in enumerate(order)}
    return map_views(inputs[0], lambda span: spans.rearrange(span, places, len(order)))


def _broadcast(equation: JaxprEqn, inputs: Sequence[Views]) -> Views:
    places, shape = equation.params["broadcast_dimensions"], equation.params["shape"]
    old = _shape(equation.invars[0])
    repeated = [axis for axis, place in enumerate(places) if old[axis] != shape[place]]
    return map_views(
        inputs[0], lambda span: spans.rearrange(spans.reduce(span, repeated), dict(enumerate(places)), len(shape))
    )


def _reshape(equation: JaxprEqn, inputs: Sequence[Views]) -> Views:
    old, new = _shape(equation.invars[0]), _shape(equation.outvars[0])
    return map_views(inputs[0], lambda span: spans.reshape(span, old, new))


def _concatenate(equation: JaxprEqn, inputs: Sequence[Views]) -> Views:
    axis = equation.params["dimension"]
    return concatenate(inputs, [_shape(atom)[axis] for atom in equation.invars], axis)


def _reduce_window(equation: JaxprEqn, inputs: Sequence[Views]) -> Views:
    params, views = equation.params, inputs[0]
    for axis, size in enumerate(params["window_dimensions"]):
        views = map_views(
            views,
            partial(
                spans.window, axis=axis, size=size, stride=params["window_strides"][axis],
                padding=params["padding"][axis], dilation=params["window_dilation"][axis],
                spread=params["base_dilation"][axis],
            ),
        )  # fmt: skip
    return views


def _conv(equation: JaxprEqn, inputs: Sequence[Views]) -> Views:
    params = equation.params
    dimensions, kernel = params["dimension_numbers"], _shape(equation.invars[1])
    places = dict(zip(dimensions.lhs_spec, dimensions.out_spec, strict=True))
    views = inputs[0]
    for i, axis in enumerate(dimensions.lhs_spec[2:]):
        views = map_views(
            views,
            partial(
                spans.window, axis=axis, size=kernel[dimensions.rhs_spec[2 + i]], stride=params["window_strides"][i],
                padding=params["padding"][i], dilation=params["rhs_dilation"][i], spread=params["lhs_dilation"][i],
            ),
        )  # fmt: skip
    channels = dimensions.lhs_spec[1:2]
    views = map_views(views, lambda span: spans.rearrange(spans.reduce(span, channels), places, len(places)))
    return unite([views, everywhere(inputs[1:], len(places))])


def _dot(equation: JaxprEqn, inputs: Sequence[Views]) -> Views:
    contracted, batched = equation.params["dimension_numbers"]
    rank, used, seen = _rank(equation.outvars[0]), len(batched[0]), []
    for side in range(2):
        free = [i for i in range(_rank(equation.invars[side])) if i not in (*contracted[side], *batched[side])]
        places = {axis: place for place, axis in enumerate(batched[side])}
        places |= {axis: used + place for place, axis in enumerate(free)}
        used += len(free)
        reduced = map_views(inputs[side], partial(spans.reduce, axes=tuple(contracted[side])))
        seen.append(map_views(reduced, partial(spans.rearrange, places=places, rank=rank)))
    return unite(seen)


_RULES: dict[str, Rule] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "conv_general_dilated": _conv,
    "dot_general": _dot,
    "pad": _pad,
    "reshape": _reshape,
    "rev": _rev,
    "slice": _slice,
    "squeeze": _squeeze,
    "transpose": _transpose,
    **dict.fromkeys(("argmax", "argmin"), _reduce),
    **{f"reduce_{kind}": _reduce for kind in ("and", "max", "min", "or", "prod", "sum", "xor")},
    **{f"reduce_window{kind}": _reduce_window for kind in ("_max", "_min", "_sum")},
}
