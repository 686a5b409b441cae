"""data.include and data.exclude: which files of a folder are read."""

import shutil
import unicodedata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cnn_jax.config.tree import from_json, to_json
from cnn_jax.data import load_source
from cnn_jax.data.sources.folder import list_folder
from cnn_jax.data.sources.patterns import matches, may_match_below
from cnn_jax.experiment.fitting import build
from cnn_jax.inference.evaluation import load_split
from tests.support.helpers import data_settings, load_folder, refusal, tiny_config
from tests.support.made_up import save_picture


@pytest.mark.parametrize(
    ("pattern", "path", "is_matched"),
    [
        ("*.png", "cat/1.png", True), ("*.png", "cat/deep/1.PNG", True), ("*.png", "cat/1.jpg", False),
        ("masks", "cat/masks/1.png", True), ("masks", "masks", True), ("masks/", "a/masks/1", True),
        ("masks", "cat/masks2/1.png", False), ("/masks", "cat/masks/1.png", False), ("/masks", "masks/1.png", True),
        ("cat/*.png", "cat/1.png", True), ("cat/*.png", "cat/deep/1.png", False), ("cat/*.png", "a/cat/1.png", False),
        ("cat/*", "cat/deep/1.png", True), ("cat/**", "cat/1.png", True), ("**/old/*.png", "a/b/old/1.png", True),
        ("**/old/*.png", "old/1.png", True), ("a/**/z.png", "a/z.png", True), ("a/**/z.png", "a/b/c/z.png", True),
        ("a/**/z.png", "b/z.png", False), ("img_[0-3]?.png", "c/img_25.png", True), ("./cat/1.png", "cat/1.png", True),
        ("img_[0-3]?.png", "c/img_45.png", False), ("café", unicodedata.normalize("NFD", "café/1.png"), True),
    ],
)  # fmt: skip
def test_patterns(pattern: str, path: str, is_matched: bool) -> None:
    assert matches(path, pattern) is is_matched


def test_folders_that_may_hold_a_match() -> None:
    for folder, pattern, may in (("cat", "cat/*", True), ("dog", "cat/*", False), ("cat/deep", "cat/*", True),
                                 ("dog", "*.jpg", True), ("a", "a/b/*", True), ("a/c", "a/b/*", False)):  # fmt: skip
        assert may_match_below(folder, pattern) is may


@pytest.fixture
def masked(photos: Path) -> Path:
    """Eight pictures of each of two classes, each with a mask of its name beside it."""
    for path in sorted(photos.glob("*/*.png")):
        save_picture(path.with_suffix(".jpg"))
    return photos


def test_masks_beside_pictures_are_left_out(masked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(load_folder(masked).train) == 32
    only, without = load_folder(masked, include="*.jpg"), load_folder(masked, exclude=("*.PNG",))
    assert len(only.train) == len(without.train) == 16
    assert only.fingerprint == without.fingerprint
    said = capsys.readouterr().err
    assert "data.exclude left out 16 files or folders" in said
    assert "changed" not in said  # another choice of the same files is no change of them


def test_one_file_is_no_files(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_picture(photos / "cat/odd.jpg")
    load_folder(photos, exclude="*.jpg")
    assert "data.exclude left out 1 file or folder\n" in capsys.readouterr().err


def test_a_class_may_be_left_out(masked: Path) -> None:
    save_picture(masked / "emu/1.jpg")
    for patterns in ({"exclude": ("emu",)}, {"exclude": ("emu/*",)}, {"include": ("cat/*", "dog")}):
        assert list_folder(masked, **patterns).class_names == ("cat", "dog")


def test_left_out_folders_raise_no_doubt(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "train_masks/a", "boat"):
        save_picture(tmp_path / name / "1.png")
    assert "train_masks" in refusal(list_folder, tmp_path)
    for exclude in (("train_masks", "boat"), ("train_masks/*", "boat/*.png")):
        assert list_folder(tmp_path, exclude=exclude).class_names == ("a", "b")


def test_patterns_that_match_nothing_are_said(masked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list_folder(masked, exclude=("*.pgn", "*.png"))
    assert "nothing there matches *.pgn (data.exclude)" in capsys.readouterr().err
    assert "config.data.include" in refusal(list_folder, masked, include=("*.gif",))


@pytest.mark.parametrize("wrong", ["", "../other/*", ("a", 3.5), True, "/", "."])
def test_what_is_no_pattern(wrong: object) -> None:
    assert "it must be a tuple of patterns of paths below" in refusal(
        data_settings, source="folder", dir="photos", exclude=wrong
    )


def test_other_sources_have_no_patterns() -> None:
    for changes in ({"include": "*.png"}, {"exclude": "*.png"}, {"layout": "classes"}):
        assert "it is for data.source=folder" in refusal(load_source, data_settings(**changes))


def test_patterns_are_saved_with_a_run(masked: Path) -> None:
    """What a run's config holds is what `evaluate` and the audit read its folder with."""
    config = tiny_config(data__source="folder", data__dir=str(masked), data__exclude="*.png", batch_size=4)
    saved = from_json(to_json(config))
    assert saved.data.exclude == ("*.png",)
    assert data_settings(source="folder", dir="photos", exclude=2019).exclude == ("2019",)
    experiment = build(saved)
    parts = (experiment.splits.train, experiment.splits.validation, experiment.splits.test)
    assert sum(len(part) for part in parts if part is not None) == 16
    assert "2 classes (cat: 6, dog: 6), resident" in experiment.describe()
    run: Any = SimpleNamespace(config=saved, resolved={}, image_shape=(12, 16, 3), class_names=("cat", "dog"))
    others = shutil.copytree(masked, masked.with_name("others"))
    assert len(load_split(run, "test", str(others))) == 16
