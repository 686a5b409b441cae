"""Whole runs: what they leave behind, which epoch is the best, and how they end."""

from pathlib import Path
from typing import Any

import jax
import pytest
from PIL import Image

from cnn_jax.errors import InputError, Interrupted
from cnn_jax.experiment import fitting as experiment_module
from cnn_jax.experiment.fitting import build, fit
from cnn_jax.inference.evaluation import assess
from cnn_jax.inference.run import load_run
from cnn_jax.runs.metrics_file import read_rows
from cnn_jax.training.evaluation import evaluate
from tests.support.helpers import TIMINGS, read_json, tiny_config
from tests.support.runs import assert_same_run, signal_at

STEPS = 10  # an epoch of 1,294 digits in batches of 128


def test_a_run_directory(reference: Path) -> None:
    names = {path.name for path in reference.iterdir()}
    assert names == {"config.json", "environment.json", "metrics.jsonl", "checkpoints", "summary.json", "plots"}
    config = read_json(reference / "config.json")
    assert config["model"]["filters"] == [8, 8]
    assert config["resolved"]["class_names"] == list("0123456789")
    assert config["resolved"]["image_shape"] == [8, 8, 1]
    assert config["resolved"]["normalization"]["mean"][0] == pytest.approx(0.3056, abs=1e-3)
    environment = read_json(reference / "environment.json")
    assert environment["packages"]["jax"] == jax.__version__
    assert environment["devices"]
    assert environment["command_line"]
    rows = read_rows(reference / "metrics.jsonl")
    assert [(row["epoch"], row["split"], row["step"]) for row in rows] == [
        (1, "train", 10), (1, "validation", 10), (2, "train", 20), (2, "validation", 20), (2, "test", 20)
    ]  # fmt: skip
    summary = read_json(reference / "summary.json")
    assert summary["test_accuracy"] == rows[-1]["accuracy"]
    assert summary["validation_accuracy"] == max(row["accuracy"] for row in rows if row["split"] == "validation")
    assert (summary["steps"], summary["epochs"], summary["stopped_early"]) == (20, 2, False)
    assert all(summary[name] > 0 for name in (*TIMINGS, "parameters"))
    with Image.open(reference / "plots/curves.png") as picture:
        assert picture.size[0] > 600


def test_the_learning_rate_in_force_is_logged(reference: Path) -> None:
    schedule = build(tiny_config()).schedule
    rates = [row["learning_rate"] for row in read_rows(reference / "metrics.jsonl") if row["split"] == "train"]
    assert rates == pytest.approx([float(schedule(9)), float(schedule(19))], rel=1e-6)


def test_a_finished_run_is_left_alone(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in reference.rglob("*")}
    assert fit(tiny_config(), reference) == read_json(reference / "summary.json")
    assert {path: path.stat().st_mtime_ns for path in reference.rglob("*")} == before
    assert "nothing to do" in capsys.readouterr().err


def test_a_finished_run_may_be_extended(tmp_path: Path) -> None:
    """With a schedule that does not depend on the length, it equals a run that was that long from the start."""
    shared = {"schedule__name": "constant", "optimizer__learning_rate": 0.003}
    fit(tiny_config(num_epochs=1, **shared), tmp_path / "extended")
    fit(tiny_config(num_epochs=3, **shared), tmp_path / "extended")
    fit(tiny_config(num_epochs=3, **shared), tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "extended", tiny_config(num_epochs=3, **shared))
    assert read_json(tmp_path / "extended/config.json")["num_epochs"] == 3


def test_early_stopping_counts_across_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is learned at this rate, so that no epoch after the first is better."""
    config = tiny_config(num_epochs=9, patience=3, optimizer__learning_rate=1e-30, model__norm="none", model__dropout=0)
    summary = fit(config, tmp_path / "whole")
    assert (summary["epochs"], summary["best_epoch"], summary["stopped_early"]) == (4, 1, True)
    with monkeypatch.context() as patch:
        signal_at(patch, 2 * STEPS + 5, which=0)
        with pytest.raises(Interrupted):
            fit(config, tmp_path / "stopped")
    fit(config, tmp_path / "stopped")
    assert_same_run(tmp_path / "whole", tmp_path / "stopped", config)


def test_more_patience_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After an early stop, too, and as if there had been so much from the start; more epochs alone change nothing."""
    still = {"optimizer__learning_rate": 1e-30, "model__name": "linear", "batch_size": 512}
    fit(tiny_config(num_epochs=5, patience=1, **still), tmp_path / "run")
    config = tiny_config(num_epochs=5, patience=2, **still)
    assert fit(config, tmp_path / "run")["epochs"] == 3
    fit(config, tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "run", config)
    assert read_json(tmp_path / "run/config.json")["patience"] == 2

    assert fit(config, tmp_path / "run")["epochs"] == 3
    assert "nothing to do" in capsys.readouterr().err
    assert fit(tiny_config(num_epochs=6, patience=2, **still), tmp_path / "run")["epochs"] == 3
    said = capsys.readouterr().err
    assert "stopped early, after epoch 3: 2 epochs without a better validation_accuracy" in said
    assert "--config.patience=4" in said
    with pytest.raises(InputError, match=r"patience: 2 -> 1.*more num_epochs, more patience"):
        fit(tiny_config(num_epochs=6, patience=1, **still), tmp_path / "run")


