"""Arrays in memory as a source."""

import pickle
from typing import Any

import numpy as np
import pytest

from cnn_jax.config import default_config, override
from cnn_jax.data import source_from_arrays
from cnn_jax.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 5, 6, 3), np.uint8)
LABELS = np.arange(12) % 3
NAMES = ("a", "b", "c")


def source(splits: Any, **changes: Any) -> Any:
    data = override(default_config(), [(f"data.{key}", value) for key, value in changes.items()]).data
    return source_from_arrays("mine", splits, NAMES, data)


def test_images_and_labels_come_as_given() -> None:
    split = source({"train": (IMAGES, LABELS), "test": (IMAGES[:3], LABELS[:3])}).splits
    assert {name: len(part) for name, part in split.items()} == {"train": 12, "test": 3}
    np.testing.assert_array_equal(split["train"].read([7, 2]), IMAGES[[7, 2]])
    np.testing.assert_array_equal(split["train"].labels, LABELS)
    assert split["train"].name(4) == "mine train[4]"


def test_gray_images_need_no_channel_axis() -> None:
    part = source({"train": (IMAGES[..., 0], LABELS)}).splits["train"]
    assert part.image_shape == (5, 6, 1)
    np.testing.assert_array_equal(part.read([1]), IMAGES[1:2, ..., :1])


def test_the_config_says_what_images_become() -> None:
    part = source({"train": (IMAGES, LABELS)}, image_size=4, channels=1).splits["train"]
    assert part.read([0]).shape == (1, 4, 4, 1)


def test_a_worker_gets_its_rows_only() -> None:
    reader = source({"train": (IMAGES, LABELS)}).splits["train"].reader
    part, rows = reader.select(np.array([9, 3]))
    assert len(pickle.dumps(part)) < len(pickle.dumps(reader))
    np.testing.assert_array_equal(part.read(list(rows)), IMAGES[[9, 3]])


def test_other_data_have_another_fingerprint() -> None:
    one = source({"train": (IMAGES, LABELS)}).fingerprint
    assert one == source({"train": (IMAGES.copy(), LABELS.astype(np.int64))}).fingerprint
    changed = IMAGES.copy()
    changed[5, 0, 0, 0] ^= 1
    assert one != source({"train": (changed, LABELS)}).fingerprint
    assert one != source({"train": (IMAGES, (LABELS + 1) % 3)}).fingerprint


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ({"test": (IMAGES, LABELS)}, "must be train, perhaps validation and test"),
        ({"train": (IMAGES, LABELS), "dev": (IMAGES, LABELS)}, "must be train, perhaps"),
        ({"train": (IMAGES / 255, LABELS)}, r"are float64 \[12, 5, 6, 3\]; they must be uint8"),
        ({"train": (IMAGES[..., :2], LABELS)}, "must be uint8"),
        ({"train": (IMAGES, LABELS[:11])}, "must be 12 whole numbers"),
        ({"train": (IMAGES, LABELS * 1.0)}, "must be 12 whole numbers"),
        ({"train": (IMAGES, LABELS), "test": (IMAGES[:, :4], LABELS)}, "differ in size"),
    ],
)
def test_mistakes(splits: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        source(splits)
