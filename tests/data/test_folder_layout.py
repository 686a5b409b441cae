"""Where the classes of a folder stand: splits, wrapping folders, and what may be meant in two ways."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from cnn_jax.data import load_source
from cnn_jax.data.sources.folder import Listing, list_folder
from cnn_jax.data.sources.split_names import has_two_meanings, looks_like_a_split, split_of
from tests.support.helpers import data_settings, refusal


def build(root: Path, *folders: str) -> Path:
    """Folders with two files each, called `1.png` and `2.png`: nothing here opens them."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in (1, 2):
            (root / folder / f"{i}.png").write_bytes(b"x")
    return root


def sizes(listing: Listing) -> dict[str, list[int]]:
    return {split: np.bincount(labels).tolist() for split, labels in listing.labels.items()}


@pytest.mark.parametrize(
    ("names", "split"),
    [
        ("train Training TRAIN train_images training-set trainset train_data images_train train2017", "train"),
        ("val valid validation dev Dev_Set development valset val_images val2017", "validation"),
        ("test tests testing Test-Images test_set testset test.data", "test"),
    ],
)
def test_names_of_splits(names: str, split: str) -> None:
    assert [split_of(name) for name in names.split()] == [split] * len(names.split())


def test_names_that_are_none() -> None:
    for name in ("cat", "images", "trainee", "invalid", "train station", "test_tube", "train1", "latest", "", "猫"):
        assert split_of(name) is None
    assert all(map(has_two_meanings, ("eval", "Holdout", "hold-out", "eval_images", "evaluation")))
    assert all(map(looks_like_a_split, ("flowers_train", "test_hard", "train1", "my eval")))
    assert not any(map(looks_like_a_split, ("cat", "latest", "invalid", "training wheels"[8:], "devil")))


