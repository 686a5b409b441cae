"""scripts/runs.py's tables: one for each data set, no test figures while choosing, and what chance leaves."""

from pathlib import Path
from typing import Any

import pytest

from cnn_jax.runs.datasets import by_data_set, repeats
from cnn_jax.runs.overview import compared, overview
from cnn_jax.runs.search import run_records
from tests.runs.test_search_runs import make_run

DIGITS = {"data": "digits", "fingerprint": "1", "train_examples": 1294, "validation_examples": 144, "test_examples": 9}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("runs")
    for seed, accuracy in enumerate((140, 142, 141)):
        make_run(folder / f"small/seed{seed}", (accuracy / 144,), data=DIGITS, seed=seed)
    for seed, accuracy in enumerate((120, 122)):
        make_run(folder / f"fast/seed{seed}", (accuracy / 144,), data=DIGITS, seed=seed, optimizer__learning_rate=0.5)
    flowers = {"data": "flowers", "fingerprint": "2", "validation_examples": 10}
    for fold in (0, 1):
        make_run(folder / f"flowers{fold}", (0.9,), data=flowers, data__folds=2, data__fold=fold)
    make_run(folder / "old", (0.99,))
    return sorted(run_records(folder), key=lambda record: -record["validation_accuracy"])


def part(text: str, beginning: str) -> str:
    (found,) = [one for one in text.split("\n\n") if one.startswith(beginning)]
    return found


def test_runs_are_grouped_by_their_data(records: list[dict[str, Any]]) -> None:
    groups = by_data_set(records)
    assert [(one.name, one.fingerprint, len(one.records)) for one in groups] == [
        ("digits", "1", 5), ("flowers", "2", 2), (None, None, 1),
    ]  # fmt: skip
    text = overview(records, None, 200)
    assert "digits: 1,294 train, 144 validation, 9 test images (fingerprint 1); 5 runs" in text
    assert "best config by mean validation_accuracy: small/seed1, +2: 0.9792 over 3 seeds (std 0.0069;" in text
    assert "the next one, fast/seed1, +1, is 0.1389 behind, more than noise (Welch's t test" in text
    assert "the best single one is small/seed1, 98.61% (95 % interval 95.1 to 99.6 %)" in text
    assert "mean validation_accuracy of this config: 0.9000 over 2 folds" in text
    assert "best validation_accuracy: old" in text  # of the data that it does not name


def test_test_figures_wait_for_the_choice(records: list[dict[str, Any]]) -> None:
    text = overview(records, None, 200)
    digits, flowers = part(text, "digits"), part(text, "flowers")
    assert "test_accuracy" not in digits
    assert "--test shows them" in digits
    assert "test_accuracy" in flowers  # folds of one config are no search
    assert "against best" not in flowers
    assert "test_accuracy" in part(overview(records, None, 200, show_test=True), "digits")
    assert "test_accuracy" in part(overview(records, "run,test_accuracy", 200), "digits")
    assert "test_accuracy" not in compared(records, ["small/seed0", "fast/seed0"], 200, False)
    assert "test_accuracy" in compared(records, ["small/seed0", "fast/seed0"], 200, True)
    assert "test_accuracy" in compared(records, ["small/seed0", "small/seed1"], 200, False)


def test_what_is_noise_is_said(records: list[dict[str, Any]]) -> None:
    lines = {line.split()[0]: line for line in part(overview(records, None, 200), "digits").splitlines()}
    assert lines["small/seed1"].split("%")[1].split()[0] == "luckiest"
    assert "95.1 to 99.6 %" in lines["small/seed1"]
    assert "within noise" in lines["small/seed0"]
    assert "worse" in lines["fast/seed1"]
    text = overview(records, None, 200)
    assert "less than noise away from it: 2 of the 4 other runs (binomial intervals, unpaired)" in text
    said = compared(records, ["small/seed1", "small/seed0", "fast/seed0", "flowers0", "old"], 200, False)
    assert "small/seed1 and small/seed0: validation_accuracy differs by +1.39 points, less than noise" in said
    assert "small/seed1 and fast/seed0: validation_accuracy differs by +15.28 points, more than noise" in said
    assert "small/seed1 and flowers0 are of different data" in said


def test_seeds_have_mean_and_spread(records: list[dict[str, Any]]) -> None:
    small, fast = repeats(by_data_set(records)[0].records, "validation_accuracy")
    assert (small.spread.runs, small.over) == (3, "seeds")
    assert small.spread.mean == pytest.approx(141 / 144)
    assert small.spread.std == pytest.approx(1 / 144)
    assert fast.spread.runs == 2
    (folds,) = repeats(by_data_set(records)[1].records, "validation_accuracy")
    assert folds.over == "folds"
    table = overview(records, None, 200).split("\n\n")[1]
    assert table.splitlines()[1].split()[:6] == ["small/seed1,", "+2", "3", "seeds", "0.9792", "0.0069"]
    assert table.splitlines()[1].split()[-1] == "0.02"  # the key in which the configs differ


def test_a_run_twice_is_no_second_seed(tmp_path: Path) -> None:
    """The same config and seed give the same figures: they say nothing about the spread."""
    for name in ("a", "b"):
        make_run(tmp_path / name, (0.9,), data=DIGITS)
    assert repeats(run_records(tmp_path), "validation_accuracy") == []
