"""Which value of a deep picture is white: by its format and depth, or by the config; never by the picture itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.config.tree import default_config, override
from cnn_jax.data.reading.images import examine, read_image
from cnn_jax.data.reading.levels import Levels
from cnn_jax.inference.run import load_run
from tests.support.helpers import data_settings, refusal
from tests.support.hostile import rewrite_config

RAMP = np.linspace(0, 1, 64).reshape(8, 8)
AS_8_BIT = np.rint(RAMP * 255)


def saved(path: Path, values: np.ndarray, mode: str | None = None, **options: Any) -> Path:
    image = Image.fromarray(values)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("low", "high"), [(0, 4095), (0, 65535), (-1, 1), (-3, 3), (0, 255)], ids=lambda bound: str(bound)
)
def test_floats_of_another_range(tmp_path: Path, low: int, high: int) -> None:
    """Refused with their range, until the config states what is black and what is white."""
    path = saved(tmp_path / "it.tif", (low + RAMP * (high - low)).astype(np.float32))
    line = refusal(read_image, path)
    assert f"it.tif: this image cannot be read: it holds floating-point numbers from {low} to {high}; " in line
    assert "data.white" in line
    assert np.array_equal(np.asarray(read_image(path, Levels(low, high))), AS_8_BIT)


def test_floats_from_0_to_1(tmp_path: Path) -> None:
    """A dark one is not brightened, and what rounding takes back is no other range."""
    for share in (1.0, 0.1):
        values = (RAMP * share).astype(np.float32)
        values[0, 0], values[-1, -1] = -0.001, values[-1, -1] + 0.001
        shown = np.asarray(read_image(saved(tmp_path / "it.tif", values)), int)
        assert np.abs(shown - np.rint(RAMP * share * 255)).max() <= 1
    clipped = read_image(saved(tmp_path / "it.tif", (RAMP * 2).astype(np.float32)), Levels(white=1))
    assert np.array_equal(np.asarray(clipped), np.clip(np.rint(RAMP * 510), 0, 255))


@pytest.mark.parametrize(("dtype", "top"), [(np.int32, 255), (np.int32, 65535), (np.uint32, 2**32 - 1)])
def test_integers_of_32_bits(tmp_path: Path, dtype: Any, top: int) -> None:
    values = np.rint(RAMP * top).astype(dtype)
    path = saved(tmp_path / "it.tif", values.view(np.int32))
    if dtype is np.uint32:  # Pillow writes signed numbers only, and says so in tag 339
        path.write_bytes(path.read_bytes().replace(b"S\x01\x03\0\x01\0\0\0\x02", b"S\x01\x03\0\x01\0\0\0\x01"))
    assert f"from 0 to {top}, and none of them is known to be white" in refusal(read_image, path)
    assert np.array_equal(np.asarray(read_image(path, Levels(white=top))), AS_8_BIT)


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_12_bits_in_16(tmp_path: Path, kind: str) -> None:
    """17 levels as the format has it, 64 by the config; and the file's header says how little of its range is used."""
    path = saved(tmp_path / f"it.{kind}", np.rint(RAMP * 4095).astype(np.uint16))
    assert np.asarray(read_image(path)).max() == 16
    assert np.array_equal(np.asarray(read_image(path, Levels(white=4095))), AS_8_BIT)
    header, _ = examine(path.read_bytes(), "it", 8)
    assert header.info["range_used"] == pytest.approx(4095 / 65535)


def test_the_file_states_its_largest_value(tmp_path: Path) -> None:
    """12 bits a sample in a TIFF, the maximum of a PGM: no key is needed, and none changes the latter."""
    values = np.rint(RAMP * 4095).astype(np.uint16)
    (tmp_path / "it.pgm").write_bytes(b"P5 8 8 4095\n" + values.astype(">u2").tobytes())
    for levels in (Levels(), Levels(white=999)):
        assert np.array_equal(np.asarray(read_image(tmp_path / "it.pgm", levels)), AS_8_BIT)
    (tmp_path / "it.tif").write_bytes(tiff_of_12_bits(values))
    assert np.array_equal(np.asarray(read_image(tmp_path / "it.tif")), AS_8_BIT)


def tiff_of_12_bits(values: np.ndarray) -> bytes:
    """Two values in three bytes, as TIFF packs them."""
    first, second = values.reshape(-1, 2).astype(np.uint32).T
    packed = first << 12 | second
    data = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1).astype(np.uint8).tobytes()
    height, width = values.shape
    tags = [
        (256, width),
        (257, height),
        (258, 12),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(data)),
    ]
    entries = b"".join(
        np.array([tag, 4], "<u2").tobytes() + np.array([1, value], "<u4").tobytes() for tag, value in tags
    )
    start = b"II*\0" + np.array([8 + len(data)], "<u4").tobytes()
    return start + data + np.array([len(tags)], "<u2").tobytes() + entries + bytes(4)


def test_transparent_16_bits_are_white(tmp_path: Path) -> None:
    values = np.rint(RAMP * 65535).astype(np.uint16)
    path = saved(tmp_path / "it.png", values, transparency=0)
    shown = np.asarray(read_image(path))
    assert shown[0, 0] == 255
    assert np.array_equal(shown.ravel()[1:], AS_8_BIT.ravel()[1:])


def test_black_and_white_act(tmp_path: Path) -> None:
    """Of pictures with 8 bits a channel they change nothing."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        saved(tmp_path / name / "deep.png", np.rint(RAMP * 4095).astype(np.uint16))
        saved(tmp_path / name / "plain.png", AS_8_BIT.astype(np.uint8))

    def images(**changes: Any) -> np.ndarray:
        keys = {"source": "folder", "dir": str(tmp_path), "validation": 0, "test": 0, "loading": "resident"}
        return data.load(data_settings(**keys | changes)).train.read([0, 1])[..., 0]  # type: ignore[union-attr]

    plain, told, darker = images(), images(white=4095), images(white=4095, black=2048)
    assert plain[0].max() == 16
    assert np.array_equal(told[0], AS_8_BIT)
    assert np.array_equal(darker[0], np.clip(np.rint((np.rint(RAMP * 4095) - 2048) / 2047 * 255), 0, 255))
    assert np.array_equal(plain[1], told[1])
    assert np.array_equal(plain[1], darker[1])


def test_white_is_above_black(tmp_path: Path) -> None:
    line = refusal(override, default_config(), [("data.white", 0)])
    assert "config.data.white=0.0: it must be above data.black=0.0" in line
    path = saved(tmp_path / "it.png", np.rint(RAMP * 65535).astype(np.uint16))
    line = refusal(read_image, path, Levels(black=70_000))
    assert "its white is 65535; config.data.black=70000 must be below" in line


def test_a_run_reads_as_it_was_trained(handed_over: Path, tmp_path: Path) -> None:
    path = saved(tmp_path / "it.png", np.rint(RAMP * 4095).astype(np.uint16))
    for white, brightest in ((None, 16), (4095, 255)):
        rewrite_config(handed_over, "data", "white", value=white)
        assert load_run(handed_over).read(path).max() == brightest
