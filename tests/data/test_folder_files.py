"""Files in a folder of images: every format, broken ones, odd sizes."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data.sources.folder import list_folder
from cnn_jax.errors import InputError
from tests.support.helpers import load_folder
from tests.support.made_up import save_picture

FORMATS: dict[str, Callable[[Path], Any]] = {
    "cmyk.jpg": lambda path: Image.new("CMYK", (16, 12), (10, 20, 30, 40)).save(path),
    "palette.png": lambda path: Image.new("P", (16, 12), 3).save(path),
    "gray.jpg": lambda path: Image.new("L", (16, 12), 99).save(path),
    "deep.png": lambda path: Image.fromarray(np.full((12, 16), 40_000, np.uint16)).save(path),
    "onebit.png": lambda path: Image.new("1", (16, 12), 1).save(path),
    "moving.gif": lambda path: Image.new("L", (16, 12), 9).save(
        path, save_all=True, append_images=[Image.new("L", (16, 12), 99)]
    ),
    "web.webp": lambda path: Image.new("RGB", (16, 12), 9).save(path),
    "clear.png": lambda path: Image.new("RGBA", (16, 12), (9, 9, 9, 0)).save(path),
    "really_a_png.jpg": lambda path: Image.new("RGB", (16, 12), 9).save(path, "PNG"),
    "no_extension": lambda path: Image.new("RGB", (16, 12), 9).save(path, "PNG"),
    "notes.txt": lambda path: Image.new("RGB", (16, 12), 9).save(path, "BMP"),
}


def test_every_format_that_pillow_reads(photos: Path) -> None:
    for name, save in FORMATS.items():
        save(photos / "cat" / name)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    Image.fromarray(np.zeros((16, 12, 3), np.uint8)).save(photos / "cat/rotated.jpg", exif=rotated)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splits = load_folder(photos)  # none is of another size: the rotated one is 12x16 once upright
    assert len(splits.train) == 16 + len(FORMATS) + 1
    by_name = dict(
        zip(list_folder(photos).paths["train"], splits.train.read(np.arange(len(splits.train))), strict=True)
    )
    assert by_name["cat/deep.png"].reshape(-1)[0] == round(40_000 / 65_535 * 255)
    assert by_name["cat/clear.png"].min() == 255
    assert by_name["cat/moving.gif"].max() == 9


def plant_bad_files(photos: Path) -> dict[str, str]:
    """{name: what must be said of it}"""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    (photos / "cat/zero.png").write_bytes(b"")
    (photos / "cat/text.jpg").write_text("I am no picture")
    for name in ("torn.jpg", "torn.png"):
        Image.fromarray(noise).save(photos / "dog" / name)
        content = (photos / "dog" / name).read_bytes()
        (photos / "dog" / name).write_bytes(content[: len(content) // 2])
    (photos / "dog/nowhere.png").symlink_to(photos / "missing.png")
    os.mkfifo(photos / "dog/pipe.png")
    return {
        "zero.png": "empty", "text.jpg": "not an image", "torn.jpg": "cannot be read", "torn.png": "cannot be read",
        "nowhere.png": "leads to no file", "pipe.png": "not a regular file",
    }  # fmt: skip


@pytest.mark.parametrize("loading", ["resident", "streamed"])
def test_bad_files_are_all_named_or_left_out(photos: Path, loading: str, capsys: pytest.CaptureFixture[str]) -> None:
    bad = plant_bad_files(photos)
    with pytest.raises(InputError, match=r"6 of 22 images cannot be used; .* --config\.data\.on_error=skip"):
        load_folder(photos, loading=loading, image_size=12)
    said = capsys.readouterr().err
    for name, words in bad.items():
        assert any(name in line and words in line for line in said.splitlines()), name
    splits = load_folder(photos, loading=loading, image_size=12, on_error="skip")
    assert len(splits.train) == 16
    assert len(splits.skipped) == 6
    assert "left out 6 of 22 images" in capsys.readouterr().err
    for path in photos.glob("*/*"):
        if path.name in bad:
            path.unlink()
    clean = load_folder(photos, image_size=12).train
    assert np.array_equal(splits.train.read(np.arange(16)), clean.read(np.arange(16)))
    assert np.array_equal(splits.train.labels, clean.labels)


def test_a_decompression_bomb_is_a_bad_file(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_picture(photos / "cat/bomb.png", size=(100, 100))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    splits = load_folder(photos, image_size=8, on_error="skip")
    assert "decompression bomb" in splits.skipped[0]
    assert len(splits.skipped) == 1


def test_pictures_of_other_sizes_need_a_size(photos: Path) -> None:
    save_picture(photos / "cat/wide.png", size=(40, 12))
    with pytest.raises(InputError, match=r"config\.data\.image_size=None: images of photos differ in size"):
        load_folder(photos)
    assert load_folder(photos, image_size=(8, 10)).image_shape == (8, 10, 3)


def test_an_odd_one_among_many_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The size is read off some pictures; all the others are held against it."""
    for i in range(300):
        save_picture(tmp_path / "set" / "ab"[i % 2] / f"{i:03}.png", size=(9, 8) if i == 101 else (8, 8))
    with pytest.raises(InputError, match="1 of 300 images cannot be used"):
        load_folder(tmp_path / "set")
    assert "101.png: it has 8x9 pixels, others 8x8; set data.image_size" in capsys.readouterr().err
    assert len(load_folder(tmp_path / "set", image_size=8).train) == 300


def test_gray_palettes_are_gray(tmp_path: Path) -> None:
    for i in range(4):
        path = tmp_path / "set" / "ab"[i % 2] / f"{i}.gif"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 6), 40 * i).save(path)
    assert load_folder(tmp_path / "set").image_shape == (6, 6, 1)
