"""Sources, splits, cache, normalisation, and images of every kind."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT
from helpers import script
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedShuffleSplit

from cnn_jax import data
from cnn_jax.config import default_config, override
from cnn_jax.data.cache import cached
from cnn_jax.data.normalize import Normalization, make_normalization, normalize
from cnn_jax.data.resident import epoch_order, in_order, place, take
from cnn_jax.data.splits import Examples, Source, channel_statistics, make_splits, stratified_split
from cnn_jax.errors import InputError


def settings(**changes: Any) -> Any:
    return override(default_config(), [(f"data.{key}", value) for key, value in changes.items()]).data


def tfds_settings(folder: str | Path, name: str = "mnist", **changes: Any) -> Any:
    return settings(source="tfds", name=name, dir=str(folder), **changes)


# Splits


def test_digits_are_split_without_overlap_and_by_class() -> None:
    splits = data.load(settings())
    assert splits.validation is not None
    assert splits.test is not None
    parts = [splits.train, splits.validation, splits.test]
    assert [len(part) for part in parts] == [1294, 144, 359]
    everything = np.concatenate([part.images for part in parts]).reshape(1797, 64)
    original = np.rint(load_digits().images * 255 / 16).astype(np.uint8).reshape(1797, 64)
    assert sorted(map(bytes, everything)) == sorted(map(bytes, original))
    shares = np.stack([np.bincount(part.labels, minlength=10) / len(part) for part in parts])
    assert np.ptp(shares, axis=0).max() < 0.01


def test_splits_do_not_depend_on_anything_but_the_labels() -> None:
    first, second = data.load(settings()), data.load(settings(normalization="half"))
    assert np.array_equal(first.train.images, second.train.images)
    kept, taken = stratified_split(np.arange(1000) % 7, 0.1, "data.validation")
    assert taken[:6].tolist() == GOLDEN
    assert len(kept) + len(taken) == 1000
    assert not set(kept) & set(taken)


# The first indices of a split that must never move: a resumed run would train on its validation data.
GOLDEN = [16, 18, 24, 44, 58, 60]


@pytest.mark.parametrize("share", [0.1, 0.25, 97])
def test_stratified_shares_are_sklearns(share: float | int) -> None:
    labels = np.repeat(np.arange(5), [400, 300, 150, 100, 50])
    _, taken = stratified_split(labels, share, "data.validation")
    splitter = StratifiedShuffleSplit(1, test_size=share if share > 1 else round(share * len(labels)), random_state=0)
    _, theirs = next(splitter.split(labels, labels))
    assert len(taken) == len(theirs)
    assert np.abs(np.bincount(labels[taken]) - np.bincount(labels[theirs])).max() <= 1


@pytest.mark.parametrize("share", [0.0001, 10, 4000])
def test_a_share_that_leaves_nothing_is_refused(share: float | int) -> None:
    with pytest.raises(InputError, match=r"config\.data\.test="):
        stratified_split(np.arange(10), share, "data.test")


def test_no_validation_and_no_test() -> None:
    splits = data.load(settings(validation=0, test=0))
    assert splits.validation is None
    assert splits.test is None
    assert len(splits.train) == 1797


@pytest.mark.parametrize(("wrong", "shown"), [(10, "10"), (-1, "-1")])
def test_labels_outside_the_classes_are_refused(wrong: int, shown: str) -> None:
    examples = Examples(np.zeros((4, 2, 2, 1), np.uint8), np.array([0, 1, wrong, wrong], np.int32))
    with pytest.raises(InputError, match=rf"2 labels of split 'train' lie outside 0\.\.1, the first of them {shown}"):
        make_splits(Source("mine", ("a", "b"), {"train": examples}), 0, 0)


def test_statistics_are_exact() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 7, 5, 3), np.uint8)
    images[..., 2] = 9
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255.0).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std[:2], (images / 255.0).std((0, 1, 2))[:2], rtol=1e-12)
    assert std[2] == 1.0


# TFDS


def test_mnist_is_read_without_tensorflow(tfds_data: str) -> None:
    splits = data.load(tfds_settings(tfds_data))
    assert splits.name.startswith("mnist/3.")
    assert (len(splits.train), len(splits.validation or ()), len(splits.test or ())) == (54_000, 6_000, 10_000)
    assert splits.mean[0] == pytest.approx(0.1307, abs=1e-3)
    assert splits.std[0] == pytest.approx(0.3081, abs=1e-3)
    everything = np.concatenate([splits.train.images, splits.validation.images])  # type: ignore[union-attr]
    mean, std = channel_statistics(everything)
    assert (round(mean[0], 4), round(std[0], 4)) == (0.1307, 0.3081)


def test_color_images_may_be_made_smaller_and_gray(tfds_data: str) -> None:
    if not (Path(tfds_data) / "cifar10").is_dir():
        pytest.skip("no prepared CIFAR-10")
    import tensorflow_datasets as tfds

    splits = data.load(tfds_settings(tfds_data, "cifar10", image_size=16, channels=1, validation=0))
    assert splits.image_shape == (16, 16, 1)
    assert splits.class_names[:2] == ("airplane", "automobile")
    first = tfds.data_source("cifar10", split="test", data_dir=tfds_data, download=False)[0]["image"]
    expected = Image.fromarray(first).convert("L").resize((16, 16), Image.Resampling.BILINEAR)
    assert np.array_equal((splits.test or splits.train).images[0, ..., 0], np.asarray(expected))


def test_a_dataset_that_is_not_prepared(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'mnist' is not prepared .*prepare_data\.py --dataset=mnist"):
        data.load(tfds_settings(tmp_path))
    with pytest.raises(InputError, match=r"no dataset .mnst. \(did you mean 'mnist'"):
        data.load(tfds_settings(tmp_path, "mnst"))


def test_a_dataset_in_another_file_format(tfds_data: str, tmp_path: Path) -> None:
    shutil.copytree(Path(tfds_data) / "mnist", tmp_path / "mnist")
    info = next(tmp_path.glob("mnist/*/dataset_info.json"))
    info.chmod(0o644)
    info.write_text(json.dumps(json.loads(info.read_text()) | {"fileFormat": "tfrecord"}))
    with pytest.raises(InputError, match="is prepared as tfrecord"):
        data.load(tfds_settings(tmp_path))


def test_several_configurations_and_versions(tmp_path: Path) -> None:
    for version in ("1.9.0", "1.10.0"):
        folder = tmp_path / "things/small" / version
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").write_text("{}")
    from cnn_jax.data.tfds_source import find_prepared

    assert find_prepared("things", tmp_path) == tmp_path / "things/small/1.10.0"
    assert find_prepared("things:1.9.0", tmp_path) == tmp_path / "things/small/1.9.0"
    shutil.copytree(tmp_path / "things/small", tmp_path / "things/large")
    with pytest.raises(InputError, match="choose things/large, things/small"):
        find_prepared("things", tmp_path)
    assert find_prepared("things/large", tmp_path) == tmp_path / "things/large/1.10.0"


@pytest.mark.parametrize("name", [".", "mnist:**", "../mnist", "a b", "mnist:"])
def test_names_of_datasets(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no name of a dataset"):
        data.load(tfds_settings(tmp_path, name))


def test_prepare_data(tfds_data: str, tmp_path: Path) -> None:
    done = script("prepare_data.py", "--dataset=mnist", f"--data_dir={tfds_data}")
    assert done.returncode == 0
    assert "prepared: " in done.stdout
    unknown = script("prepare_data.py", "--dataset=mnst", f"--data_dir={tmp_path}")
    assert unknown.returncode == 2
    assert "did you mean 'mnist'" in unknown.stderr
    assert unknown.stderr.count("\n") == 1


# Cache


def entry(key: str, fill: Any = None, count: int = 3) -> Examples:
    def default(images: np.ndarray, labels: np.ndarray) -> None:
        images[:], labels[:] = 7, 1

    return cached(key, count, (2, 2, 1), fill or default)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "cnn_jax/datasets"


def test_the_cache_is_filled_once_and_mapped(own_cache: Path) -> None:
    first = entry("mine-1")
    assert isinstance(first.images, np.memmap)
    assert first.images.tolist() == np.full((3, 2, 2, 1), 7).tolist()

    def never(images: np.ndarray, labels: np.ndarray) -> None:
        raise AssertionError("decoded twice")

    assert entry("mine-1", never).labels.tolist() == [1, 1, 1]
    assert [path.name for path in own_cache.iterdir()] == ["mine-1"]


def test_a_broken_entry_is_made_again(own_cache: Path) -> None:
    entry("mine-1")
    (own_cache / "mine-1/images.npy").write_bytes(b"torn")
    assert entry("mine-1").images[0, 0, 0, 0] == 7
    entry("mine-1", count=5)
    assert len(entry("mine-1", count=5)) == 5


def test_two_processes_may_fill_the_same_entry(own_cache: Path) -> None:
    def slow(images: np.ndarray, labels: np.ndarray) -> None:
        entry("mine-1")  # another process is quicker
        images[:], labels[:] = 8, 2

    assert entry("mine-1", slow).labels.tolist() == [1, 1, 1]
    assert [path.name for path in own_cache.iterdir()] == ["mine-1"]


def test_nothing_is_left_of_an_entry_that_failed(own_cache: Path) -> None:
    def fail(images: np.ndarray, labels: np.ndarray) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        entry("mine-1", fail)
    assert list(own_cache.iterdir()) == []


def test_another_key_is_another_entry(own_cache: Path) -> None:
    for changes in ({}, {"image_size": 12}, {"channels": 3}, {"image_size": 12, "resize": "stretch"}):
        data.load(settings(**changes))
    assert len(list(own_cache.iterdir())) == 4


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be written .*XDG_CACHE_HOME"):
        entry("mine-1")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
        with pytest.raises(InputError, match="No space left"):
            entry("mine-1", count=100_000)
        assert list((folder / "cnn_jax/datasets").iterdir()) == []
    finally:
        subprocess.run(["umount", folder], check=True)


# Normalisation


@pytest.mark.parametrize("name", ["dataset", "unit", "half", "per_image", "none"])
def test_normalizations(name: str) -> None:
    splits = data.load(settings(channels=3))
    images = splits.train.images[:20]
    normalization = make_normalization(name, splits)
    pixels = images.astype(np.float64)
    expected = {
        "dataset": (pixels / 255 - np.array(splits.mean)) / np.array(splits.std),
        "unit": pixels / 255,
        "half": (pixels / 255 - 0.5) / 0.5,
        "per_image": (pixels - pixels.mean((1, 2, 3), keepdims=True)) / pixels.std((1, 2, 3), keepdims=True),
        "none": pixels,
    }[name]
    ours = jax.jit(normalize, static_argnums=1)(images, normalization)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
    assert Normalization.from_json(json.loads(json.dumps(normalization.to_json()))) == normalization


def test_a_blank_image_becomes_zeros() -> None:
    blank = np.full((1, 4, 4, 1), 200, np.uint8)
    assert not np.asarray(normalize(blank, Normalization("per_image", (0.0,), (1.0,)))).any()


# Batches


def test_an_epoch_sees_every_example_at_most_once_and_every_epoch_differs() -> None:
    orders = [np.asarray(epoch_order(jnp.uint32(0), jnp.uint32(epoch), 50, 8)) for epoch in range(3)]
    for order in orders:
        assert order.shape == (6, 8)
        assert len(set(order.reshape(-1))) == 48
    assert not np.array_equal(orders[0], orders[1])
    assert np.array_equal(orders[2], epoch_order(jnp.uint32(0), jnp.uint32(2), 50, 8))
    assert not np.array_equal(orders[0], epoch_order(jnp.uint32(1), jnp.uint32(0), 50, 8))


def test_a_batch_keeps_the_contract_and_masks_padding() -> None:
    resident = place(Examples(np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1), np.arange(5, dtype=np.int32)))
    index = in_order(5, 3)
    assert index.tolist() == [[0, 1, 2], [3, 4, 5]]
    batch = take(resident, jnp.asarray(index[1]))
    assert batch["mask"].tolist() == [True, True, False]
    assert batch["label"][:2].tolist() == [3, 4]
    assert batch["image"].dtype == jnp.uint8
    assert set(batch) == {"image", "label", "index", "mask"}


def test_nothing_of_the_data_is_in_the_project() -> None:
    assert not list(ROOT.rglob("*.array_record"))