def test_without_validation_the_best_is_the_last(tmp_path: Path) -> None:
    summary = fit(tiny_config(data__validation=0), tmp_path / "run")
    assert "validation_accuracy" not in summary
    assert summary["best_epoch"] == 2
    assert {row["split"] for row in read_rows(tmp_path / "run/metrics.jsonl")} == {"train", "test"}
    load_run(tmp_path / "run")


@pytest.mark.parametrize("metric", ["validation_accuracy", "validation_loss"])
def test_the_best_weights_are_kept_and_tested(tmp_path: Path, metric: str) -> None:
    """The rate grows tenfold an epoch: the network gets better, then worse."""
    config = tiny_config(
        num_epochs=5, schedule__name="ExponentialLR", schedule__gamma=10.0, optimizer__learning_rate=1e-3,
        checkpoint__metric=metric, checkpoint__keep=2,
    )  # fmt: skip
    summary = fit(config, tmp_path / "run")
    rows = [row for row in read_rows(tmp_path / "run/metrics.jsonl") if row["split"] == "validation"]
    best = min(
        rows, key=lambda row: (-row["accuracy"], row["loss"]) if metric == "validation_accuracy" else row["loss"]
    )
    assert best["epoch"] < 5
    assert summary["best_epoch"] == best["epoch"]
    assert (summary["validation_accuracy"], summary["validation_loss"]) == (best["accuracy"], best["loss"])
    kept = {int(path.name) for path in (tmp_path / "run/checkpoints").iterdir() if path.name.isdigit()}
    assert kept == {best["step"], 4 * STEPS, 5 * STEPS}
    run = load_run(tmp_path / "run")
    test = build(config).splits.test
    assert test is not None
    logits = run.logits(test.images)
    assert (logits.argmax(1) == test.labels).mean() == summary["test_accuracy"]


def test_checkpoints_every_other_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    original = experiment_module.Checkpoints.save

    def save(self: Any, step: int, *arguments: Any, **named: Any) -> None:
        steps.append(step)
        original(self, step, *arguments, **named)

    monkeypatch.setattr(experiment_module.Checkpoints, "save", save)
    frozen = {"optimizer__learning_rate": 1e-30, "model__norm": "none", "model__dropout": 0}
    fit(tiny_config(num_epochs=5, checkpoint__every=2, **frozen), tmp_path / "run")
    assert steps == [STEPS, 2 * STEPS, 4 * STEPS, 5 * STEPS]  # the first epoch is the best one, the fifth the last


def test_the_test_split_is_touched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def spy(program: Any, variables: Any, examples: Any, *rest: Any) -> dict[str, float]:
        sizes.append(len(examples))
        return evaluate(program, variables, examples, *rest)

    monkeypatch.setattr(experiment_module, "evaluate", spy)
    fit(tiny_config(), tmp_path / "run")
    assert sizes == [144, 144, 359]


def test_an_epoch_of_overflows_is_no_end(tmp_path: Path) -> None:
    """One step an epoch, of pixels up to 255: the first scales are all too large for float16."""
    config = tiny_config(
        num_epochs=6, precision="float16", data__normalization="none", batch_size=1294, optimizer__name="sgd",
        model__name="linear", optimizer__learning_rate=1e-6, ema_decay=0.9,
    )  # fmt: skip
    summary = fit(config, tmp_path / "run")
    rows = [row for row in read_rows(tmp_path / "run/metrics.jsonl") if row["split"] == "train"]
    assert "loss" not in rows[0]
    assert summary["steps"] == 6
    assert summary["skipped_steps"] == 0
    assert load_run(tmp_path / "run").variables


def test_a_fold_does_not_touch_the_test_split(tmp_path: Path) -> None:
    """A cross-validation serves to choose; whoever asks evaluates a fold on the test split."""
    summary = fit(tiny_config(num_epochs=1, data__folds=3, data__fold=1), tmp_path / "fold1")
    assert not [name for name in summary if name.startswith("test_")]
    assert '"split": "test"' not in (tmp_path / "fold1/metrics.jsonl").read_text()
    resolved = read_json(tmp_path / "fold1/config.json")["resolved"]
    assert [resolved[f"{split}_examples"] for split in ("train", "validation", "test")] == [959, 479, 359]
    assert assess(tmp_path / "fold1", "test").figures["examples"] == 359
