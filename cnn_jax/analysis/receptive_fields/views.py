"""What an array sees of the image: through each layer that it comes from, the pixels of each of its elements."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from cnn_jax.analysis.receptive_fields import spans
from cnn_jax.analysis.receptive_fields.spans import Span


@dataclasses.dataclass(frozen=True)
class View:
    """What is seen through one layer; rows and columns together are a box of pixels for each element.

    Attributes:
      source: the name of the layer, or "image".
      is_aligned: whether all ways through it have the same centres and strides.
    """

    source: str
    rows: Span
    columns: Span
    is_aligned: bool = True

    @property
    def axes(self) -> frozenset[int]:
        """Of the array, along which elements see other pixels; none: all elements see the same."""
        return frozenset(self.rows.axes) | frozenset(self.columns.axes)

    def map(self, change: Callable[[Span], Span]) -> "View":
        return dataclasses.replace(self, rows=change(self.rows), columns=change(self.columns))


class _Key(NamedTuple):
    source: str
    rows: tuple[int, ...]
    columns: tuple[int, ...]


Views = Mapping[_Key, View]  # of an array; none for what does not depend on the image


def collect(views: Iterable[View]) -> Views:
    """Those of one array. Ways through the same layer, along the same axes, are one: a window made of slices."""
    found: dict[_Key, View] = {}
    for view in views:
        if view.rows.is_empty or view.columns.is_empty:
            continue
        key = _Key(view.source, view.rows.axes, view.columns.axes)
        found[key] = merge([found[key], view], view.source) if key in found else view
    return found


def merge(views: Sequence[View], source: str) -> View:
    """One view that holds them all, of arrays of one shape."""
    rows, columns = (spans.hull([getattr(view, name) for view in views]) for name in ("rows", "columns"))
    return View(source, rows, columns, all(view.is_aligned for view in views))


def map_views(views: Views, change: Callable[[Span], Span]) -> Views:
    return collect(view.map(change) for view in views.values())


def unite(several: Iterable[Views]) -> Views:
    """Of an array that is computed from arrays of its shape, element by element."""
    return collect(view for views in several for view in views.values())


def everywhere(several: Iterable[Views], rank: int) -> Views:
    """Of an array of which nothing is known but what it is computed from."""
    return unite(map_views(views, lambda span: spans.same_for_all(span, rank)) for views in several)


def concatenate(several: Sequence[Views], sizes: Sequence[int], axis: int) -> Views:
    """Of arrays in a row along an axis.

    What stands beside a map, where its elements come one by one, is its edge handling: the image, going on. Tokens
    beside tokens are seen as they are, and channels beside channels all see what any of them does.
    """
    moving = [i for i, views in enumerate(several) if any(axis in view.axes for view in views.values())]
    if not moving:
        return unite(several)
    main = max(moving, key=lambda i: sizes[i])
    steps = [
        span.steps[axis] for view in several[main].values() for span in (view.rows, view.columns) if axis in span.steps
    ]
    if None in steps:
        return _in_a_row(several, sizes, axis)
    padding = sum(sizes[:main]), sum(sizes[main + 1 :])
    whole = map_views(several[main], lambda span: spans.window(span, axis, 1, padding=padding))
    sources = {view.source for view in whole.values()}
    others = [
        view.map(lambda span: spans.same_for_all(span, span.low.ndim))
        for i, views in enumerate(several)
        for view in views.values()
        if i != main and view.source not in sources
    ]
    return collect([*whole.values(), *others])


def _in_a_row(several: Sequence[Views], sizes: Sequence[int], axis: int) -> Views:
    keys = dict.fromkeys(key for views in several for key in views)
    made = []
    for key in keys:
        parts = [views.get(key) for views in several]
        rows, columns = (
            spans.join([None if part is None else getattr(part, name) for part in parts], sizes, axis)
            for name in ("rows", "columns")
        )
        aligned = all(part.is_aligned for part in parts if part is not None)
        made.append(View(key.source, rows, columns, aligned))
    return collect(made)
