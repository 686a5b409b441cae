"""Intervals and differences, against published figures and independent code."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from cnn_jax.runs.noise import difference, interval_of, spread


def run(name: str, correct: int, count: int, **more: Any) -> dict[str, Any]:
    figures = {"validation_accuracy": correct / count, "validation_examples": count}
    return {"run": name, "status": "finished", "fingerprint": "1", **figures, **more}


def test_spread_is_students() -> None:
    values = [0.981, 0.984, 0.979, 0.99, 0.985]
    found = spread(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(np.std(values, ddof=1))
    assert found.interval == pytest.approx(stats.t.interval(0.95, 4, np.mean(values), stats.sem(values)))
    shares = [0.9, 1.0]
    assert spread(shares, metric="test_loss").interval == pytest.approx((0.95 - 0.635310, 0.95 + 0.635310))
    assert spread(shares, metric="test_accuracy").interval == (pytest.approx(0.95 - 0.635310), 1.0)
    assert spread([0.5]) == (1, 0.5, None, None)


def test_folds_are_not_independent() -> None:
    """Nadeau and Bengio: with 5 folds the variance of the mean is (1/5 + 1/4) s^2, 2.25 times the usual one."""
    values = [0.9, 0.92, 0.95, 0.91, 0.97]
    plain, folds = spread(values).interval, spread(values, folds=True).interval
    assert plain is not None
    assert folds is not None
    assert folds[1] - folds[0] == pytest.approx(1.5 * (plain[1] - plain[0]))


def test_difference_is_newcombes() -> None:
    """Newcombe 1998, table II: 56 of 70 against 48 of 80, method 10: 0.0524 to 0.3339."""
    found = difference(run("a", 56, 70), run("b", 48, 80), "validation_accuracy")
    assert found is not None
    assert found.value == pytest.approx(0.2)
    assert not found.is_noise
    assert "+5.24 points to +33.39 points" in found.method


@pytest.mark.parametrize(("correct", "noise"), [(144, True), (141, True), (138, False), (100, False)])
def test_a_perfect_run_has_noise(correct: int, noise: bool) -> None:
    """All of 144 images: the usual standard error would be 0."""
    found = difference(run("a", 144, 144), run("b", correct, 144), "validation_accuracy")
    assert found is not None
    assert found.is_noise == noise


def test_no_images_no_verdict() -> None:
    known, unknown = run("a", 9, 10), {"run": "b", "validation_accuracy": 0.9, "validation_loss": 0.1}
    assert interval_of(unknown, "validation_accuracy") is None
    assert difference(known, unknown, "validation_accuracy") is None
    assert interval_of(known | {"validation_loss": 0.1}, "validation_loss") is None  # no share of images


def write_predictions(folder: Path, right: list[bool], name: str = "predictions_validation.csv") -> None:
    folder.mkdir(exist_ok=True)
    with open(folder / name, "w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "prediction", "probability"])
        writer.writeheader()
        for i, one in enumerate(right):
            row = {"path": f"{i}.png", "label": "cat", "prediction": "cat" if one else "dog", "probability": 0.9}
            writer.writerow(row)


def test_stored_predictions_are_paired(tmp_path: Path) -> None:
    """94 against 84 of 100: noise for the unpaired interval, but all ten mistakes more are one run's alone."""
    right = {"a": [i >= 6 for i in range(100)], "b": [i >= 16 for i in range(100)]}
    for name, of_run in right.items():
        write_predictions(tmp_path / name, of_run)
    runs = run("a", 94, 100), run("b", 84, 100)
    paired = difference(*runs, "validation_accuracy", tmp_path)
    assert paired is not None
    assert not paired.is_noise
    assert "10 images right in the first alone, 0 in the second, p = 0.002" in paired.method
    assert paired == difference(*runs, "validation_accuracy", tmp_path)
    swapped = difference(run("b", 84, 100), run("a", 94, 100), "validation_accuracy", tmp_path)
    assert swapped is not None
    assert "0 images right in the first alone, 10 in the second" in swapped.method


def test_predictions_of_other_weights_are_left(tmp_path: Path) -> None:
    """A run that went on after it was evaluated; and one that was evaluated on other images."""
    write_predictions(tmp_path / "a", [True] * 90 + [False] * 10)
    write_predictions(tmp_path / "b", [True] * 80 + [False] * 20)
    now = difference(run("a", 95, 100), run("b", 80, 100), "validation_accuracy", tmp_path)
    assert now is not None
    assert now.method.startswith("unpaired")
    write_predictions(tmp_path / "b", [True] * 40 + [False] * 10)
    now = difference(run("a", 90, 100), run("b", 40, 50), "validation_accuracy", tmp_path)
    assert now is not None
    assert now.method.startswith("unpaired")
