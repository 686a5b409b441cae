"""Streamed training data: the same batches whoever decodes them, and nothing left behind."""

import pickle
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.data.augment.boxes import resized_crop_boxes
from cnn_jax.data.augment.draws import Draws, uniform
from cnn_jax.data.augment.geometry import flip
from cnn_jax.data.augment.pipeline import crop_while_decoding, make_augment
from cnn_jax.data.feeding.batches import padded_batches, read_ahead
from cnn_jax.data.feeding.loader import prefetch_to_devices
from cnn_jax.data.feeding.order import epoch_order, unique_example_ids
from cnn_jax.data.feeding.stream import Batches, stream
from cnn_jax.data.reading.image_dataset import ImageDataset
from cnn_jax.errors import InputError
from cnn_jax.runtime.devices import choose_devices
from tests.support.helpers import data_settings


def pictures(count: int = 40, **changes: Any) -> data.ImageDataset:
    defaults = {"examples": count, "classes": 4, "image_size": 8, "loading": "streamed", "validation": 0, "test": 0}
    splits = data.load(data_settings(source="synthetic", **{**defaults, **changes}))
    assert isinstance(splits.train, data.ImageDataset)
    return splits.train


def taken(batches: Batches, first: int, end: int, workers: int) -> list[dict[str, np.ndarray]]:
    with stream(batches, first, end, workers) as decoded:
        return list(decoded)


def equal(first: list[dict[str, np.ndarray]], second: list[dict[str, np.ndarray]]) -> bool:
    return len(first) == len(second) and all(
        np.array_equal(a[key], b[key]) for a, b in zip(first, second, strict=True) for key in a
    )


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_any_number_of_workers_gives_the_same_batches(workers: int) -> None:
    batches = Batches(pictures(), seed=3, batch_size=8)
    expected = [batches.task(step).read() for step in range(2, 13)]
    assert equal(taken(batches, 2, 13, workers), expected)
    for epoch in range(2):
        order = epoch_order(3, epoch, 40, 8)
        for step in range(5):
            if 2 <= epoch * 5 + step < 13:
                assert np.array_equal(expected[epoch * 5 + step - 2]["index"], order[step])
    first = expected[0]
    assert first["image"].dtype == np.uint8
    assert first["mask"].all()
    assert np.array_equal(first["image"], batches.pictures.read(first["index"]))
    assert np.array_equal(first["label"], batches.pictures.labels[first["index"]])


@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_share_each_batch(hosts: int) -> None:
    whole = Batches(pictures(), seed=0, batch_size=8, balanced=True)
    parts = [Batches(pictures(), seed=0, batch_size=8, balanced=True, host=host, hosts=hosts) for host in range(hosts)]
    for step in (0, 4, 7):
        expected = whole.task(step).read()
        for key in ("index", "image", "label"):
            assert np.array_equal(np.concatenate([part.task(step).read()[key] for part in parts]), expected[key])


@pytest.mark.parametrize(("hosts", "batch_size"), [(2, 16), (4, 12), (3, 60)])
def test_hosts_share_each_batch_of_an_evaluation(hosts: int, batch_size: int) -> None:
    split = pictures()
    whole = list(padded_batches(split, batch_size))
    parts = [list(padded_batches(split, batch_size, host, hosts)) for host in range(hosts)]
    for step, batch in enumerate(whole):
        for key in ("index", "image", "label", "mask"):
            assert np.array_equal(np.concatenate([part[step][key] for part in parts]), batch[key])
    assert {len(part) for part in parts} == {len(whole)}
    assert sum(int(batch["mask"].sum()) for part in parts for batch in part) == len(split)


