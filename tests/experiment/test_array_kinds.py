"""Arrays of every kind that a program may hold: the right result, or one line and nothing on disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import ml_collections
import numpy as np
import pandas as pd
import pytest

import cnn_jax
from tests.support.helpers import refusal

LABELS = np.arange(24) % 2
IMAGES = np.random.default_rng(0).integers(0, 100, (24, 4, 4), np.uint8)
IMAGES[LABELS == 1] += 150
COLOR = np.stack([IMAGES] * 3, axis=-1)


class Tensor:
    """Like PyTorch's: NumPy asks it for its values, which it may not have at hand."""

    def __init__(self, values: np.ndarray | None):
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.values is None:
            raise RuntimeError("can't convert cuda:0 device type tensor to numpy")
        return self.values


def ending_in(error: Exception) -> Iterator[Any]:
    yield IMAGES[:8], LABELS[:8]
    raise error


@pytest.fixture
def config() -> ml_collections.ConfigDict:
    config = cnn_jax.default_config(model="linear", optimizer="adamw")
    config.batch_size, config.num_epochs, config.parallel.devices = 8, 1, 1
    config.data.validation, config.data.test = 0.25, 0
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cnn_jax.Run:
    config = cnn_jax.default_config(model="linear", optimizer="adamw")
    config.batch_size, config.num_epochs, config.parallel.devices = 8, 2, 1
    workdir = tmp_path_factory.mktemp("kinds") / "run"
    cnn_jax.fit(config, workdir, (IMAGES, LABELS))
    return cnn_jax.load_run(workdir)


# Wrong for `fit` and for a run of gray images alike.
WRONG_IMAGES: dict[str, tuple[Any, str]] = {
    "ragged": ([[[1, 2], [3]]] * 24, "no array can be made of it"),
    "several sizes": (np.array([IMAGES[0], IMAGES[1, :2]], object), "images of one array have one size"),
    "objects": (np.array([None] * 24, object), "Python objects"),
    "texts": (np.array(["a"] * 24), "<U1"),
    "complex": (IMAGES.astype(complex), "complex128"),
    "bool": (IMAGES > 100, "bool"),
    "dates": (np.zeros(IMAGES.shape, "M8[s]"), "datetime64[s]"),
    "floats without a range": (IMAGES.astype(float), "say what is black and white"),
    "uint16 without a range": (IMAGES.astype(np.uint16) * 200, "say what is black and white"),
    "two channels": (COLOR[..., :2], "[24, 4, 4, 2]"),
    "RGBA": (np.concatenate([COLOR, COLOR[..., :1]], -1), "[24, 4, 4, 4]"),
    "five axes": (IMAGES[:, None, None], "[24, 1, 1, 4, 4]"),
    "one axis": (IMAGES[:, 0, 0], "[24]"),
    "none": (IMAGES[:0], "[0, 4, 4]"),
    "empty ones": (np.zeros((24, 0, 4), np.uint8), "[24, 0, 4]"),
    "masked": (np.ma.masked_array(IMAGES, IMAGES > 100), "masked"),
    "a tensor on a GPU": (Tensor(None), "can't convert cuda:0"),
}  # fmt: skip
WRONG_LABELS: dict[str, tuple[Any, str]] = {
    "another length": (LABELS[:5], "their shape is [5] for 24 images"),
    "one-hot": (np.eye(2)[LABELS], ".argmax(axis=1)"),
    "fractions": (LABELS + 0.5, "that of image 0 is 0.5"),
    "NaN": (np.where(LABELS, np.nan, 0), "that of image 1 is nan"),
    "missing": (pd.Series([1, pd.NA] * 12, dtype="Int64"), "that of image 1 is"),
    "None": ([None] * 24, "that of image 0 is None"),
    "empty texts": (np.array(["", "a"])[LABELS], "that of image 0 is ''"),
    "ragged": ([[1], [1, 2]] * 12, "no array can be made of them"),
    "complex": (LABELS.astype(complex), "complex128"),
    "dates": (np.zeros(24, "M8[D]"), "datetime64[D]"),
    "masked": (np.ma.masked_array(LABELS, LABELS > 0), "masked"),
    "nothing": (None, "it must be [24]"),
    "a tensor on a GPU": (Tensor(None), "can't convert cuda:0"),
}
RIGHT_IMAGES: dict[str, Any] = {
    "of JAX": jnp.asarray(IMAGES),
    "Fortran's order": np.asfortranarray(IMAGES),
    "strides": np.repeat(IMAGES, 2, axis=0)[::2],
    "one channel": IMAGES[..., None],
    "a tensor": Tensor(IMAGES),
    "unmasked": np.ma.masked_array(IMAGES, False),
}


