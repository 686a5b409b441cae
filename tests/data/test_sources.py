"""Manifests, archives and made-up pictures."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.errors import InputError
from tests.support.helpers import data_settings, refusal


def load(source: str, path: Path | None = None, **changes: Any) -> data.Splits:
    folder = {} if path is None else {"dir": str(path)}
    return data.load(data_settings(source=source, **folder, **{"validation": 0, "test": 0, **changes}))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for i in range(6):
        Image.new("RGB", (5, 4), (i, i, i)).save(tmp_path / f"images/{i}.png")
    return tmp_path


def manifest(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "labels.csv").write_bytes(text.encode(encoding))
    return folder / "labels.csv"


def test_a_manifest(images: Path) -> None:
    rows = "".join(f'images/{i}.png,"{"ant, red" if i % 2 else "bee"}",{split}\n' for i, split in enumerate(
        ("train", "train", "val", "Test", "train", "")
    ))  # fmt: skip
    splits = load("csv", manifest(images, "Path,label,split\n" + rows, "utf-8-sig"))
    assert splits.class_names == ("ant, red", "bee")
    assert splits.train.labels.tolist() == [1, 0, 1, 0]
    assert splits.train.read(np.arange(4))[:, 0, 0, 0].tolist() == [0, 1, 4, 5]
    assert [len(part) for part in (splits.validation, splits.test) if part] == [1, 1]


def test_absolute_paths_and_no_split_column(images: Path) -> None:
    rows = "".join(f"{images / 'images'}/{i}.png,{i % 2}\n" for i in range(6))
    splits = load("csv", manifest(images, "path,label\n" + rows), test=2)
    assert (len(splits.train), len(splits.test or ())) == (4, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column path and no column label"),
        ("path,split\n", "no column label"),
        ("path,label\n", "no rows"),
        ("path,label\nimages/0.png,\n", "line 2: its label is empty"),
        ("path,label\n,a\n", "line 2: its path is empty"),
        ("path,label\nimages/0.png\n", "line 2: its label is empty"),
        ("path,label\nimages/0.png,a\nimages/1.png,a\n", "all rows have the label 'a'"),
        ("path,label\nimages/0.png,a\nimages/0.png,b\n", r"line 3: images/0\.png stands in line 2 already"),
        ("path,label\nimages/0.png,a\nimages/../images/0.png,b\n", r"line 3: .*stands in line 2 already"),
        ("path,label,split\nimages/0.png,a,holdout\n", "split 'holdout' must be train, validation or test"),
        ("path,label,split\nimages/0.png,a,test\nimages/1.png,b,test\n", "no row has the split 'train'"),
        ('path,label\n"images/0.png,a\n', "not a CSV file"),
        ("path;label\nimages/0.png;a\n", "must be separated by commas"),
        ("path,label,label\nimages/0.png,a,b\n", "names a column twice"),
        ("path,label\nimages/0.png,a,b\n", "line 2: it has more cells"),
    ],
)
def test_manifests_that_cannot_be_used(images: Path, text: str, words: str) -> None:
    assert re.search(words, refusal(lambda: load("csv", manifest(images, text))))


def test_manifests_that_are_no_text(images: Path) -> None:
    for content, words in ((b"path,label\n\xff\xfe,a\n", "UTF-8"), (b"path,label\na\0b,a\n", "zero byte|not a CSV")):
        (images / "labels.csv").write_bytes(content)
        with pytest.raises(InputError, match=words):
            load("csv", images / "labels.csv")
    with pytest.raises(InputError, match="no such file"):
        load("csv", images / "other.csv")
    os.mkfifo(images / "pipe")
    for source, path in (("csv", images), ("csv", images / "pipe"), ("npz", images / "pipe")):
        with pytest.raises(InputError, match="not a regular file"):
            load(source, path)


def test_missing_files_of_a_manifest_are_bad_files(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"images/{i}.png,{i % 2}\n" for i in range(8))
    with pytest.raises(InputError, match="2 of 8 images cannot be used"):
        load("csv", manifest(images, "path,label\n" + rows))
    said = capsys.readouterr().err
    assert "6.png: there is no such file" in said
    assert "7.png: there is no such file" in said


def archive(folder: Path, **arrays: Any) -> Path:
    defaults = {"image": np.arange(6 * 20, dtype=np.uint8).reshape(6, 4, 5), "label": np.array([0, 1, 2, 0, 1, 2])}
    np.savez(folder / "set.npz", **{name: value for name, value in {**defaults, **arrays}.items() if value is not None})
    return folder / "set.npz"


@pytest.mark.parametrize("loading", ["resident", "streamed"])
def test_an_archive(tmp_path: Path, loading: str) -> None:
    splits = load("npz", archive(tmp_path), loading=loading)
    assert splits.class_names == ("0", "1", "2")
    assert splits.image_shape == (4, 5, 1)
    assert splits.train.read(np.arange(6)).reshape(-1).tolist() == list(range(120))
    mean = np.arange(120).mean() / 255
    assert splits.mean == pytest.approx((mean,))


def test_an_archive_with_names_splits_and_color(tmp_path: Path) -> None:
    image = np.zeros((6, 4, 5, 3), np.uint8)
    split = np.array(["train", "train", "test", "val", "train", "train"])
    path = archive(tmp_path, image=image, label=np.array(list("cabcab")), split=split)
    splits = load("npz", path, image_size=8)
    assert splits.class_names == ("a", "b", "c")
    assert splits.image_shape == (8, 8, 3)
    assert splits.train.labels.tolist() == [2, 0, 0, 1]
    assert [len(part) for part in (splits.validation, splits.test) if part] == [1, 1]
    named = load("npz", archive(tmp_path, class_names=np.array(["x", "y", "z"])))
    assert named.class_names == ("x", "y", "z")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"image": None}, "no array image; it has label"),
        ({"image": np.zeros((6, 4, 5))}, r"'image' is float64 \[6, 4, 5\]; it must be uint8"),
        ({"image": np.zeros((6, 4, 5, 2), np.uint8)}, r"it must be uint8 \[N, H, W\] or"),
        ({"label": np.zeros((5,), int)}, r"'label' has shape \[5\]; 6 images need \[6\]"),
        ({"label": np.zeros(6)}, "'label' is float64; it must hold whole numbers or texts"),
        ({"label": np.array([0, 1, 2, 3, -1, 0])}, "'label' contains -1"),
        ({"label": np.array([0, 1, 2**32, 1, 0, 1], np.uint64), "class_names": np.array(["x", "y"])}, "4294967296"),
        ({"label": np.array([0, 1, 2, 3, 10**9, 0])}, "'label' contains 1000000000"),
        ({"label": np.array([{}] * 6, object)}, "it holds Python objects"),
        ({"split": np.array(["train"] * 5 + ["x"])}, "'split' contains 'x'"),
        ({"split": np.array(["train"] * 5)}, "'split' has 5 entries for 6 images"),
        ({"split": np.array(["test"] * 6)}, "no entry of its array 'split' is 'train'"),
        ({"class_names": np.array(["a", "b"])}, r"lie outside 0\.\.1"),
        ({"class_names": np.array(["a", "b", "a"])}, "two or more different ones"),
        ({"label": np.zeros(6, int)}, "its classes are 0; a classifier needs two"),
    ],
)
def test_archives_that_cannot_be_used(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    assert re.search(words, refusal(lambda: load("npz", archive(tmp_path, **arrays))))


def test_files_that_are_no_archive(tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_bytes(b"PK nothing")
    for path, words in ((tmp_path / "set.npz", "not a whole .npz archive"), (tmp_path / "none.npz", "no such file")):
        with pytest.raises(InputError, match=words):
            load("npz", path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(InputError, match="a single array"):
        load("npz", tmp_path / "one.npy")
    torn = archive(tmp_path).read_bytes()
    (tmp_path / "torn.npz").write_bytes(torn[: len(torn) // 2])
    with pytest.raises(InputError, match=r"not a whole \.npz archive"):
        load("npz", tmp_path / "torn.npz")


def test_a_refused_archive_leaves_nothing_and_a_torn_entry_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="it must be uint8"):
        load("npz", archive(tmp_path, image=np.zeros((6, 40, 50))))
    assert not list(tmp_path.glob("cnn_jax/datasets/*"))
    good = archive(tmp_path)
    expected = load("npz", good, loading="streamed").train.read(np.arange(6))
    raw = next(tmp_path.glob("cnn_jax/datasets/*raw*/image.npy"))
    raw.write_bytes(raw.read_bytes()[:50])
    assert np.array_equal(load("npz", good, loading="streamed").train.read(np.arange(6)), expected)
    content = bytearray(good.read_bytes())
    content[40:60] = b"x" * 20
    good.write_bytes(content)
    with pytest.raises(InputError, match="not a whole"):
        load("npz", good)


def test_synthetic_pictures_repeat_and_differ() -> None:
    splits = load("synthetic", examples=60, classes=3, image_size=(6, 9))
    assert splits.image_shape == (6, 9, 3)
    assert np.bincount(splits.train.labels).tolist() == [20, 20, 20]
    again = load("synthetic", examples=60, classes=3, image_size=(6, 9), loading="streamed")
    everything = np.arange(60)
    assert np.array_equal(splits.train.read(everything), again.train.read(everything))
    assert len(np.unique(splits.train.read(everything), axis=0)) == 60
    with pytest.raises(InputError, match="5 classes need at least 10"):
        load("synthetic", examples=9, classes=5)


@pytest.mark.parametrize("source", ["folder", "csv", "npz"])
def test_sources_that_need_a_place(source: str) -> None:
    with pytest.raises(InputError, match=rf"config\.data\.dir=None: data\.source={source} needs"):
        load(source)