@pytest.mark.parametrize("hosts", [2, 4])
def test_a_host_decodes_only_its_part(hosts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = ImageDataset.read

    def noted(self: ImageDataset, rows: np.ndarray, *more: Any) -> np.ndarray:
        read.extend(self.labels[rows])
        return original(self, rows, *more)

    monkeypatch.setattr(ImageDataset, "read", noted)
    split = pictures()
    for batch in padded_batches(split, 20, 1, hosts):
        assert len(batch["image"]) == 20 // hosts
    assert len(read) == 40 // hosts
    read.clear()
    Batches(split, seed=0, batch_size=8, host=1, hosts=hosts).task(0).read()
    assert len(read) == 8 // hosts


def test_balanced_sampling() -> None:
    labels = np.repeat(np.arange(3), [70, 20, 6])
    orders = [epoch_order(0, epoch, 96, 12, labels) for epoch in range(20)]
    for order in orders:
        assert order.shape == (8, 12)
        assert np.bincount(labels[order.reshape(-1)]).tolist() == [32, 32, 32]
        rare = np.bincount(order[labels[order] == 2], minlength=96)[90:]
        assert set(rare) <= {5, 6}
    common = np.concatenate([order[labels[order] == 0] for order in orders])
    assert len(set(common)) == 70
    assert not np.array_equal(orders[0], orders[1])
    for epoch in range(20):
        partial = epoch_order(0, epoch, 96, 20, labels)
        assert np.ptp(np.bincount(labels[partial.reshape(-1)])) <= 1
    pair = np.repeat([0, 1], 50)
    order = epoch_order(0, 0, 100, 100, pair).reshape(-1)
    assert not np.array_equal(order[pair[order] == 0], order[pair[order] == 1] - 50)  # each class is shuffled by itself


def test_a_picture_that_went_bad_is_one_line(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.new("L", (4, 4), i).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    splits = data.load(data_settings(source="folder", dir=str(tmp_path), loading="streamed", validation=0, test=0))
    (tmp_path / "a/4.png").unlink()
    assert isinstance(splits.train, data.ImageDataset)
    for workers in (0, 1):
        with pytest.raises(InputError, match=r"a/4\.png: there is no such file"):
            taken(Batches(splits.train, 0, 12), 0, 1, workers)
    with pytest.raises(InputError, match=r"a/4\.png: there is no such file"):
        list(padded_batches(splits.train, 5))


def test_whole_splits_are_read_in_order() -> None:
    split = pictures()
    batches = list(padded_batches(split, 16))
    assert [int(batch["mask"].sum()) for batch in batches] == [16, 16, 8]
    images = np.concatenate([batch["image"][batch["mask"]] for batch in batches])
    assert np.array_equal(images, split.read(np.arange(40)))
    backwards = np.arange(40)[::-1].reshape(2, 20)
    assert np.array_equal(np.concatenate(list(read_ahead(split, backwards))), split.read(np.arange(40)[::-1]))


def test_crops_while_decoding_are_those_of_the_compiled_step() -> None:
    """The same boxes from the same keys, whatever draws them; decoding stretches them as Pillow does."""
    batches = Batches(pictures(image_size=(24, 20)), seed=5, batch_size=8, crop=((0.2, 1.0), 0))
    plain = Batches(batches.pictures, seed=5, batch_size=8)
    step = 7
    whole, cropped = plain.task(step).read(), batches.task(step).read()
    assert np.array_equal(whole["index"], cropped["index"])
    draws = Draws(5, step, 1, jnp.asarray(whole["index"]))
    uniforms = uniform(draws.keys(0), shape=(10, 4))
    boxes = np.stack(resized_crop_boxes(uniforms, np.full(8, 24), np.full(8, 20), (0.2, 1.0), xp=jnp), axis=1)
    assert len(np.unique(boxes, axis=0)) == 8
    for image, ours, (top, left, height, width) in zip(whole["image"], cropped["image"], boxes, strict=True):
        box = (left, top, left + width, top + height)
        theirs = Image.fromarray(image).resize((20, 24), Image.Resampling.BILINEAR, box=box)
        assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 1
    assert not np.array_equal(batches.task(step + 5).read()["image"], cropped["image"])


def test_where_a_crop_may_stand() -> None:
    assert crop_while_decoding((("flip", 0.5),)) is None
    assert crop_while_decoding((("random_resized_crop", (0.1, 1.0)), ("flip", 0.5))) == ((0.1, 1.0), 0)
    with pytest.raises(InputError, match=r"'random_resized_crop' must be the first operation"):
        crop_while_decoding((("flip", 0.5), ("random_resized_crop", (0.1, 1.0))))


def test_leaving_out_the_crop_changes_no_other_draws() -> None:
    pipeline = (("random_resized_crop", (0.1, 1.0)), ("flip", 0.5))
    images = jnp.asarray(pictures().read(np.arange(16)))
    draws = Draws(0, 3, 0, jnp.arange(16))
    ours, _ = make_augment(pipeline, (8, 8, 3), 4, cropped=True)(images, jnp.zeros(16, jnp.int32), draws)
    assert np.array_equal(ours, flip(images, draws.keys(1), 0.5))


def test_a_rare_example_does_not_look_the_same_twice_in_a_step() -> None:
    index = np.array([4, 7, 4, 4, 9], np.int32)
    assert unique_example_ids(index, 100, np).tolist() == [4, 7, 104, 204, 9]
    assert np.array_equal(unique_example_ids(jnp.asarray(index), 100, jnp), unique_example_ids(index, 100, np))
    assert np.array_equal(unique_example_ids(np.arange(9), 9, np), np.arange(9))


def test_workers_are_quiet_and_small(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What is sent for a batch does not grow with the set; large pictures raise no warnings in a worker."""
    for i in range(8):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        size = (9600, 9600) if i == 0 else (8, 8)  # one has more pixels than Pillow likes
        Image.new("L", size, i).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    block = data_settings(source="folder", dir=str(tmp_path), image_size=4, loading="streamed", validation=0, test=0)
    small = data.load(block).train
    assert isinstance(small, data.ImageDataset)
    assert len(taken(Batches(small, 0, 4), 0, 2, 1)) == 2
    assert "Warning" not in capfd.readouterr().err
    tenfold = small.subset(np.resize(np.arange(8), 8000))
    assert len(pickle.dumps(Batches(tenfold, 0, 4).task(0))) < 1.1 * len(pickle.dumps(Batches(small, 0, 4).task(0)))


def test_hosts_must_share_evenly() -> None:
    with pytest.raises(InputError, match=r"config\.batch_size=10: 3 hosts"):
        Batches(pictures(), 0, 10, hosts=3)


def test_what_was_read_before_a_failure_is_handed_out() -> None:
    def failing() -> Any:
        yield from ({"index": np.array([i])} for i in range(4))
        raise InputError("gone")

    handed_out = prefetch_to_devices(failing(), choose_devices(count=1))
    assert [int(next(handed_out)["index"][0]) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(InputError, match="gone"):
        next(handed_out)
