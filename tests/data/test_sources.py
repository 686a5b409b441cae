"""Archives and made-up pictures."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.errors import InputError
from tests.support.helpers import data_settings, refusal


def load(source: str, path: Path | None = None, **changes: Any) -> data.Splits:
    folder = {} if path is None else {"dir": str(path)}
    return data.load(data_settings(source=source, **folder, **{"validation": 0, "test": 0, **changes}))


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


def test_a_pipe_is_no_archive(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        load("npz", tmp_path / "pipe")


@pytest.mark.parametrize("source", ["folder", "csv", "npz"])
def test_sources_that_need_a_place(source: str) -> None:
    with pytest.raises(InputError, match=rf"config\.data\.dir=None: data\.source={source} needs"):
        load(source)
