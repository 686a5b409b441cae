"""The receptive field of a layer: what its units can see of the image."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cnn_jax.analysis.receptive_fields.views import View

Box = tuple[int, int, int, int]  # top, left, bottom, right; the last two are the first ones beyond it


class Path(NamedTuple):
    """One of several ways that meet in a layer: it comes from the layer `source`, and is seen every `stride` pixels."""

    source: str
    stride: tuple[int | None, int | None]
    centre: tuple[float, float]  # of the first unit


@dataclasses.dataclass(frozen=True)
class Field:
    """What the units of a layer can see; (rows, columns) of pixels.

    A unit of a map, or a token, has a place, and what it sees around this place is its field. Layers may see the whole
    image besides: a squeeze-and-excitation, attention, or a normalisation over the map takes a mean over all places.
    Then both are said: the field is that of the convolutions alone, and `whole_image` is true.

    Attributes:
      name: of the layer.
      shape: of its output for one image.
      image: (height, width).
      local: what a unit sees around its place; None where all units see the same.
      overall: what all units see, whatever their place; None where there is nothing of this kind.
      seen: the same, without what lies beyond the image, or is left out at its borders.
      paths: the ways that meet here with other centres or strides; () where they all agree.
      sources: the layers before it, from which it is computed.
      input_size: the largest field among them; None where they have no place.
    """

    name: str
    shape: tuple[int, ...]
    image: tuple[int, int]
    local: View | None
    overall: View | None
    seen: tuple[View, ...]
    paths: tuple[Path, ...]
    sources: tuple[str, ...]
    input_size: tuple[int, int] | None

    @functools.cached_property
    def size(self) -> tuple[int, int]:
        """Pixels that a unit sees around its place, beyond the border too; without places, all that the layer sees."""
        view = self.local or self._all
        spans = (view.rows, view.columns)
        rows, columns = (int((span.high - span.low)[span.seen].max()) + 1 for span in spans)
        return rows, columns

    @property
    def stride(self) -> tuple[int | None, int | None] | None:
        """Pixels from one unit's field to the next; None where units have no place, or no single stride."""
        return None if self.local is None else strides_of(self.local)

    @property
    def padding(self) -> tuple[int, int] | None:
        """How far the first unit's field reaches beyond the upper and the left border."""
        if self.local is None:
            return None
        rows, columns = (-int(span.low[span.seen].min()) for span in (self.local.rows, self.local.columns))
        return rows, columns

    @property
    def centre(self) -> tuple[float, float] | None:
        """Of the first unit's field, counted from the middle of the first pixel."""
        return None if self.local is None else first_centre(self.local)

    @property
    def is_aligned(self) -> bool:
        """Whether all ways to a unit have the same centre: otherwise features of different places are put together."""
        return self.local is None or self.local.is_aligned

    @property
    def whole_image(self) -> bool:
        """Whether every unit sees all of the image, whatever its place."""
        fixed = [view for view in self.seen if not view.axes]
        return any(
            (*view.rows.range, *view.columns.range) == (0, self.image[0] - 1, 0, self.image[1] - 1) for view in fixed
        )

    @property
    def share(self) -> float:
        """Of the image that the unit in the middle sees: 0 to 1."""
        top, left, bottom, right = self.box(self.middle)
        return (bottom - top) * (right - left) / (self.image[0] * self.image[1])

    @property
    def is_late(self) -> bool:
        """Whether it would widen a field that is larger than the image already (Richter et al. 2021)."""
        before = self.input_size
        if before is None or self.local is None:
            return False
        return all(b > side for b, side in zip(before, self.image, strict=True)) and self.size != before

    @property
    def places(self) -> tuple[int, ...]:
        """The shape without channels: (height, width) of a map, (tokens,), or () of a vector.

        Of a map that is flattened each element has a place of its own.
        """
        is_flat = self.local is not None and len(self.shape) in self.local.axes
        return self.shape if is_flat else self.shape[:-1]

    @functools.cached_property
    def middle(self) -> tuple[int, ...]:
        """The unit whose field lies nearest to the middle of the image: an index into `places`."""
        if self.local is None:
            return tuple(size // 2 for size in self.places)
        away: np.ndarray = np.zeros(())
        for span, side in zip((self.local.rows, self.local.columns), self.image, strict=True):
            away = away + np.where(span.seen, ((span.low + span.high) - (side - 1)) ** 2 / 4, np.inf)
        shape = (1, *self.places, *[1] * (len(self.shape) - len(self.places)))
        nearest = np.unravel_index(int(np.broadcast_to(away, shape).argmin()), shape)
        return tuple(int(place) for place in nearest[1 : 1 + len(self.places)])

    def box(self, unit: tuple[int, ...]) -> Box:
        """The pixels of the image that a unit sees, its own and those that all see: none outside, and all borders.

        Args:
          unit: an index into `places`, as (row, column).
        """
        return _box(self.seen, unit)

    def local_box(self, unit: tuple[int, ...]) -> Box:
        """Without what all units see; where they have no place, this too."""
        return _box([view for view in self.seen if view.axes] or self.seen, unit)

    @property
    def _all(self) -> View:
        assert self.overall is not None
        return self.overall


def strides_of(view: View) -> tuple[int | None, int | None]:
    rows, columns = (_stride(span.low[span.seen], span.steps.values()) for span in (view.rows, view.columns))
    return rows, columns


def first_centre(view: View) -> tuple[float, float]:
    spans = (view.rows, view.columns)
    rows, columns = (float((span.low + span.high)[span.seen].min()) / 2 for span in spans)
    return rows, columns


def _stride(low: np.ndarray, steps: object) -> int | None:
    known = [step for step in steps if step is not None]  # type: ignore[attr-defined]
    if len(known) == 1:
        return abs(int(known[0]))
    apart = np.unique(np.diff(np.unique(low)))  # of tokens, which come row by row
    return int(apart[0]) if len(apart) == 1 else None


def _box(views: Sequence[View], unit: tuple[int, ...]) -> Box:
    if not views:
        return 0, 0, 0, 0
    places = []
    for name in ("rows", "columns"):
        spans = [getattr(view, name) for view in views]
        low, high = min(_at(span.low, unit) for span in spans), max(_at(span.high, unit) for span in spans)
        places.append((low, high + 1) if low <= high else (0, 0))
    (top, bottom), (left, right) = places
    return top, left, bottom, right


def _at(ends: np.ndarray, unit: tuple[int, ...]) -> int:
    index = (0, *unit, *[0] * (ends.ndim - 1 - len(unit)))
    return int(ends[tuple(min(place, size - 1) for place, size in zip(index, ends.shape, strict=True))])
