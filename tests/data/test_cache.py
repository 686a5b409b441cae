"""The cache: filled once, whole or not at all."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.data.reading import cache
from cnn_jax.data.reading.image_dataset import ImageDataset
from cnn_jax.data.reading.scan import scan
from cnn_jax.errors import InputError
from tests.support.helpers import InMemory, data_settings


def pictures(count: int = 3, value: int = 7) -> ImageDataset:
    images = np.full((count, 2, 2, 1), value, np.uint8)
    return ImageDataset(InMemory(images, "mine"), np.arange(count), np.ones(count, np.int32), (2, 2, 1), "crop")


def kept(key: str, of: ImageDataset | None = None) -> np.ndarray:
    found = scan(of or pictures(), key, "reading", True, ())
    assert found.images is not None
    return found.images


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "cnn_jax/datasets"


def test_the_cache_is_filled_once_and_mapped(own_cache: Path) -> None:
    first = kept("mine-1")
    assert isinstance(first, np.memmap)
    assert first.tolist() == np.full((3, 2, 2, 1), 7).tolist()
    assert kept("mine-1", pictures(value=9))[0, 0, 0, 0] == 7
    assert len(list(own_cache.iterdir())) == 1


@pytest.mark.parametrize("file", ["images.npy", "good.npy", "moments.npy", "bad.json", "entry.json"])
def test_a_broken_entry_is_made_again(own_cache: Path, file: str) -> None:
    kept("mine-1")
    next(own_cache.glob(f"*/{file}")).write_bytes(b"torn")
    assert kept("mine-1", pictures(value=9))[0, 0, 0, 0] == 9
    assert len(kept("mine-1", pictures(5))) == 5


@pytest.mark.parametrize("file", ["good.npy", "moments.npy"])
def test_other_content_of_the_same_form_is_not_believed(own_cache: Path, file: str) -> None:
    kept("mine-1")
    path = next(own_cache.glob(f"*/{file}"))
    np.save(path, np.zeros_like(np.load(path)))
    assert kept("mine-1", pictures(value=9))[0, 0, 0, 0] == 9


def test_two_processes_may_fill_the_same_entry(own_cache: Path) -> None:
    def slow(folder: Path) -> None:
        cache.entry("mine", lambda other: (other / "value").write_text("quick") and None)  # another process
        (folder / "value").write_text("slow")

    assert (cache.entry("mine", slow) / "value").read_text() == "quick"
    assert [path.name for path in own_cache.iterdir()] == ["mine"]


def test_nothing_is_left_of_an_entry_that_failed(own_cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.entry("mine", fail)
    assert list(own_cache.iterdir()) == []


def test_keys_too_long_for_a_file_name(own_cache: Path) -> None:
    for key in ("a" * 300, "a" * 300 + "b"):
        cache.array(key, lambda key=key: np.array([len(key)]))  # type: ignore[misc]
    assert [cache.array("a" * 300 + end, lambda: np.zeros(1)).tolist() for end in ("", "b")] == [[300], [301]]


def test_another_key_is_another_entry(own_cache: Path) -> None:
    for changes in ({}, {"image_size": 12}, {"channels": 3}, {"image_size": 12, "resize": "stretch"}):
        data.load(data_settings(**changes))
    assert len(list(own_cache.iterdir())) == 4 + 1  # and the labels


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be written .*XDG_CACHE_HOME"):
        kept("mine-1")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
        with pytest.raises(InputError, match="No space left"):
            kept("mine-1", pictures(100_000))
        assert list((folder / "cnn_jax/datasets").iterdir()) == []
    finally:
        subprocess.run(["umount", folder], check=True)
