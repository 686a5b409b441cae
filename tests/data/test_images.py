"""Pictures of every kind become the arrays that a network takes, or one line that names them."""

import io
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from cnn_jax.data.reading.images import decode, fit_image, look, read_image
from cnn_jax.errors import InputError
from tests.support.helpers import refusal


def test_modes_of_images(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 16 * 12).reshape(12, 16)
    gray = Image.fromarray(ramp.astype(np.uint8))
    saved = {
        "l.png": gray,
        "rgb.png": gray.convert("RGB"),
        "rgba.png": gray.convert("RGBA"),
        "la.png": gray.convert("LA"),
        "palette.gif": gray.convert("P"),
        "cmyk.jpg": gray.convert("RGB").convert("CMYK"),
        "sixteen.png": Image.fromarray((ramp * 257).astype(np.uint16)),
        "sixteen.tif": Image.fromarray((ramp * 257).astype(np.uint16)),
        "float.tif": Image.fromarray((ramp / 255).astype(np.float32)),
    }
    for name, image in saved.items():
        image.save(tmp_path / name)
        for channels in (1, 3):
            array = fit_image(read_image(tmp_path / name), (12, 16, channels), "crop")
            assert array.shape == (12, 16, channels)
            assert array.dtype == np.uint8
            assert np.abs(array[..., 0] - ramp).max() <= (12 if name == "cmyk.jpg" else 3), name


def test_one_bit_transparent_rotated_and_animated(tmp_path: Path) -> None:
    Image.fromarray(np.eye(8, dtype=bool)).save(tmp_path / "bit.png")
    assert np.array_equal(np.asarray(read_image(tmp_path / "bit.png")), np.eye(8, dtype=np.uint8) * 255)
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert np.asarray(read_image(tmp_path / "clear.png")).min() == 255  # what is transparent is white
    exif = Image.Exif()
    exif[0x0112] = 6
    tall = Image.fromarray(np.zeros((4, 8, 3), np.uint8))
    tall.save(tmp_path / "rotated.jpg", exif=exif)
    assert read_image(tmp_path / "rotated.jpg").size == (4, 8)
    frames = [Image.new("L", (4, 4), value) for value in (10, 200)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert np.asarray(read_image(tmp_path / "moving.gif").convert("L")).max() == 10


@pytest.mark.parametrize("resize", ["crop", "stretch", "pad"])
def test_resize_rules(resize: str) -> None:
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 255
    array = fit_image(Image.fromarray(image), (10, 10, 3), resize)
    whiteness = {"crop": 1.0, "stretch": 1 / 3, "pad": 1 / 9}[resize]
    assert array.mean() / 255 == pytest.approx(whiteness, abs=0.08)


def test_large_jpegs_are_scaled_by_the_decoder_without_showing_it() -> None:
    """Against Pillow at full size: the same picture to half a gray level, and for small ones to the bit."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (30, 40, 3), np.uint8))
    picture = coarse.resize((1600, 1200), Image.Resampling.BICUBIC)
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=90)
    whole = Image.open(stored).convert("RGB")
    for size, tolerance in ((900, 0.0), (150, 0.6), (60, 0.6)):
        ours = decode(stored.getvalue(), "it", (size, size, 3), "crop")
        theirs = np.asarray(ImageOps.fit(whole, (size, size), Image.Resampling.BILINEAR))
        assert np.abs(ours.astype(int) - theirs).mean() <= tolerance


@pytest.mark.parametrize(("shape", "most"), [("square", 0.75), ("as it is", 3.0)])
def test_a_center_crop_of_photographs_is_torchvisions(photographs: list[Path], shape: str, most: float) -> None:
    """Resize(256) and CenterCrop(224): two calls of Pillow. The second cuts at whole pixels, often half a pixel off."""
    differences = []
    for path in photographs[:40]:
        with Image.open(path) as stored:
            whole = stored.convert("RGB")
        whole = ImageOps.fit(whole, (375, 375)) if shape == "square" else whole
        least = min(whole.size)
        sides = [256 if side == least else int(side * 256 / least) for side in whole.size]
        resized = whole.resize((sides[0], sides[1]), Image.Resampling.BILINEAR)
        left, top = (round((side - 224) / 2) for side in resized.size)
        theirs = np.asarray(resized.crop((left, top, left + 224, top + 224)), np.int16)
        stored_again = io.BytesIO()
        whole.save(stored_again, "PNG")
        content = path.read_bytes() if shape == "as it is" else stored_again.getvalue()
        for share in (0.875, 0.87, 1.0):
            ours = decode(content, path.name, (224, 224, 3), "crop", share)
            differences.append(np.abs(theirs - ours).mean())
    same, slightly_off, uncropped = np.array(differences).reshape(-1, 3).mean(axis=0)
    assert same <= most
    assert slightly_off > 1.2 * same
    assert uncropped > 15


@pytest.mark.parametrize("resize", ["crop", "stretch", "pad"])
def test_what_a_center_crop_keeps(resize: str) -> None:
    """Half the sides of a picture of 40x80: 20x40 of it, which each rule then fits into 10x10."""
    pixels = np.full((40, 80, 3), 255, np.uint8)
    pixels[10:30, 20:60] = 100
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    array = decode(stored.getvalue(), "it", (10, 10, 3), resize, 0.5)
    inside = array[3:7] if resize == "pad" else array[1:-1, 1:-1]
    assert inside.min() == inside.max() == 100
    assert np.array_equal(array, fit_image(Image.fromarray(pixels), (10, 10, 3), resize, 0.5))
    assert bool((array[:2] == 0).all()) == (resize == "pad")
    assert decode(stored.getvalue(), "it", (10, 10, 3), resize).max() == 255


@pytest.mark.parametrize("resize", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("sides", [(1, 1), (2, 9), (40, 3)])
def test_a_center_crop_of_next_to_nothing(resize: str, sides: tuple[int, int]) -> None:
    assert fit_image(Image.new("RGB", sides, (9, 9, 9)), (8, 8, 3), resize, 1e-6).max() == 9


def test_a_center_crop_decodes_no_more_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    import simplejpeg

    stored, scales = io.BytesIO(), []
    Image.new("RGB", (800, 800)).save(stored, "JPEG")
    decoder = simplejpeg.decode_jpeg

    def spy(*arguments: Any, min_width: int, **settings: Any) -> np.ndarray:
        scales.append(800 // min_width)
        pixels: np.ndarray = decoder(*arguments, min_width=min_width, **settings)
        return pixels

    monkeypatch.setattr(simplejpeg, "decode_jpeg", spy)
    for share in (1.0, 0.9, 0.5, 0.2):
        decode(stored.getvalue(), "it", (100, 100, 3), "crop", share)
    assert scales == [4, 2, 2, 1]


@pytest.mark.parametrize(
    ("kind", "orientation"), [*(("jpg", turn) for turn in range(1, 9)), ("png", 6), ("webp", 7), ("tif", 8)]
)
def test_exif_orientation(kind: str, orientation: int, tmp_path: Path) -> None:
    """Turning knows nothing of formats, and each format's reader finds the tag or does not."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 256, (5, 6, 3), np.uint8)).resize((48, 40))
    path = tmp_path / f"turned.{kind}"
    picture.save(path, exif=exif, quality=95)
    with Image.open(path) as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored))
    assert upright.shape == ((40, 48, 3) if orientation < 5 else (48, 40, 3))
    assert np.array_equal(read_image(path), upright)
    content = path.read_bytes()
    assert look(content, "it")[:2] == upright.shape[:2]
    assert np.array_equal(decode(content, "it", upright.shape, "stretch"), upright)


