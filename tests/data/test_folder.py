"""Folders of images as people have them: odd names, odd structures, folders that change."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.data.sources.folder import list_folder
from cnn_jax.errors import InputError
from tests.support.helpers import data_settings, load_folder, refusal
from tests.support.made_up import save_picture


def test_classes_are_folders_and_splits_are_stratified(photos: Path) -> None:
    splits = load_folder(photos, test=0.25, validation=2)
    assert splits.class_names == ("cat", "dog")
    assert splits.image_shape == (12, 16, 3)
    parts = [splits.train, splits.validation, splits.test]
    assert [np.bincount(part.labels).tolist() for part in parts if part] == [[5, 5], [1, 1], [2, 2]]
    again = load_folder(photos, test=0.25, validation=2)
    assert np.array_equal(again.train.read(np.arange(10)), splits.train.read(np.arange(10)))


@pytest.mark.parametrize(
    "names", [("train", "validation", "test"), ("training", "val", "test"), ("Train", "valid", "Test")]
)
def test_split_folders(tmp_path: Path, names: tuple[str, str, str]) -> None:
    for i, split in enumerate(names):
        for k in ("a", "b"):
            for j in range(3 - i):
                save_picture(tmp_path / "set" / split / k / f"{j}.png", 10 * i + j)
    splits = load_folder(tmp_path / "set", validation=0.5, test=0.5)
    assert [len(part) for part in (splits.train, splits.validation, splits.test) if part] == [6, 4, 2]


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    for name in ("exam", "test"):
        save_picture(tmp_path / "set" / name / "1.png")
    assert load_folder(tmp_path / "set").class_names == ("exam", "test")


def test_deeper_folders_hidden_files_and_litter(photos: Path) -> None:
    save_picture(photos / "cat/more/deep/9.png")
    for hidden in ("cat/.9.png", ".hidden/9.png", "cat/.more/9.png"):
        save_picture(photos / hidden)
    (photos / "cat/Thumbs.db").write_text("")
    listing = list_folder(photos)
    assert len(listing.paths["train"]) == 17
    assert os.path.join("cat", "more", "deep", "9.png") in listing.paths["train"]


def test_what_lies_beside_the_classes_is_said(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "README.txt").write_text("")
    save_picture(photos / "stray.png")
    assert len(load_folder(photos).train) == 16
    assert "left out 2 files (README.txt, stray.png) beside the class folders" in capsys.readouterr().err


def test_links_that_lead_back_are_not_followed(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "cat/loop").symlink_to(photos / "cat")
    (photos / "cat/up").symlink_to(photos)
    elsewhere = save_picture(photos.parent / "elsewhere/9.png").parent
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
        save_picture(tmp_path / "set" / name / f"{name}.png")
    broken = os.fsdecode(b"bad\xff")
    save_picture(tmp_path / "set" / broken / "1.png")
    splits = load_folder(tmp_path / "set")
    assert set(splits.class_names) == {*names, "bad\\xff", "new\\nline"} - {"new\nline"}
    assert len(splits.train) == 8
    assert not any(set(name) & set(map(chr, range(0xDC80, 0xDD00))) for name in splits.class_names)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda root: None, "there is no such folder"),
        (lambda root: root.write_text(""), "this is a file"),
        (lambda root: root.mkdir(), "no class folders with images"),
        (lambda root: save_picture(root / "1.png"), "no class folders with images"),
        (lambda root: [save_picture(root / "1.png"), save_picture(root.parent / "dog/1.png")],
         "one class of several: you may mean "),
        (lambda root: save_picture(root / "cat/1.png"), "one class (cat); a classifier needs at least two"),
        (lambda root: [save_picture(root / "cat/1.png"), save_picture(root / "dog/1.png"), (root / "emu").mkdir()],
         "1 class folder (emu) without any image"),
        (lambda root: [save_picture(root / f"{split}/{name}/1.png") for split, name in
                       (("train", "a"), ("train", "b"), ("test", "a"), ("test", "c"))],
         "test has 1 class (c) that train does not have"),
        (lambda root: [save_picture(root / f"{split}/a/1.png") for split in ("validation", "test")],
         "no folder train/"),
        (lambda root: [save_picture(root / f"{split}/a/1.png") for split in ("train", "val", "valid")],
         "both val/ and valid/"),
    ],
)  # fmt: skip
def test_folders_that_cannot_be_used(tmp_path: Path, build: Callable[[Path], Any], words: str) -> None:
    build(tmp_path / "set")
    assert words in refusal(load_folder, tmp_path / "set")


def test_empty_classes_may_be_left_out(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "emu").mkdir()
    assert load_folder(photos, on_error="skip").class_names == ("cat", "dog")
    assert "left out 1 class folder (emu) without any image" in capsys.readouterr().err


def test_a_class_that_a_split_lacks_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in ("train/a", "train/b", "test/a"):
        save_picture(tmp_path / "set" / place / "1.png")
    assert len(load_folder(tmp_path / "set").class_names) == 2
    assert "test has no image of 1 class (b)" in capsys.readouterr().err


def test_a_class_with_one_image_is_trained_on(tmp_path: Path) -> None:
    for i in range(9):
        save_picture(tmp_path / "set/common" / f"{i}.png", i)
    save_picture(tmp_path / "set/rare/1.png")
    splits = load_folder(tmp_path / "set", test=0.3, validation=0.3)
    assert np.bincount(splits.train.labels)[1] == 1


def test_a_folder_that_changed_is_read_again(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = load_folder(photos)
    capsys.readouterr()
    assert load_folder(photos).fingerprint == first.fingerprint
    assert "changed" not in capsys.readouterr().err
    save_picture(photos / "cat/new.png", 7)
    save_picture(photos / "cat/0.png", 201)
    (photos / "dog/0.png").unlink()
    second = load_folder(photos)
    assert (
        "photos: the files have changed since the last time (1 added, 1 removed, 1 changed)" in capsys.readouterr().err
    )
    assert second.fingerprint != first.fingerprint
    assert 201 in second.train.read(np.arange(16))


def test_a_folder_is_the_same_however_it_is_written(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = load_folder(photos)
    monkeypatch.chdir(photos.parent)
    assert load_folder(Path("photos")).fingerprint == first.fingerprint
    shutil.copytree(photos, "elsewhere/photos")
    copied = load_folder(Path("elsewhere/photos"))
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
        load_folder(photos, on_error="skip")


def exchange_with_rename(one: Path, other: Path) -> None:
    one.rename(one.with_suffix(".moving"))
    other.rename(one)
    one.with_suffix(".moving").rename(other)


def exchange_content(one: Path, other: Path) -> None:
    contents = [other.read_bytes(), one.read_bytes()]
    for path, content in zip((one, other), contents, strict=True):
        times = path.stat()
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("source", ["folder", "csv"])
@pytest.mark.parametrize("exchange", [exchange_with_rename, exchange_content])
def test_exchanged_files_are_read_again(tmp_path: Path, source: str, exchange: Callable[[Path, Path], None]) -> None:
    """Of one size and written at one time, they differ from the former ones only in inode and time of change."""
    paths = [tmp_path / "set" / name / f"{i}.bmp" for name in "ab" for i in range(2)]
    for i, path in enumerate(paths):
        save_picture(path, 60 * i + 20)
        os.utime(path, ns=(10**18, 10**18))
    manifest = tmp_path / "set.csv"
    manifest.write_text("path,label\n" + "".join(f"{path},{path.parent.name}\n" for path in paths))

    def brightest() -> list[int]:
        where = manifest if source == "csv" else tmp_path / "set"
        train = data.load(data_settings(source=source, dir=str(where), validation=0, test=0)).train
        return [int(picture.max()) for picture in train.read(range(4))]

    assert brightest() == [20, 80, 140, 200]
    exchange(paths[0], paths[3])
    assert brightest() == [200, 80, 140, 20]


@pytest.mark.parametrize("layout", ["", "train"])
def test_a_class_without_any_good_image(tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two classes it is an error, whatever on_error says; of more, a line."""
    root = tmp_path / "set"
    for i in range(3):
        save_picture(root / layout / "cat" / f"{i}.png", i)
        (root / layout / "dog").mkdir(exist_ok=True)
        (root / layout / "dog" / f"{i}.png").write_bytes(b"torn")
    assert "one class has training images (cat), no image of dog can be used" in refusal(
        load_folder, root, on_error="skip"
    )
    save_picture(root / layout / "emu/1.png")
    assert load_folder(root, on_error="skip").class_names == ("cat", "dog", "emu")
    assert "no training image of 1 of 3 classes (dog)" in capsys.readouterr().err


def test_resident_and_streamed_are_the_same_pictures(photos: Path) -> None:
    resident, streamed = (load_folder(photos, loading=loading, image_size=9) for loading in ("resident", "streamed"))
    assert isinstance(streamed.train, data.ImageDataset)
    assert (resident.mean, resident.std) == (streamed.mean, streamed.std)
    everything = np.arange(16)
    assert np.array_equal(resident.train.read(everything), streamed.train.read(everything))
    assert np.array_equal(resident.train.labels, streamed.train.labels)


def test_auto_streams_what_does_not_fit(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_folder(photos).loading == "resident"
    monkeypatch.setattr("cnn_jax.data.loading.bytes_at_hand", lambda: 16 * 16 * 12 * 3 - 1)
    assert load_folder(photos).loading == "streamed"
    assert load_folder(photos, loading="resident").loading == "resident"
