"""What a training says: times in a log, what a guess is worth beside the first accuracy, and what to run next."""

import io
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_jax.cli import progress
from cnn_jax.experiment import build
from cnn_jax.experiment.ending import describe_end
from cnn_jax.inference.evaluation import describe, evaluate, load_split
from cnn_jax.inference.run import load_run
from cnn_jax.training.loop import _line
from cnn_jax.training.metrics import majority_share
from cnn_jax.training.program import LoopConfig
from tests.support.helpers import ROOT, read_json, tiny_config

SUMMARY = {
    "validation_accuracy": 0.9, "validation_loss": 0.5, "test_accuracy": 0.8, "test_loss": 0.6, "weights": "raw",
    "stopped_early": False, "epochs": 2, "wall_seconds": 3.0, "images_per_second": 1000.0, "best_epoch": 1,
}  # fmt: skip
WHEN = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  "


def commands(text: str) -> list[list[str]]:
    """The words behind the interpreter of each command that is offered."""
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("  ")]


def test_what_to_run_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = describe_end(SUMMARY, tiny_config(), "runs/a b")
    assert "test accuracy 80.00%  loss 0.6000" in text
    assert text.splitlines()[-1] == "run directory: runs/a b"
    assert commands(text) == [
        ["scripts/evaluate.py", "--workdir=runs/a b"],
        ["scripts/predict.py", "--workdir=runs/a b", "IMAGE", "..."],
    ]
    own = commands(describe_end(SUMMARY, tiny_config(), "runs/a", "configs/mine.py"))
    assert all("--config=configs/mine.py" in words for words in own)


def test_an_accuracy_has_its_interval(trained: Path) -> None:
    """As the evaluation of that run says it, for what `fit` returns; without one, where no count is known."""
    run, text = load_run(trained), describe_end(read_json(trained / "summary.json"), tiny_config(), "runs/a")
    for split in ("validation", "test"):
        figures = evaluate(run, load_split(run, split)).figures
        assert f"{describe(figures, f'{split} accuracy')}  loss" in text


@pytest.mark.parametrize(("splits", "flag"), [(("validation",), "--split=validation"), ((), "--split=train")])
def test_the_next_evaluation_has_its_split(splits: tuple[str, ...], flag: str) -> None:
    held_out = ("validation", "test")
    kept = {key: value for key, value in SUMMARY.items() if key.partition("_")[0] not in set(held_out) - set(splits)}
    assert commands(describe_end(kept, tiny_config(), "runs/a"))[0][-1] == flag


def test_an_early_stop_can_go_on() -> None:
    text = describe_end({**SUMMARY, "stopped_early": True}, tiny_config(patience=3), "runs/a")
    assert "stopped early: 3 epochs without a better validation_accuracy; the same command with" in text
    assert "--config.patience=6 goes on" in text


def test_a_stop_by_a_callback_is_named() -> None:
    summary = {**SUMMARY, "stopped_early": True, "stopped_by": "callback"}
    text = describe_end(summary, tiny_config(patience=3), "runs/a")
    assert "stopped early: a callback ended it after epoch 2; the same command with a larger" in text
    assert "patience" not in text


@pytest.mark.parametrize("watched", [False, True])
def test_a_log_has_times(watched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal needs none."""
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: watched)
    monkeypatch.setattr(sys, "stderr", stream)
    progress.announce("\nfirst\nsecond")
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    progress.Lines(10, "training", "step").update(3)
    when = "" if watched else WHEN
    assert re.fullmatch(rf"\n{when}first\n{when}second\n{when}training: 3 of 10 steps\n", stream.getvalue())


def test_a_guess_stands_beside_the_first_accuracy() -> None:
    figures = {"loss": 1.0, "accuracy": 0.75, "balanced_accuracy": 0.5}
    metrics: dict[str, Any] = {"train": {**figures, "learning_rate": 0.1}, "validation": figures}
    share = majority_share(np.array([0, 1, 1, 2, 2, 2, 0]), np.array([2, 1, 2, 2]))
    config = LoopConfig(10, 3, metric="validation_balanced_accuracy", majority_share=share)
    guess = "validation loss 1.0000 accuracy 75.00% (always the most frequent class: 75.00%) balanced 50.00%"
    assert guess in _line(1, config, metrics)
    assert "always" not in _line(2, config, metrics)
    assert "always" not in _line(1, LoopConfig(10, 3), metrics)


def test_patience_as_long_as_the_run_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """It could only stop what is at its end."""
    for patience, is_said in ((2, True), (1, False), (None, False)):
        build(tiny_config(num_epochs=2, patience=patience))
        assert ("it stops nothing in 2 epochs" in capsys.readouterr().err) == is_said
