"""Images and labels of a Python program as a source of data."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from cnn_jax import data as data_module
from cnn_jax.config import default_config, override
from cnn_jax.data import Source, source_in_memory
from cnn_jax.errors import InputError
from cnn_jax.experiment import fit

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 5, 6, 3), np.uint8)
LABELS = np.arange(12) % 3
TEXTS = np.array(["cat", "ant", "bee"])[LABELS]


def source(train: Any, class_names: Any = None, value_range: Any = None, **others: Any) -> Source:
    levels = [("data.black", value_range[0]), ("data.white", value_range[1])] if value_range else []
    config = override(default_config(), [("data.source", "arrays"), *levels])
    return source_in_memory({"train": train, **others}, config.data, class_names)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS, ("0", "1", "2")),
        (LABELS * 5.0 + 1, ("1", "6", "11")),
        (LABELS[:, None], ("0", "1", "2")),
        (LABELS == 1, ("False", "True")),
        (TEXTS, ("ant", "bee", "cat")),
        (pandas.Series(TEXTS), ("ant", "bee", "cat")),
        (pandas.Series(TEXTS, dtype="category"), ("ant", "bee", "cat")),
    ],
)
def test_labels_name_classes(labels: Any, names: tuple[str, ...]) -> None:
    found = source((IMAGES, labels))
    assert found.class_names == names
    expected = [names.index(str(value)) for value in np.asarray(labels).reshape(-1).astype(found_type(labels))]
    np.testing.assert_array_equal(found.splits["train"].labels, expected)


def found_type(labels: Any) -> Any:
    return np.int64 if np.asarray(labels).dtype.kind == "f" else np.asarray(labels).dtype


def test_class_names_number_labels() -> None:
    """A class may have no example; its number stands."""
    found = source((IMAGES, LABELS), class_names=["x", "y", "z", "none"], test=(IMAGES[:1], np.array([3])))
    assert found.class_names == ("x", "y", "z", "none")
    np.testing.assert_array_equal(found.splits["test"].labels, [3])
    by_name = source((IMAGES, TEXTS), class_names=["cat", "bee", "ant"])
    np.testing.assert_array_equal(by_name.splits["train"].labels[:3], [0, 2, 1])


def test_batches_are_concatenated() -> None:
    pairs = [[IMAGES[i : i + 5], TEXTS[i : i + 5]] for i in (0, 5, 10)]
    mappings = [{"image": images, "label": labels, "id": 1} for images, labels in pairs]
    whole = source((IMAGES, TEXTS))
    for batches in (pairs, iter(mappings)):
        found = source(batches)
        assert found.identity == whole.identity
        np.testing.assert_array_equal(found.splits["train"].read([11]), IMAGES[11:])


def test_endless_batches_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnn_jax.data.sources.in_memory.bytes_at_hand", lambda: 10 * IMAGES.nbytes)
    with pytest.raises(InputError, match="must end after one pass"):
        source(itertools.repeat((IMAGES, LABELS)))


def test_an_error_of_the_caller_keeps_its_own(tmp_path: Path) -> None:
    """It is raised as it is, with a note of its place, and nothing is written."""

    class Flaky:
        def __iter__(self) -> Iterator[Any]:
            yield from [(IMAGES, LABELS)] * 3
            raise ConnectionError("the store is gone")

    for given, words in (({"data": Flaky()}, "train"), ({"data": (IMAGES, LABELS), "test": Flaky()}, "test")):
        with pytest.raises(ConnectionError, match="the store is gone") as caught:
            fit(default_config(), tmp_path / "run", **given)
        assert caught.value.__notes__[0].startswith(f"{words}: this came in place of batch 3 (the first one is 0).")
        assert str(caught.value) == "the store is gone"
        assert caught.traceback[-1].name == "__iter__"
    assert not list(tmp_path.iterdir())


def test_loading_copies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of their final size are taken as they are: no file of the cache, the same statistics as from one."""
    found = source((IMAGES, LABELS))
    config = override(default_config(), [("data.test", 0), ("data.validation", 0), ("data.source", "arrays")])
    with monkeypatch.context() as patch:
        patch.setattr("cnn_jax.data.reading.cache.entry", None)
        splits = data_module.load(config.data, source=found)
    assert np.shares_memory(splits.train.read(slice(None)), IMAGES)  # type: ignore[arg-type]
    pixels = IMAGES.reshape(-1, 3) / 255
    np.testing.assert_allclose(splits.mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(splits.std, pixels.std(axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    ("train", "more", "words"),
    [
        (IMAGES, {}, "train: it is ndarray; it must be a tuple"),
        ("photos", {}, "train: it is str"),
        (7, {}, "train: it is int"),
        ((IMAGES,), {}, "train: it is a tuple of 1"),
        ([IMAGES, LABELS], {}, "train batch 0: it is a ndarray of 12"),
        ([], {}, "train: it holds no batch"),
        ({"images": IMAGES}, {}, "a batch has 'image' and 'label'.*this one has images"),
        ((IMAGES / 255, LABELS), {}, "train images: its values are float64"),
        ((IMAGES, LABELS), {"value_range": (0, 1)}, "train images: they are uint8"),
        ((IMAGES.transpose(0, 3, 1, 2), LABELS), {}, r"\[12, 3, 5, 6\].*channels stand first"),
        ((IMAGES[..., :2], LABELS), {}, r"\[12, 5, 6, 2\]"),
        ((IMAGES[0], LABELS), {}, r"train labels: their shape is \[12\] for 5 images"),
        ((IMAGES[:0], LABELS[:0]), {}, "there are none"),
        ((IMAGES, LABELS[:5]), {}, r"their shape is \[5\] for 12 images"),
        ((IMAGES, np.eye(3)[LABELS]), {}, "one-hot"),
        ((IMAGES, LABELS + 0.5), {}, "that of image 0 is .*0.5"),
        ((IMAGES, [None, *TEXTS[1:]]), {}, "that of image 0 is None"),
        ((IMAGES, np.zeros(12, int)), {}, "the classes are 0; a classifier needs two"),
        ((IMAGES, LABELS), {"class_names": ["a", "b"]}, r"that of image 2 is 2, beyond 0..1"),
        ((IMAGES, LABELS), {"class_names": ["a", "a", "b"]}, "must differ"),
        ((IMAGES, TEXTS), {"test": (IMAGES[:2], ["cat", "cow"])}, "test labels: cow: not among the training labels"),
        ([(IMAGES, LABELS), (IMAGES[:, :4], LABELS)], {}, r"train batch 1: its images are \[4, 6, 3\]"),
        ([(IMAGES, LABELS), (IMAGES, TEXTS)], {}, "train batch 1: its labels are texts, those before numbers"),
        ([(IMAGES, LABELS), (IMAGES, LABELS), IMAGES], {}, "train batch 2: it is a ndarray of 12"),
    ],
)
def test_source_in_memory_refuses(train: Any, more: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        source(train, **more)
    assert "\n" not in str(caught.value)
