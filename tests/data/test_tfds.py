"""Datasets of TFDS: read without TensorFlow, or one line that says why not."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.errors import InputError
from tests.support.helpers import data_settings, script


def tfds_settings(folder: str | Path, name: str = "mnist", **changes: Any) -> Any:
    return data_settings(source="tfds", name=name, dir=str(folder), **changes)


def beginning_of(dataset: str, counts: tuple[int, int], prepared: str, folder: Path) -> Path:
    """The same dataset with so many images of each split, the first ones: to decode all of them takes a while."""
    whole = next(iter((Path(prepared) / dataset).glob("*.*.*")), None)
    if whole is None:
        pytest.skip(f"no prepared {dataset}")
    few = folder / dataset / whole.name
    few.mkdir(parents=True)
    for file in whole.iterdir():
        (few / file.name).symlink_to(file)
    info = json.loads((whole / "dataset_info.json").read_text())
    for split, count in zip(info["splits"], counts, strict=True):
        split["shardLengths"] = [str(count)]
    (few / "dataset_info.json").unlink()
    (few / "dataset_info.json").write_text(json.dumps(info))
    return folder


def test_mnist_is_read_without_tensorflow(tfds_data: str, tmp_path: Path) -> None:
    splits = data.load(tfds_settings(beginning_of("mnist", (6000, 1000), tfds_data, tmp_path)))
    assert splits.name.startswith("mnist/3.")
    assert (len(splits.train), len(splits.validation or ()), len(splits.test or ())) == (5400, 600, 1000)
    assert splits.mean[0] == pytest.approx(0.1307, abs=2e-3)  # 0.1307 and 0.3081 are those of all 60,000
    assert splits.std[0] == pytest.approx(0.3081, abs=2e-3)
    everything = np.concatenate([splits.train.images, splits.validation.images]) / np.float32(255)  # type: ignore
    assert everything.shape == (6000, 28, 28, 1)
    assert (everything.mean(), everything.std()) == pytest.approx((0.1307, 0.3081), abs=1e-3)


def test_tfds_is_asked_once_of_the_same_files(tfds_data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = beginning_of("mnist", (40, 20), tfds_data, tmp_path)
    first = data.load(tfds_settings(folder))

    def asked(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("asked again")

    monkeypatch.setattr("tensorflow_datasets.builder_from_directory", asked)
    again = data.load(tfds_settings(folder))
    assert (again.name, again.class_names, again.image_shape) == (first.name, first.class_names, first.image_shape)
    np.testing.assert_array_equal(again.train.labels, first.train.labels)
    os.utime(next(folder.glob("mnist/*/dataset_info.json")), (0, 0))  # prepared anew
    with pytest.raises(InputError, match=r"damaged \(asked again\)"):
        data.load(tfds_settings(folder))


def test_color_images_may_be_made_smaller_and_gray(tfds_data: str, tmp_path: Path) -> None:
    import tensorflow_datasets as tfds

    folder = beginning_of("cifar10", (30, 20), tfds_data, tmp_path)
    splits = data.load(tfds_settings(folder, "cifar10", image_size=16, channels=1, validation=0))
    assert splits.image_shape == (16, 16, 1)
    assert splits.class_names[:2] == ("airplane", "automobile")
    first = tfds.data_source("cifar10", split="test", data_dir=tfds_data, download=False)[0]["image"]
    expected = Image.fromarray(first).convert("L").resize((16, 16), Image.Resampling.BILINEAR)
    assert splits.test is not None
    assert np.array_equal(splits.test.images[0, ..., 0], np.asarray(expected))


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
    from cnn_jax.data.sources.tfds import find_prepared

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
