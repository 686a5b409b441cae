"""How data are divided, measured and normalised."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedShuffleSplit

from cnn_jax import data
from cnn_jax.data.normalize import Normalization, make_normalization, normalize
from cnn_jax.data.reading.image_dataset import ImageDataset
from cnn_jax.data.reading.scan import pixel_statistics, scan
from cnn_jax.data.splits import Source, check_labels, stratified_split
from cnn_jax.errors import InputError
from tests.support.helpers import InMemory, data_settings


def test_digits_are_split_without_overlap_and_by_class() -> None:
    splits = data.load(data_settings())
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
    first, second = data.load(data_settings()), data.load(data_settings(normalization="half"))
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
    splits = data.load(data_settings(validation=0, test=0))
    assert splits.validation is None
    assert splits.test is None
    assert len(splits.train) == 1797


@pytest.mark.parametrize(("wrong", "shown"), [(10, "10"), (-1, "-1")])
def test_labels_outside_the_classes_are_refused(wrong: int, shown: str) -> None:
    labels = np.array([0, 1, wrong, wrong], np.int32)
    pictures = ImageDataset(InMemory(np.zeros((4, 2, 2, 1), np.uint8), "mine"), np.arange(4), labels, (2, 2, 1), "crop")
    with pytest.raises(InputError, match=rf"2 labels of split 'train' lie outside 0\.\.1, the first of them {shown}"):
        check_labels(Source("mine", ("a", "b"), {"train": pictures}, "mine", "1", "1"), "train")


def test_no_class_gives_its_last_example() -> None:
    labels = np.array([0] * 30 + [1, 2, 3, 3])
    for share in (0.1, 0.5, 0.9, 20):
        kept, taken = stratified_split(labels, share, "data.test")
        assert set(labels[kept]) == {0, 1, 2, 3}
        assert len(kept) + len(taken) == len(labels)
    with pytest.raises(InputError, match=r"config\.data\.test=0\.5: no class has an example to spare"):
        stratified_split(np.arange(10), 0.5, "data.test")


def test_statistics_are_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (50, 7, 5, 3), np.uint8)
    images[..., 2] = 9
    pictures = ImageDataset(InMemory(images, "mine"), np.arange(50), np.zeros(50, np.int32), (7, 5, 3), "crop")
    mean, std = pixel_statistics(scan(pictures, "mine", "reading", False, ()).moments, 35)
    np.testing.assert_allclose(mean, (images / 255.0).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std[:2], (images / 255.0).std((0, 1, 2))[:2], rtol=1e-12)
    assert std[2] == 1.0


def test_spreads_have_a_floor() -> None:
    """A channel that is 200, but once 201: a new picture with 204 there is some spreads away, not hundreds."""
    images = np.full((40, 8, 8, 1), 200)
    images[7, 3, 3] = 201
    moments = np.stack([images.sum((1, 2)), (images**2).sum((1, 2))], axis=-1)
    mean, std = pixel_statistics(moments, 64)
    assert std == (0.5 / 255,)
    assert (204 / 255 - mean[0]) / std[0] == pytest.approx(8, abs=0.01)
    images[::2] = 202  # a spread of one level is the picture's own
    moments = np.stack([images.sum((1, 2)), (images**2).sum((1, 2))], axis=-1)
    assert pixel_statistics(moments, 64)[1][0] == pytest.approx((images / 255).std(), rel=1e-9)


@pytest.mark.parametrize("name", ["dataset", "unit", "half", "per_image", "none"])
def test_normalizations(name: str) -> None:
    splits = data.load(data_settings(channels=3))
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