def test_a_region_is_what_pillow_makes_of_its_box() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    stored = io.BytesIO()
    picture.save(stored, "PNG")
    ours = decode(stored.getvalue(), "it", (16, 16, 3), "crop", 0.5, lambda height, width: (0.25, 0.1, 0.5, 0.3))
    theirs = picture.resize((16, 16), Image.Resampling.BILINEAR, box=(6, 10, 24, 30))
    assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.png", b"hello", "not an image"),
        ("empty.jpg", b"", "file is empty"),
        ("torn.png", None, "cannot be read"),
        ("missing.png", b"-", "no such file"),
        (".", b"-", "folder"),
    ],
)
def test_images_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if name == "torn.png":
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / name)
        content = (tmp_path / name).read_bytes()[:4000]
    if content != b"-":
        (tmp_path / name).write_bytes(content or b"")
    message = refusal(read_image, tmp_path / name)
    assert words in message
    assert name in message or name == "."


def test_whatever_a_decoder_raises_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "odd.bmp")

    def broken(image: Any) -> Any:
        raise struct.error("required argument is not an integer")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", broken)
    with pytest.raises(InputError, match=r"odd\.bmp: this image cannot be read: required"):
        read_image(tmp_path / "odd.bmp")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="not a regular file"):
        read_image(tmp_path / "pipe.png")


def test_large_images_and_floats_that_are_no_numbers_are_taken_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    Image.fromarray(np.array([[np.nan, np.inf], [0, 1]], np.float32)).save(tmp_path / "odd.tif")
    assert np.asarray(read_image(tmp_path / "odd.tif"))[0].tolist() == [0, 255]
    Image.new("L", (40, 40)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read_image(tmp_path / "large.png").size == (40, 40)
    assert not recwarn.list


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="decompression bomb"):
        read_image(tmp_path / "bomb.png")
