"""Arrays of every kind to uint8, and the line that each wrong kind gets."""

from typing import Any

import numpy as np
import pytest

from cnn_jax.data.reading.as_uint8 import as_uint8, check_channels
from cnn_jax.errors import InputError

LEVELS = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_as_uint8_inverts_division(dtype: Any) -> None:
    """Pixels that were divided by 255 come back exactly, in any precision."""
    np.testing.assert_array_equal(as_uint8((LEVELS / 255).astype(dtype), "x", (0, 1)), LEVELS)


def test_as_uint8_maps_range_linearly() -> None:
    np.testing.assert_array_equal(as_uint8([-1.0, 0.0, 0.5, 1.0], "x", (-1, 1)), [0, 128, 191, 255])
    np.testing.assert_array_equal(as_uint8(np.array([0, 257, 65535], np.uint16), "x", (0, 65535)), [0, 1, 255])


def test_as_uint8_works_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnn_jax.data.reading.as_uint8._AT_ONCE", 100)
    np.testing.assert_array_equal(as_uint8(LEVELS / 255, "x", (0, 1)), LEVELS)
    with pytest.raises(InputError, match="nan"):
        as_uint8(np.where(LEVELS == 255, np.nan, 0), "x", (0, 1))


def test_as_uint8_forgives_rounding() -> None:
    np.testing.assert_array_equal(as_uint8([np.nextafter(1, 2), np.nextafter(0, -1)], "x", (0, 1)), [255, 0])


@pytest.mark.parametrize(
    ("images", "value_range", "words"),
    [
        (LEVELS / 255, None, r"x: its values are float64, 0 to 1; .*value_range=\(0, 1\), or give uint8"),
        (LEVELS.astype(int), None, r"x: its values are int64, 0 to 255; .*value_range"),
        (LEVELS / 128, (0, 1), r"x: it has values from 0 to 1.992, beyond value_range=\(0, 1\)"),
        ([0.5, np.inf], (0, 1), "x: 1 or more of its values are inf"),
        (LEVELS > 3, (0, 1), "x: its values are bool"),
        (LEVELS.astype(complex), (0, 1), "x: its values are complex128"),
        (["a"], None, "x: its values are <U1"),
        ([np.zeros((2, 2)), np.zeros((3, 2))], (0, 1), "x: no array can be made of it .*images of one array have one"),
        ([None, 1], (0, 1), "x: it holds Python objects"),
        ([0.5], (1, 0), r"value_range=\(1, 0\): it must be \(low, high\)"),
    ],
)
def test_as_uint8_refuses(images: Any, value_range: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        as_uint8(images, "x", value_range)


@pytest.mark.parametrize(
    ("channels", "shapes"),
    [(1, [(8, 9), (5, 8, 9), (8, 9, 1), (5, 8, 9, 1), (1, 8, 9)]), (3, [(8, 9, 3), (5, 8, 9, 3), (3, 8, 3)])],
)
def test_check_channels_accepts(channels: int, shapes: list[tuple[int, ...]]) -> None:
    for shape in shapes:
        check_channels(shape, channels, "x")


@pytest.mark.parametrize(
    ("channels", "shape", "words"),
    [
        (3, (8, 9), r"\[8, 9\]: gray, and the model takes color"),
        (3, (5, 8, 9), "gray"),
        (3, (5, 8, 9, 1), "gray"),
        (3, (3, 8, 9), r"channels first; move them last with .transpose\(1, 2, 0\)"),
        (3, (5, 3, 8, 9), r"channels first; move them last with .transpose\(0, 2, 3, 1\)"),
        (3, (8, 9, 4), "alpha"),
        (3, (5, 8, 9, 2), "of 2 channels; it must be 3"),
        (1, (5, 8, 9, 3), "color, and the model takes gray"),
        (1, (8, 9, 3), "color, and the model takes gray"),
        (1, (5, 1, 8, 9), "channels first"),
    ],
)
def test_check_channels_refuses(channels: int, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_channels(shape, channels, "x")
