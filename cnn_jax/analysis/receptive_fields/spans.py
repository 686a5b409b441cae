"""Which pixels of an axis of the image, height or width, each element of an array sees; and what operations do to it.

Pixels beyond the border are counted on: -3 is the third before the first one. What edge handling puts there, black or
mirrored pixels, is seen as if it were the image going on, so that a field has one size all over the map (Araujo, Norris
& Sim 2019, "Computing receptive fields of convolutional neural networks"). Or else, where the image ends, the pixels
are those that are seen.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

_NONE = 1 << 40  # first pixel of those who see none; the last one is its negation


@dataclasses.dataclass(frozen=True)
class Span:
    """The pixels low..high that each element sees; elements with low > high see none.

    Attributes:
      low, high: of the array's rank, and of its size along those axes on which they depend, else 1.
      steps: {axis of the array: pixels from one element to the next}; None where that is not one number. Without any
        axis all elements see the same.
      goes_on: whether the image is counted on beyond its borders; otherwise there are no steps.
    """

    low: np.ndarray
    high: np.ndarray
    steps: Mapping[int, int | None]
    goes_on: bool = True

    @property
    def axes(self) -> tuple[int, ...]:
        return tuple(sorted(self.steps))

    @property
    def is_empty(self) -> bool:
        return bool((self.low > self.high).all())

    @property
    def seen(self) -> np.ndarray:
        """Of which elements see any pixel."""
        return self.low <= self.high

    @property
    def range(self) -> tuple[int, int]:
        """The first and the last pixel that any element sees."""
        return int(self.low.min()), int(self.high.max())


def of_image(size: int, rank: int, axis: int, goes_on: bool) -> Span:
    """Each pixel sees itself."""
    places = np.arange(size).reshape([-1 if i == axis else 1 for i in range(rank)])
    return Span(places, places, {axis: 1 if goes_on else None}, goes_on)


def hull(spans: Sequence[Span]) -> Span:
    """From the first to the last pixel that any of them sees, of arrays of one shape."""
    low, high = spans[0].low, spans[0].high
    for other in spans[1:]:
        low, high = np.minimum(low, other.low), np.maximum(high, other.high)
    axes = {axis for span in spans for axis in span.steps}
    known = {axis: {span.steps.get(axis) for span in spans} for axis in axes}
    steps = {axis: next(iter(several)) if len(several) == 1 else None for axis, several in known.items()}
    return Span(low, high, steps, spans[0].goes_on)


def same_for_all(span: Span, rank: int) -> Span:
    """An array of `rank` axes, each element of which may see all that any here does."""
    low, high = (np.full((1,) * rank, end) for end in span.range)
    return Span(low, high, {}, span.goes_on)


def window(
    span: Span, axis: int, size: int, stride: int = 1, padding: tuple[int, int] = (0, 0), dilation: int = 1,
    spread: int = 1,
) -> Span:  # fmt: skip
    """Of windows along an axis: elements `dilation` apart, from an axis with `spread` - 1 zeros between elements.

    A negative padding crops.
    """
    if axis not in span.steps:
        return span
    low, high = _padded(span, axis, padding, spread)
    outputs = (low.shape[axis] - (size - 1) * dilation - 1) // stride + 1
    starts = [i * dilation for i in range(size)]
    picked = [slice(start, start + (outputs - 1) * stride + 1, stride) for start in starts]
    lows, highs = ([_at(ends, axis, pick) for pick in picked] for ends in (low, high))
    low, high = np.minimum.reduce(lows), np.maximum.reduce(highs)
    step = span.steps[axis]
    return _stepped(span, low, high, span.steps, axis, None if step is None or spread > 1 else step * stride)


def take(span: Span, axis: int, start: int, stop: int, stride: int) -> Span:
    """Of a slice; a negative stride goes back from `start`, to the first where `stop` is -1."""
    if axis not in span.steps:
        return span
    picked = slice(start, stop if stop >= 0 else None, stride)
    step = span.steps[axis]
    low, high = _at(span.low, axis, picked), _at(span.high, axis, picked)
    return _stepped(span, low, high, span.steps, axis, None if step is None else step * stride)


def reduce(span: Span, axes: Sequence[int]) -> Span:
    """Of a sum or a maximum over axes, which stay, with size 1."""
    low, high = span.low.min(tuple(axes), keepdims=True), span.high.max(tuple(axes), keepdims=True)
    return Span(low, high, {axis: step for axis, step in span.steps.items() if axis not in axes}, span.goes_on)


def rearrange(span: Span, places: Mapping[int, int], rank: int) -> Span:
    """Axis i becomes axis places[i] of `rank`; axes that are not named have size 1, or do not matter."""
    kept = sorted(places)
    order = sorted(range(len(kept)), key=lambda i: places[kept[i]])
    shape = [1] * rank
    for axis in kept:
        shape[places[axis]] = span.low.shape[axis]
    dropped = tuple(axis for axis in range(span.low.ndim) if axis not in places)
    low, high = (ends.squeeze(dropped).transpose(order).reshape(shape) for ends in (span.low, span.high))
    steps = {places[axis]: step for axis, step in span.steps.items() if axis in places}
    return Span(low, high, steps, span.goes_on)


def reshape(span: Span, old: Sequence[int], new: Sequence[int]) -> Span:
    """Of an array of the shape `old` that becomes one of the shape `new`."""
    steps: dict[int, int | None] = {}
    expanded, wanted = [1] * len(old), [1] * len(new)
    touched: list[int] = []
    for before, after in _groups(old, new):
        if not any(axis in span.steps for axis in before):
            continue
        if len(before) == len(after) == 1:
            steps[after[0]] = span.steps[before[0]]
        else:
            touched += after
        for axis in before:
            expanded[axis] = old[axis]
        for axis in after:
            wanted[axis] = new[axis]
    low, high = (np.broadcast_to(ends, expanded).reshape(wanted) for ends in (span.low, span.high))
    for axis in touched:
        first = slice(0, 1)
        if all((ends == _at(ends, axis, first)).all() for ends in (low, high)):
            low, high = _at(low, axis, first), _at(high, axis, first)
        else:
            steps[axis] = None
    result = Span(low, high, steps, span.goes_on)
    for axis in touched:
        if axis in steps:
            result = _stepped(span, low, high, result.steps, axis, None)
    return result


def join(spans: Sequence[Span | None], sizes: Sequence[int], axis: int) -> Span:
    """Of arrays in a row along an axis; None are those that see nothing."""
    known = [span for span in spans if span is not None]
    if not any(axis in span.steps for span in known):
        return hull(known)
    shape = np.broadcast_shapes(*(_with_size(span.low.shape, axis, 1) for span in known))
    ends = []
    for which, none in (("low", _NONE), ("high", -_NONE)):
        parts = [
            np.broadcast_to(none if span is None else getattr(span, which), _with_size(shape, axis, size))
            for span, size in zip(spans, sizes, strict=True)
        ]
        ends.append(np.concatenate(parts, axis))
    steps = hull([reduce(span, (axis,)) for span in known]).steps
    return _stepped(known[0], ends[0], ends[1], steps, axis, None)


def _groups(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The fewest consecutive axes of both shapes that have as many elements together."""
    groups = []
    i = j = 0
    while i < len(old) and j < len(new):
        before, after = [i], [j]
        sizes = [old[i], new[j]]
        i, j = i + 1, j + 1
        while sizes[0] != sizes[1]:
            if sizes[0] < sizes[1]:
                before.append(i)
                sizes[0], i = sizes[0] * old[i], i + 1
            else:
                after.append(j)
                sizes[1], j = sizes[1] * new[j], j + 1
        groups.append((before, after))
    if groups:  # what is left has size 1
        groups[-1][0].extend(range(i, len(old)))
        groups[-1][1].extend(range(j, len(new)))
    return groups