@pytest.mark.parametrize("what", WRONG_IMAGES)
def test_wrong_images(what: str, config: ml_collections.ConfigDict, run: cnn_jax.Run, tmp_path: Path) -> None:
    images, words = WRONG_IMAGES[what]
    assert words in refusal(cnn_jax.fit, config, tmp_path / "run", (images, LABELS))
    assert not list(tmp_path.iterdir())
    refusal(run.predict, images)
    refusal(run.evaluate, images, LABELS)


@pytest.mark.parametrize("what", WRONG_LABELS)
def test_wrong_labels(what: str, config: ml_collections.ConfigDict, run: cnn_jax.Run, tmp_path: Path) -> None:
    labels, words = WRONG_LABELS[what]
    assert words in refusal(cnn_jax.fit, config, tmp_path / "run", (IMAGES, labels))
    assert not list(tmp_path.iterdir())
    assert words in refusal(run.evaluate, IMAGES, labels)


@pytest.mark.parametrize("what", RIGHT_IMAGES)
def test_right_images(what: str, run: cnn_jax.Run) -> None:
    expected = run.predict(IMAGES).probabilities
    np.testing.assert_array_equal(run.predict(RIGHT_IMAGES[what]).probabilities, expected)


def test_arrays_that_no_one_may_write(run: cnn_jax.Run, tmp_path: Path) -> None:
    fixed = IMAGES.copy()
    fixed.flags.writeable = False
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    for images in (fixed, mapped):
        np.testing.assert_array_equal(run.predict(images).probabilities, run.predict(IMAGES).probabilities)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (iter(()), "it holds no batch"), (iter([3]), "it must be (images, labels)"), (IMAGES, "it is ndarray"),
        (pd.DataFrame({"path": [1]}), "it must be (images, labels)"), ((IMAGES,), "a tuple of 1"),
        ({"x": 1}, "'image' and 'label'"), (len, "it must be a tuple"), ((IMAGES, LABELS * 0), "two or more"),
        ((IMAGES[:1], LABELS[:1]), "two or more"), (iter([(IMAGES, LABELS), (COLOR, LABELS)]), "all have one shape"),
        ((COLOR.transpose(0, 3, 1, 2), LABELS), "images.transpose(0, 2, 3, 1)"),
    ],
)  # fmt: skip
def test_what_is_no_data(data: Any, words: str, config: ml_collections.ConfigDict, tmp_path: Path) -> None:
    assert words in refusal(cnn_jax.fit, config, tmp_path / "run", data)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 255.0])
def test_values_beyond_their_range(value: float, config: ml_collections.ConfigDict, tmp_path: Path) -> None:
    images = IMAGES / 255
    images[3, 1, 1] = value
    assert "values" in refusal(cnn_jax.fit, config, tmp_path / "run", (images, LABELS), value_range=(0, 1))
    assert not list(tmp_path.iterdir())


def test_a_generators_own_error_comes_through(config: ml_collections.ConfigDict, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        cnn_jax.fit(config, tmp_path / "run", ending_in(KeyError("mine")))
    assert not list(tmp_path.iterdir())


def test_labels_with_holes_are_names(config: ml_collections.ConfigDict, tmp_path: Path) -> None:
    """And where class_names say what 0, 1, ... are, others are refused."""
    batches = ((IMAGES[i : i + 8], LABELS[i : i + 8] * 7 - 3) for i in (0, 8, 16))
    cnn_jax.fit(config, tmp_path / "run", batches)
    assert cnn_jax.load_run(tmp_path / "run").class_names == ("-3", "4")
    data = (IMAGES, LABELS * 7)
    assert "beyond 0..1" in refusal(cnn_jax.fit, config, tmp_path / "new", data, class_names=["a", "b"])
