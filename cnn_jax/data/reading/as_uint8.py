"""Arrays of images as people have them, to the uint8 that this package works on; what is ambiguous is refused."""

from typing import Any

import numpy as np

from cnn_jax.errors import InputError, reason_of

_AT_ONCE = 1 << 24  # values: floats are turned in parts, so that no second copy of them is made
_ROUNDING = 1e-6  # what arithmetic may carry a value beyond its range, as a share of the range


def as_uint8(images: Any, name: str, value_range: tuple[float, float] | None = None) -> np.ndarray:
    """uint8 of the same shape: `value_range` becomes 0..255, rounded; what is uint8 already stays as it is.

    Args:
      images: an array, or what NumPy makes one of: [..., H, W] or [..., H, W, C].
      name: names it in errors.
      value_range: (low, high) of images of another type than uint8: what is black and what is white.

    Raises:
      InputError: they are no numbers, a range is not given or exceeded, or a value is NaN or infinite.
    """
    array = _as_array(images, name)
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name}: its values are {array.dtype}; images are uint8, or numbers with a value_range")
    if value_range is None:
        low, high = (array.min(), array.max()) if array.size else (0, 0)
        raise InputError(
            f"{name}: its values are {array.dtype}, {low:.4g} to {high:.4g}; say what is black and white, as in "
            f"value_range=(0, 1), or give uint8"
        )
    low, high = check_range(value_range)
    flat, result = array.reshape(-1), np.empty(array.size, np.uint8)
    for start in range(0, array.size, _AT_ONCE):
        part = flat[start : start + _AT_ONCE].astype(np.float64)
        _check_values(part, name, low, high)
        result[start : start + _AT_ONCE] = np.rint((part - low) / (high - low) * 255).clip(0, 255)
    return result.reshape(array.shape)


def range_of(data: Any) -> tuple[float, float] | None:
    """The `value_range` of a config's `data` block: its black and white, where it states white."""
    return None if data.white is None else (data.black, data.white)


def check_range(value_range: Any) -> tuple[float, float]:
    """The range as floats; raises InputError where it is none."""
    try:
        low, high = map(float, value_range)
    except (TypeError, ValueError):
        low = high = 0.0
    if not (np.isfinite([low, high]).all() and low < high):
        raise InputError(f"value_range={value_range}: it must be (low, high), two numbers, the smaller one first")
    return low, high


def _as_array(images: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(images)
    except Exception as error:  # a ragged list, or a tensor on a GPU, which raises what it likes
        raise InputError(
            f"{name}: no array can be made of it ({reason_of(error)}); images of one array have one size"
        ) from error
    if np.ma.is_masked(images):
        raise InputError(f"{name}: some of its values are masked; fill them, as in images.filled(0)")
    if array.dtype == object:
        raise InputError(f"{name}: it holds Python objects, not numbers; images of one array have one size")
    return array


def _check_values(values: np.ndarray, name: str, low: float, high: float) -> None:
    if not np.isfinite(values).all():
        wrong = values[~np.isfinite(values)]
        raise InputError(f"{name}: {len(wrong)} or more of its values are {wrong[0]}; an image has numbers only")
    slack = _ROUNDING * (high - low)
    least, most = values.min(), values.max()
    if least < low - slack or most > high + slack:
        raise InputError(
            f"{name}: it has values from {least:.4g} to {most:.4g}, beyond value_range=({low:g}, {high:g}); give the "
            f"range that they have"
        )


def check_channels(shape: tuple[int, ...], channels: int, name: str) -> None:
    """Raises InputError where [H, W], [N, H, W], [H, W, C] or [N, H, W, C] are no images of so many channels (1, 3)."""
    last = shape[-1]
    with_channels = len(shape) == 4 or (len(shape) == 3 and (channels == 3 or last in (1, 3)))
    if channels == (last if with_channels else 1):
        return
    found = f"{name}: its shape is {list(shape)}"
    if with_channels and shape[-3] in (1, 3) and last not in (1, 3, 4):
        axes = (0, 2, 3, 1) if len(shape) == 4 else (1, 2, 0)
        raise InputError(f"{found}, its channels first; move them last with .transpose{axes}")
    if last == 4 and with_channels:
        raise InputError(f"{found}; a fourth channel (alpha) means nothing here: take images[..., :3]")
    if channels == 3 and (len(shape) < 4 or last == 1):
        raise InputError(
            f"{found}: gray, and the model takes color, [H, W, 3] or [N, H, W, 3]; repeat the one channel with "
            f"np.repeat(..., 3, axis=-1), or give PIL images"
        )
    if channels == 1 and last == 3:
        raise InputError(f"{found}: color, and the model takes gray; give PIL images, or one channel")
    raise InputError(f"{found}, of {last} channels; it must be {channels}")
