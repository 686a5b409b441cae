"""Folders of images as people have them: broken files, odd formats, odd names, odd structures."""

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.data.sources.folder import list_folder
from cnn_jax.errors import InputError
from tests.support.helpers import data_settings


def picture(path: Path, value: int = 100, size: tuple[int, int] = (16, 12), **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), value, np.uint8)
    pixels[: size[1] // 2] //= 2
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of eight pictures, of one size."""
    for k, name in enumerate(("cat", "dog")):
        for i in range(8):
            picture(tmp_path / "photos" / name / f"{i}.png", 40 + 20 * i + k)
    return tmp_path / "photos"


def load(folder: Path, **changes: Any) -> data.Splits:
    return data.load(data_settings(source="folder", dir=str(folder), **{"validation": 0, "test": 0, **changes}))


def test_classes_are_folders_and_splits_are_stratified(photos: Path) -> None:
    splits = load(photos, test=0.25, validation=2)
    assert splits.class_names == ("cat", "dog")
    assert splits.image_shape == (12, 16, 3)
    parts = [splits.train, splits.validation, splits.test]
    assert [np.bincount(part.labels).tolist() for part in parts if part] == [[5, 5], [1, 1], [2, 2]]
    again = load(photos, test=0.25, validation=2)
    assert np.array_equal(again.train.read(np.arange(10)), splits.train.read(np.arange(10)))


@pytest.mark.parametrize(
    "names", [("train", "validation", "test"), ("training", "val", "test"), ("Train", "valid", "Test")]
)
def test_split_folders(tmp_path: Path, names: tuple[str, str, str]) -> None:
    for i, split in enumerate(names):
        for k in ("a", "b"):
            for j in range(3 - i):
                picture(tmp_path / "set" / split / k / f"{j}.png", 10 * i + j)
    splits = load(tmp_path / "set", validation=0.5, test=0.5)
    assert [len(part) for part in (splits.train, splits.validation, splits.test) if part] == [6, 4, 2]


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    for name in ("exam", "test"):
        picture(tmp_path / "set" / name / "1.png")
    assert load(tmp_path / "set").class_names == ("exam", "test")


def test_deeper_folders_hidden_files_and_litter(photos: Path) -> None:
    picture(photos / "cat/more/deep/9.png")
    for hidden in ("cat/.9.png", ".hidden/9.png", "cat/.more/9.png"):
        picture(photos / hidden)
    (photos / "cat/Thumbs.db").write_text("")
    listing = list_folder(photos)
    assert len(listing.paths["train"]) == 17
    assert os.path.join("cat", "more", "deep", "9.png") in listing.paths["train"]


def test_what_lies_beside_the_classes_is_said(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "README.txt").write_text("")
    picture(photos / "stray.png")
    assert len(load(photos).train) == 16
    assert "left out 2 files (README.txt, stray.png) beside the class folders" in capsys.readouterr().err


def test_links_that_lead_back_are_not_followed(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "cat/loop").symlink_to(photos / "cat")
    (photos / "cat/up").symlink_to(photos)
    elsewhere = picture(photos.parent / "elsewhere/9.png").parent
    (photos / "cat/linked").symlink_to(elsewhere)
    listing = list_folder(photos)
    (photos / "cat/other").symlink_to(photos / "dog")
    (photos / "cat/itself").symlink_to("itself")
    (photos / "cat/through").symlink_to("/etc/hostname/x")
    listing = list_folder(photos)
    assert len(listing.paths["train"]) == 16 + 1 + 2  # no image has two labels; the two last are links to nothing
    assert os.path.join("cat", "linked", "9.png") in listing.paths["train"]
    assert capsys.readouterr().err.count("leads to a folder that is read already") == 2 + 3


def test_a_link_to_another_class_is_no_class(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "puppy").symlink_to(photos / "dog")
    (photos / "everything").symlink_to(photos)
    with pytest.raises(InputError, match=r"2 class folders \(everything, puppy\) without any image"):
        list_folder(photos)
    assert capsys.readouterr().err.count("leads to a folder that is read already") == 2


def test_names_of_every_kind(tmp_path: Path) -> None:
    names = ["with space", "Ünïcode 猫", "new\nline", "quote'\"", "<b>&amp;", "-dash", "$HOME;ls"]
    for name in names:
        picture(tmp_path / "set" / name / f"{name}.png")
    broken = os.fsdecode(b"bad\xff")
    picture(tmp_path / "set" / broken / "1.png")
    splits = load(tmp_path / "set")
    assert set(splits.class_names) == {*names, "bad\\xff", "new\\nline"} - {"new\nline"}
    assert len(splits.train) == 8
    assert not any(set(name) & set(map(chr, range(0xDC80, 0xDD00))) for name in splits.class_names)


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
        splits = load(photos)  # none is of another size: the rotated one is 12x16 once upright
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
    with pytest.raises(InputError, match=r"6 of 22 images cannot be used; .*data\.on_error=skip"):
        load(photos, loading=loading, image_size=12)
    said = capsys.readouterr().err
    for name, words in bad.items():
        assert any(name in line and words in line for line in said.splitlines()), name
    splits = load(photos, loading=loading, image_size=12, on_error="skip")
    assert len(splits.train) == 16
    assert len(splits.skipped) == 6
    assert "left out 6 of 22 images" in capsys.readouterr().err
    for path in photos.glob("*/*"):
        if path.name in bad:
            path.unlink()
    clean = load(photos, image_size=12).train
    assert np.array_equal(splits.train.read(np.arange(16)), clean.read(np.arange(16)))
    assert np.array_equal(splits.train.labels, clean.labels)


def test_a_decompression_bomb_is_a_bad_file(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(photos / "cat/bomb.png", size=(100, 100))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    splits = load(photos, image_size=8, on_error="skip")
    assert "decompression bomb" in splits.skipped[0]
    assert len(splits.skipped) == 1


def test_pictures_of_other_sizes_need_a_size(photos: Path) -> None:
    picture(photos / "cat/wide.png", size=(40, 12))
    with pytest.raises(InputError, match=r"config\.data\.image_size=None: images of photos differ in size"):
        load(photos)
    assert load(photos, image_size=(8, 10)).image_shape == (8, 10, 3)


def test_an_odd_one_among_many_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The size is read off some pictures; all the others are held against it."""
    for i in range(300):
        picture(tmp_path / "set" / "ab"[i % 2] / f"{i:03}.png", size=(9, 8) if i == 101 else (8, 8))
    with pytest.raises(InputError, match="1 of 300 images cannot be used"):
        load(tmp_path / "set")
    assert "101.png: it has 8x9 pixels, others 8x8; set data.image_size" in capsys.readouterr().err
    assert len(load(tmp_path / "set", image_size=8).train) == 300


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda root: None, "there is no such folder"),
        (lambda root: root.write_text(""), "this is a file"),
        (lambda root: root.mkdir(), "no class folders with images"),
        (lambda root: picture(root / "1.png"), "no class folders with images"),
        (lambda root: picture(root / "cat/1.png"), r"one class \(cat\); a classifier needs at least two"),
        (lambda root: [picture(root / "cat/1.png"), picture(root / "dog/1.png"), (root / "emu").mkdir()],
         r"1 class folder \(emu\) without any image"),
        (lambda root: [picture(root / f"{split}/{name}/1.png") for split, name in
                       (("train", "a"), ("train", "b"), ("test", "a"), ("test", "c"))],
         r"test has 1 class \(c\) that train does not have"),
        (lambda root: [picture(root / f"{split}/a/1.png") for split in ("validation", "test")], "no folder train/"),
        (lambda root: [picture(root / f"{split}/a/1.png") for split in ("train", "val", "valid")],
         "both val/ and valid/"),
    ],
)  # fmt: skip
def test_folders_that_cannot_be_used(tmp_path: Path, build: Callable[[Path], Any], words: str) -> None:
    build(tmp_path / "set")
    with pytest.raises(InputError, match=words) as caught:
        load(tmp_path / "set")
    assert "\n" not in str(caught.value)


