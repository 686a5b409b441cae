"""Color with 16 bits a channel: all of them are read where white is stated, and what is read dark is said."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.data.reading.images import examine, read_image
from cnn_jax.data.reading.levels import Levels
from cnn_jax.inference.inputs import read_inputs
from cnn_jax.inference.prediction import predict_files
from cnn_jax.inference.run import load_run
from tests.support.commands import outcome
from tests.support.deep_pictures import png, tiff
from tests.support.helpers import data_settings, refusal

SHARES = np.random.default_rng(0).random((8, 6, 3))
SHARES[0, 0] = 1
AS_8_BIT = np.rint(np.rint(SHARES * 4095) / 4095 * 255)
TWELVE = np.rint(SHARES * 4095).astype(np.uint16)
OPAQUE = np.full((8, 6, 1), 65535, np.uint16)


KINDS = {
    "PNG": png(TWELVE),
    "PNG with alpha": png(np.concatenate([TWELVE, OPAQUE], axis=-1)),
    "TIFF": tiff(TWELVE),
    "TIFF, big-endian": tiff(TWELVE, ">"),
    "TIFF, deflated": tiff(TWELVE, deflated=True),
    "TIFF, big-endian and deflated": tiff(TWELVE, ">", deflated=True),
    "TIFF with alpha": tiff(np.concatenate([TWELVE, OPAQUE], axis=-1)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_12_bits_of_color(tmp_path: Path, kind: str) -> None:
    """By the config all of them; else Pillow's upper 8 of 16, and the file's header says how little is used."""
    (tmp_path / "it").write_bytes(KINDS[kind])
    assert np.array_equal(np.asarray(read_image(tmp_path / "it", Levels(white=4095))), AS_8_BIT)
    header, image = examine(KINDS[kind], "it", 8)
    assert np.array_equal(np.asarray(image), TWELVE >> 8)
    assert header.info["range_used"] == pytest.approx(4095 / 65535)


def test_black_and_white_of_color(tmp_path: Path) -> None:
    """Both act, what lies beyond is clipped, and what is transparent is shown on white."""
    opacity = np.where(np.arange(6) < 3, 65535, 0).astype(np.uint16)
    values = np.concatenate([TWELVE, np.broadcast_to(opacity[:, None], (8, 6, 1))], axis=-1)
    (tmp_path / "it.png").write_bytes(png(values))
    shown = np.asarray(read_image(tmp_path / "it.png", Levels(1000, 3000)))
    scaled = np.rint(np.clip((TWELVE.astype(float) - 1000) / 2000, 0, 1) * 255)
    assert np.array_equal(shown[:, :3], scaled[:, :3])
    assert (shown[:, 3:] == 255).all()


def test_color_that_fills_its_range(tmp_path: Path) -> None:
    (tmp_path / "it.png").write_bytes(png(np.rint(SHARES * 65535).astype(np.uint16)))
    header, image = examine((tmp_path / "it.png").read_bytes(), "it", 8)
    assert header.info["range_used"] == 1
    assert np.abs(np.asarray(image, int) - np.rint(SHARES * 255)).max() <= 1


def test_color_whose_bits_are_lost(tmp_path: Path) -> None:
    """What Pillow mixes while it unpacks, or has unpacked before, is refused where white is stated."""
    (tmp_path / "it.png").write_bytes(png(TWELVE[..., :2]))
    line = refusal(read_image, tmp_path / "it.png", Levels(white=4095))
    assert "16 bits a channel in color, of which Pillow keeps the upper 8" in line
    opened = Image.open(io.BytesIO(KINDS["PNG"]))
    assert "Pillow keeps the upper 8" in refusal(read_inputs, opened, (8, 6, 3), data_settings(white=4095))


def test_color_of_16_bits_a_pixel(tmp_path: Path) -> None:
    """In a BMP they are 5 bits of red, 6 of green, 5 of blue: less than 8 a channel, whatever white is."""
    pixels = np.array([0xF800, 0x07E0, 0x001F, 0xFFFF], "<u2").tobytes()
    sizes = np.array([40, 2, 2], "<u4").tobytes() + np.array([1, 16], "<u2").tobytes()
    header = sizes + np.array([3, len(pixels), 0, 0, 0, 0, 0xF800, 0x07E0, 0x001F], "<u4").tobytes()
    start = np.array([14 + len(header) + len(pixels), 0, 14 + len(header)], "<u4").tobytes()
    (tmp_path / "it.bmp").write_bytes(b"BM" + start + header + pixels)
    shown = np.asarray(read_image(tmp_path / "it.bmp", Levels(white=4095)))
    assert shown[::-1].reshape(-1, 3).tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]


@pytest.mark.parametrize("colored", [False, True])
def test_dark_pictures_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str], colored: bool) -> None:
    """Each time they are loaded, from the cache, too, until white is stated; of one color or 8 bits nothing is said."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "deep.png").write_bytes(KINDS["PNG"])
        if not colored:
            Image.fromarray(TWELVE[..., 0]).save(tmp_path / name / "deep.png")
        Image.fromarray(TWELVE[..., 0] * 0).save(tmp_path / name / "black.png")
        Image.fromarray((SHARES * 20).astype(np.uint8)).save(tmp_path / name / "plain.png")

    def said(**changes: Any) -> str:
        data.load(data_settings(source="folder", dir=str(tmp_path), validation=0, test=0, image_size=8, **changes))
        return capsys.readouterr().err

    line = "2 of 6 images have more than 8 bits a channel and use at most 6% of their range: they are read dark"
    assert line in said()
    assert line in said()
    assert line in said(loading="streamed")
    assert "data.white=4095" in said()
    assert "dark" not in said(white=4095)


def test_dark_pictures_are_predicted(handed_over: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = load_run(handed_over)
    (tmp_path / "it.png").write_bytes(KINDS["PNG"])
    assert [one.range_used for one in predict_files(run, [tmp_path / "it.png"], 1)] == [pytest.approx(4095 / 65535)]
    assert not capsys.readouterr().err
    line = "1 of 1 images have more than 8 bits a channel and use at most 6% of their range"
    run.predict([tmp_path / "it.png", np.zeros(run.image_shape, np.uint8)])
    assert line in capsys.readouterr().err
    ended = outcome("predict.py", f"--workdir={handed_over}", "it.png", folder=tmp_path)
    assert line in ended.err
    assert ended.status == 0
