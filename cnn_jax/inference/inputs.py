"""Images as a caller has them, to the uint8 that a model takes: files, bytes, PIL images, arrays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.cli.progress import announce
from cnn_jax.data.labels import as_labels, number_labels
from cnn_jax.data.reading.as_uint8 import as_uint8, check_channels, range_of
from cnn_jax.data.reading.deep_color import cannot_be_scaled, is_halved
from cnn_jax.data.reading.images import Decoded, decode_with_range, fit_image, quiet, read_file
from cnn_jax.data.reading.levels import Levels, darkness, to_8_bit
from cnn_jax.errors import InputError, shown

Shape = tuple[int, int, int]


def read_inputs(inputs: Any, image_shape: Shape, data: Any) -> np.ndarray:
    """uint8 [N, H, W, C].

    Args:
      inputs: a path, the bytes of an image file, a PIL image, an array, or a sequence of them. An array is one image
        [H, W] or [H, W, C], or several [N, H, W] or [N, H, W, C], with the model's number of channels; uint8, or
        numbers from `data.black` to `data.white`. Other sizes are fitted as files are.
      image_shape: (height, width, channels) of the model.
      data: the config's `data` block: resize, center_crop, black, white.

    Raises:
      InputError: something is not of this form, or a file cannot be read; the line names it.
    """
    several = isinstance(inputs, list | tuple)
    if several and not inputs:
        raise InputError("there are no images: the list is empty")
    ranges_used: list[float] = []
    with quiet():
        named = [(one, f"image {i}") for i, one in enumerate(inputs)] if several else [(inputs, "images")]
        read = np.concatenate([_read(one, name, image_shape, data, ranges_used) for one, name in named])
    dark = darkness(np.array(ranges_used), levels_of(data))
    if dark:
        announce(dark)
    return read


def read_file_as(path: str | Path, image_shape: Shape, data: Any) -> Decoded:
    """The image in a file; the arguments and errors are those of `read_inputs`."""
    with quiet():
        return _decode(read_file(path), shown(str(path)), image_shape, data)


def levels_of(data: Any) -> Levels:
    return Levels(data.black, data.white)


def check_images(images: Any, image_shape: Shape, value_range: tuple[float, float] | None) -> np.ndarray:
    """uint8 [N, H, W, C] of an array that has the model's shape already; gray ones may come as [N, H, W].

    Raises:
      InputError: the array has another shape, or another type than uint8 without a range.
    """
    array = as_uint8(images, "images", value_range)
    if array.ndim == 3 and image_shape[2] == 1:
        array = array[..., None]
    if array.shape[1:] != image_shape:
        if array.ndim == 4:
            check_channels(array.shape, image_shape[2], "images")
        raise InputError(
            f"images: their shape is {list(array.shape)}; it must be [N, {', '.join(map(str, image_shape))}] "
            f"(run.predict takes other sizes)"
        )
    if not len(array):
        raise InputError("images: there are none")
    return array


def _read(value: Any, name: str, image_shape: Shape, data: Any, ranges_used: list[float]) -> np.ndarray:
    """One or several images, uint8 [n, H, W, C]; of a file, what share of its range it uses is added to the list."""
    if isinstance(value, str | Path):
        value, name = read_file(value), shown(str(value))
    if isinstance(value, bytes | bytearray | memoryview):
        image, used = _decode(bytes(value), name, image_shape, data)
        ranges_used.append(used)
        return image[None]
    if type(value).__module__.partition(".")[0] == "PIL":
        return _fit(_upright(value, name, data), image_shape, data)[None]
    return _read_array(value, name, image_shape, data)


def _read_array(value: Any, name: str, image_shape: Shape, data: Any) -> np.ndarray:
    from PIL import Image

    array = as_uint8(value, name, range_of(data))
    channels = image_shape[2]
    if array.ndim not in (2, 3, 4) or not array.size:
        raise InputError(
            f"{name}: its shape is {list(array.shape)}; it must be [H, W], [H, W, C], [N, H, W] or [N, H, W, C]"
        )
    check_channels(array.shape, channels, name)
    one = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == channels)
    batch = array[None] if one else array
    batch = batch.reshape(*batch.shape[:3], channels)
    if batch.shape[1:] == image_shape and data.center_crop == 1:
        return batch
    pixels = batch[..., 0] if channels == 1 else batch
    return np.stack([_fit(Image.fromarray(image), image_shape, data) for image in pixels])


def _upright(image: Any, name: str, data: Any) -> Any:
    from PIL import ImageOps

    try:
        if is_halved(image) and levels_of(data).are_stated:
            raise cannot_be_scaled(levels_of(data))
        return to_8_bit(ImageOps.exif_transpose(image), levels_of(data))
    except Exception as error:  # a lazily opened file may be broken
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: this image cannot be read: {reason}") from error


def _decode(content: bytes, name: str, image_shape: Shape, data: Any) -> Decoded:
    return decode_with_range(
        content, name, image_shape, data.resize, data.center_crop, levels=levels_of(data),
        interpolation=data.interpolation,
    )  # fmt: skip


def _fit(image: Any, image_shape: Shape, data: Any) -> np.ndarray:
    return fit_image(image, image_shape, data.resize, data.center_crop, interpolation=data.interpolation)


def label_numbers(labels: Any, class_names: Sequence[str], count: int) -> np.ndarray:
    """int32 [N] of labels that are names of classes, or 0..K-1; where the names are numbers, numbers are names."""
    by_place = not all(name.removeprefix("-").isdecimal() for name in class_names)
    return number_labels(as_labels(labels, count, "labels"), class_names, by_place, "labels", "the model's classes")