def test_empty_classes_may_be_left_out(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "emu").mkdir()
    assert load(photos, on_error="skip").class_names == ("cat", "dog")
    assert "left out 1 class folder (emu) without any image" in capsys.readouterr().err


def test_a_class_that_a_split_lacks_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in ("train/a", "train/b", "test/a"):
        picture(tmp_path / "set" / place / "1.png")
    assert len(load(tmp_path / "set").class_names) == 2
    assert "test has no image of 1 class (b)" in capsys.readouterr().err


def test_a_class_with_one_image_is_trained_on(tmp_path: Path) -> None:
    for i in range(9):
        picture(tmp_path / "set/common" / f"{i}.png", i)
    picture(tmp_path / "set/rare/1.png")
    splits = load(tmp_path / "set", test=0.3, validation=0.3)
    assert np.bincount(splits.train.labels)[1] == 1


def test_a_folder_that_changed_is_read_again(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = load(photos)
    capsys.readouterr()
    assert load(photos).fingerprint == first.fingerprint
    assert "changed" not in capsys.readouterr().err
    picture(photos / "cat/new.png", 7)
    picture(photos / "cat/0.png", 201)
    (photos / "dog/0.png").unlink()
    second = load(photos)
    assert (
        "photos: the files have changed since the last time (1 added, 1 removed, 1 changed)" in capsys.readouterr().err
    )
    assert second.fingerprint != first.fingerprint
    assert 201 in second.train.read(np.arange(16))


def test_a_folder_is_the_same_however_it_is_written(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = load(photos)
    monkeypatch.chdir(photos.parent)
    assert load(Path("photos")).fingerprint == first.fingerprint
    shutil.copytree(photos, "elsewhere/photos")
    copied = load(Path("elsewhere/photos"))
    assert copied.fingerprint == first.fingerprint
    assert np.array_equal(copied.train.labels, first.train.labels)
    assert "changed" not in capsys.readouterr().err


def test_a_split_without_any_good_image_is_said(photos: Path) -> None:
    for name in ("cat", "dog"):
        (photos / "train").mkdir(exist_ok=True)
        (photos / name).rename(photos / "train" / name)
        (photos / "test" / name).mkdir(parents=True)
        (photos / "test" / name / "1.png").write_bytes(b"x")
    with pytest.raises(InputError, match="none of the images of its split 'test' can be used"):
        load(photos, on_error="skip")


def test_gray_palettes_are_gray(tmp_path: Path) -> None:
    for i in range(4):
        path = tmp_path / "set" / "ab"[i % 2] / f"{i}.gif"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 6), 40 * i).save(path)
    assert load(tmp_path / "set").image_shape == (6, 6, 1)


def test_resident_and_streamed_are_the_same_pictures(photos: Path) -> None:
    resident, streamed = (load(photos, loading=loading, image_size=9) for loading in ("resident", "streamed"))
    assert isinstance(streamed.train, data.ImageDataset)
    assert (resident.mean, resident.std) == (streamed.mean, streamed.std)
    everything = np.arange(16)
    assert np.array_equal(resident.train.read(everything), streamed.train.read(everything))
    assert np.array_equal(resident.train.labels, streamed.train.labels)


def test_auto_streams_what_does_not_fit(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(photos).loading == "resident"
    monkeypatch.setattr("cnn_jax.data.loading.bytes_at_hand", lambda: 16 * 16 * 12 * 3 - 1)
    assert load(photos).loading == "streamed"
    assert load(photos, loading="resident").loading == "resident"