def _padded(span: Span, axis: int, padding: tuple[int, int], spread: int) -> tuple[np.ndarray, np.ndarray]:
    """Low and high with what stands before, between and behind the elements: the image, going on, or nothing."""
    step = span.steps[axis]
    ends = []
    for array, none in ((span.low, _NONE), (span.high, -_NONE)):
        size = array.shape[axis]
        if spread > 1:
            wide = np.full(_with_size(array.shape, axis, (size - 1) * spread + 1), none)
            wide[tuple(slice(None, None, spread if i == axis else None) for i in range(array.ndim))] = array
            array = wide
        before, behind = (max(amount, 0) for amount in padding)
        for amount, edge, sign in ((before, slice(0, 1), -1), (behind, slice(-1, None), 1)):
            if not amount:
                continue
            if step is None or spread > 1:
                more = np.full(_with_size(array.shape, axis, amount), none)
            else:
                away = np.arange(1, amount + 1)[::sign].reshape([-1 if i == axis else 1 for i in range(array.ndim)])
                more = _at(array, axis, edge) + sign * step * away
            array = np.concatenate([more, array] if sign < 0 else [array, more], axis)
        ends.append(_at(array, axis, slice(max(-padding[0], 0), array.shape[axis] - max(-padding[1], 0))))
    return ends[0], ends[1]


def _stepped(
    before: Span, low: np.ndarray, high: np.ndarray, steps: Mapping[int, int | None], axis: int, step: int | None
) -> Span:
    """With this step along the axis, or the one that there is."""
    if step is None and before.goes_on and low.shape[axis] > 1 and (low <= high).all():
        apart = [np.unique(np.diff(ends, axis=axis)) for ends in (low, high)]
        if all(len(each) == 1 for each in apart) and apart[0] == apart[1]:
            step = int(apart[0][0])
    return Span(low, high, {**steps, axis: step}, before.goes_on)


def _at(array: np.ndarray, axis: int, picked: slice) -> np.ndarray:
    return array[tuple(picked if i == axis else slice(None) for i in range(array.ndim))]


def _with_size(shape: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    return tuple(size if i == axis else each for i, each in enumerate(shape))