@pytest.mark.parametrize(
    "names",
    [("train_images", "dev", "test_images"), ("training_set", "val2017", "testing"), ("trainset", "valid", "Test")],
)
def test_near_names_are_taken_and_said(
    tmp_path: Path, names: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    build(tmp_path, *(f"{name}/{k}" for name in names for k in "ab"))
    listing = list_folder(tmp_path)
    assert listing.class_names == ("a", "b")
    assert sizes(listing) == {"train": [2, 2], "validation": [2, 2], "test": [2, 2]}
    assert f"it takes {names[0]}/ as train" in capsys.readouterr().err


REFUSED = {
    "splits without classes": (("train", "test"), "named as splits, train, test must each hold one folder"),
    "one split without classes": (("train/a", "train/b", "test"), "named as splits, test must each hold one folder"),
    "classes beside train": (("boat", "bus", "train/steam", "train/diesel"),
                             "train/ holds 2 folders (diesel, steam), as a split does, but boat, bus beside it hold"),
    "two meanings": (("train/a", "train/b", "eval/a", "eval/b"), "eval may mean validation or test"),
    "holdout": (("train/a", "train/b", "holdout/a", "holdout/b"), "holdout may mean validation or test"),
    "like a split": (("train/a", "train/b", "test/a", "test_hard/a"), "test_hard beside train, test looks like a"),
    "own names": (("roses_train/a", "roses_train/b", "roses_test/a", "roses_test/b"), "names like those of splits"),
    "own names, no classes": (("roses_train", "roses_test"), "have names like those of splits"),
    "the same folders": (("part1/a", "part1/b", "part2/a", "part2/b"), "part1, part2 all hold the same folders (a, b)"),
    "one has fewer": (("north/a", "north/b", "north/c", "south/a", "south/b"), "hold the same folders (a, b)"),
    "splits in classes": (("cat/train", "cat/test", "dog/train", "dog/test"), "as in test/cat"),
    "classes and test": (("cat", "dog", "test/cat", "test/dog"), "put the latter into train/"),
    "no train": (("validation/a", "validation/b", "test/a", "test/b"), "no folder train/"),
    "eval alone": (("eval/a", "eval/b"), "it has eval, but no folder train/"),
    "test alone": (("test/a", "test/b"), "/test"),
    "wrapped": (("data/cat", "data/dog"), "/data"),
    "wrapped twice": (("a/b/cat", "a/b/dog"), "/a/b"),
    "wrapped splits": (("data/train/a", "data/train/b"), "/data"),
    "wrapped in a split": (("train/images/a", "train/images/b"), "train/images up into"),
    "two for one": (("train/a", "train/b", "train_images/a"), "both train/ and train_images/ name the split train"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_guessed(tmp_path: Path, case: str) -> None:
    folders, words = REFUSED[case]
    line = refusal(list_folder, build(tmp_path / "set", *folders))
    assert words in line
    if "wrapped" in case and "split" not in case:
        assert line.endswith(f"set data.dir={tmp_path / 'set'}{words}")


def test_all_folders_may_be_classes(tmp_path: Path) -> None:
    """Whatever their names and what they hold, where `data.layout` says so."""

    def names(root: Path) -> tuple[str, ...]:
        """What the config's key does; with its size given, no picture is opened."""
        settings = data_settings(source="folder", dir=str(root), layout="classes", image_size=8, channels=3)
        return load_source(settings).class_names

    for k, (folders, wanted) in enumerate([
        (("train", "test"), ("test", "train")),
        (("boat", "bus", "train/steam", "train/diesel"), ("boat", "bus", "train")),
        (("cat/front", "cat/side", "dog/front", "dog/side"), ("cat", "dog")),
    ]):  # fmt: skip
        assert names(build(tmp_path / str(k), *folders)) == wanted


def test_classes_named_like_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without doubt a class: a train among vehicles; a test beside what is no split, which is said."""
    assert list_folder(build(tmp_path / "vehicles", "boat", "bus", "train")).class_names == ("boat", "bus", "train")
    assert list_folder(build(tmp_path / "lab", "flask", "test_tube")).class_names == ("flask", "test_tube")
    capsys.readouterr()
    assert list_folder(build(tmp_path / "papers", "exam", "test")).class_names == ("exam", "test")
    assert "test is taken as a class" in capsys.readouterr().err


def test_what_is_no_data_beside_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Annotations and the like are left out, with a line."""
    build(tmp_path, "train/a", "train/b")
    for name in ("annotations", "train_labels", "eval"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.xml").write_text("")
    assert sizes(list_folder(tmp_path)) == {"train": [2, 2]}
    assert "left out what is in no split: 3 entries (annotations, eval, train_labels)" in capsys.readouterr().err


def test_sessions_within_classes_are_fine(tmp_path: Path) -> None:
    """Folders inside classes that are not the same everywhere, or stand beside pictures, raise no doubt."""
    build(tmp_path, "cat/monday", "cat/tuesday", "dog/friday", "emu", "emu/monday", "emu/tuesday")
    assert sizes(list_folder(tmp_path)) == {"train": [4, 2, 6]}


def test_one_name_in_two_unicode_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    line = refusal(list_folder, build(tmp_path / "one", composed, decomposed, "tea"))
    assert r"'caf\xe9'" in line
    assert r"'cafe\u0301'" in line
    line = refusal(list_folder, build(tmp_path / "two", f"train/{composed}", "train/tea", f"test/{decomposed}"))
    assert "differ only in Unicode form" in line
    line = refusal(list_folder, build(tmp_path / "three", "train/cat", "train/tea", "test/Cat"))
    assert "'Cat' and 'cat' differ only in case" in line
    capsys.readouterr()
    assert list_folder(build(tmp_path / "letters", "A", "a", "b")).class_names == ("A", "a", "b")
    assert "the classes A, a differ only in case" in capsys.readouterr().err


def test_litter_is_left_out(tmp_path: Path) -> None:
    build(tmp_path, "cat", "dog")
    for name in (
        "@eaDir",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        "#recycle",
        "__MACOSX",
        "$Recycle.Bin",
    ):
        build(tmp_path, name, f"cat/{name}")
    for name in ("Thumbs.db", "THUMBS.DB", "thumbs.db", "Desktop.ini"):
        (tmp_path / "dog" / name).write_text("")
    listing = list_folder(tmp_path)
    assert listing.class_names == ("cat", "dog")
    assert sizes(listing) == {"train": [2, 2]}
