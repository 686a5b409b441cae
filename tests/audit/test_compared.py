"""Splits beside each other, classes that test cannot measure, what the crop cuts; what is judged beside the set."""

import numpy as np
import pytest
from PIL import Image

from cnn_jax.audit.compared import compare_splits, crop_finding, cut_away, split_findings
from cnn_jax.audit.findings import picture_findings
from cnn_jax.audit.quality import Entry, Record, measure, prepare
from cnn_jax.config import default_config
from cnn_jax.runs.noise import wilson_interval
from tests.support.made_up import encoded


def entries_with(
    split: str, labels: np.ndarray, width: int = 300, height: int = 300, level: float = 0.5
) -> list[Entry]:
    """Readable pictures of a split, of about this brightness."""
    levels = level + 0.05 * np.sin(np.arange(len(labels)))
    return [
        Entry(split, i, int(label), f"{split}{i}", "", Record(width=width, height=height, means=(levels[i],) * 3))
        for i, label in enumerate(labels)
    ]


def lines(entries: list[Entry], names: str = "ab") -> dict[str, tuple[str, ...]]:
    return {finding.kind: finding.about for finding in split_findings(entries, list(names))}


def test_class_shares_are_compared() -> None:
    """A class of a third of train and half of test is named; what chance makes of small splits is not."""
    train = entries_with("train", np.repeat([0, 1], [200, 400]))
    unlike = lines(train + entries_with("test", np.repeat([0, 1], [150, 150])))
    assert unlike["class shares differ between splits"] == ("a: 33.3% of train, 50.0% of test",)
    for counts in ([100, 200], [6, 4]):
        same = lines(train + entries_with("test", np.repeat([0, 1], counts)))
        assert not same["class shares differ between splits"]


def test_pictures_of_splits_are_compared() -> None:
    train = entries_with("train", np.arange(200) % 2)
    test = entries_with("test", np.arange(100) % 2, width=200, height=150, level=0.7)
    assert not lines(train + entries_with("test", np.arange(100) % 2))["pictures differ between splits"]
    size, shape, brightness = lines(train + test)["pictures differ between splits"]
    assert size == "size (root of width x height), quartiles: 300, 300, 300 in train; 173, 173, 173 in test"
    assert shape.startswith("shape (width / height), quartiles: 1.00, 1.00, 1.00 in train; 1.33")
    assert brightness.startswith("brightness (mean of 0..255)")
    medians = compare_splits(train + test)
    assert medians["test"]["images"] == 100
    assert medians["test"]["shape"] == pytest.approx(4 / 3)
    assert medians["train"]["brightness"] == pytest.approx(127.5, abs=3)


def test_small_test_classes_are_named() -> None:
    """An interval of 90 % is wider than 20 points for 30 images, not for 40."""
    few = lines(entries_with("train", np.arange(80) % 2) + entries_with("test", np.repeat([0, 1], [30, 40])))
    low, high = wilson_interval(27, 30)
    expected = (f"a: 30 in test; 27 right would mean anything from {low:.0%} to {high:.0%}",)
    assert few["few test images"] == expected
    assert not lines(entries_with("train", np.arange(20) % 2))["few test images"]


def test_what_the_crop_cuts_away() -> None:
    """Of 300 x 200 a square keeps two thirds; an input of 3 : 2 keeps all, a center_crop of 0.8 then 0.64 of it."""
    entries = entries_with("train", np.zeros(10, np.int64), width=300, height=200)
    data = default_config().data
    data.image_size = None
    cut = cut_away(entries, data)
    assert cut is not None
    assert cut["median"] == pytest.approx(1 / 3)
    data.image_size = (64, 96)
    assert cut_away(entries, data) is None
    data.center_crop = 0.8
    cut = cut_away(entries, data)
    assert cut is not None
    assert cut["median"] == pytest.approx(0.36)
    assert crop_finding(cut).about[0].startswith("half of the pictures lose 36% of their area or more")
    data.resize = "pad"
    assert cut_away(entries, data) is None


def found_of(contents: list[bytes]) -> dict[str, dict[int, str]]:
    prepare()
    entries = [Entry("train", i, 0, f"{i}", "", measure(content, f"{i}")) for i, content in enumerate(contents)]
    return {f.kind: {suspect.row: suspect.detail for suspect in f.suspects} for f in picture_findings(entries)}


def test_blank_only_as_it_is_read() -> None:
    """White letters on nothing, and few of 65,536 levels, are no picture of one color."""
    letters = Image.new("LA", (64, 64), (255, 0))
    letters.paste((255, 255), (20, 20, 40, 40))
    deep = Image.fromarray((1000 + np.arange(64 * 64).reshape(64, 64) % 200).astype(np.uint16))
    truly = [Image.new("RGBA", (64, 64), (255, 255, 255, 255)), Image.new("I;16", (64, 64), 1000)]
    found = found_of([encoded(image, "PNG") for image in (letters, deep, *truly)])
    assert found["blank as it is read"] == {0: "white on transparent", 1: "values from 1000 to 1199"}
    assert set(found["blank picture"]) == {2, 3}


def test_blur_is_judged_beside_the_set() -> None:
    """A set of soft pictures is not accused as a whole; what is far softer than the others is."""
    random = np.random.RandomState(0)
    soft, softer = (Image.fromarray(random.randint(0, 256, (side, side, 3)).astype(np.uint8)) for side in (14, 5))
    contents = [encoded(soft.rotate(90 * i).resize((128, 128), Image.Resampling.BICUBIC)) for i in range(4)]
    contents.append(encoded(softer.resize((128, 128), Image.Resampling.BICUBIC)))
    assert set(found_of(contents)["very blurred"]) == {4}
    assert not found_of(contents[:4])["very blurred"]


def test_no_readable_pictures() -> None:
    broken = [Entry("train", 0, 0, "x", "", Record(fault="truncated"))]
    assert compare_splits(broken) == {}
    assert not lines(broken)["pictures differ between splits"]
