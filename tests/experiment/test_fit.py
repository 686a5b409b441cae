"""Whole runs: what they leave behind, and that stopping them at any moment changes nothing."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnn_jax.errors import InputError, Interrupted, NonFiniteError
from cnn_jax.experiment import fitting as experiment_module
from cnn_jax.experiment.fitting import build, fit
from cnn_jax.inference.run import load_run
from cnn_jax.runs.metrics_file import read_rows
from cnn_jax.training.evaluation import evaluate
from tests.support.helpers import ROOT, TIMINGS, read_json, script, tiny_config
from tests.support.runs import assert_same_run, signal_at, started, wait_for

STEPS = 10  # an epoch of 1,294 digits in batches of 128


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("reference") / "run"
    fit(tiny_config(), workdir)
    return workdir


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


@pytest.mark.parametrize(
    ("call", "number"),
    [*((call, signal.SIGINT) for call in (1, 6, STEPS, STEPS + 1, 2 * STEPS)), (6, signal.SIGTERM)],
)
def test_a_signal_at_any_step_changes_nothing(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, number: int
) -> None:
    with monkeypatch.context() as patch:
        signal_at(patch, call, which=0, number=number)
        with pytest.raises(Interrupted, match="everything is saved") as caught:
            fit(tiny_config(), tmp_path / "run")
    assert caught.value.exit_status == 128 + number
    assert not (tmp_path / "run/summary.json").exists()
    fit(tiny_config(), tmp_path / "run")
    assert_same_run(reference, tmp_path / "run", tiny_config())


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_signal_in_an_evaluation_changes_nothing(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Call 1 is for the compiler; calls 2 and 3 evaluate validation data, the fourth one the test split."""
    with monkeypatch.context() as patch:
        signal_at(patch, call, which=1)
        with pytest.raises(Interrupted, match="everything is saved"):
            fit(tiny_config(), tmp_path / "run")
    fit(tiny_config(), tmp_path / "run")
    assert_same_run(reference, tmp_path / "run", tiny_config())


def test_a_run_stopped_again_and_again(reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stops = 0
    while not (tmp_path / "run/summary.json").exists():
        with monkeypatch.context() as patch:
            signal_at(patch, 4, which=0)
            try:
                fit(tiny_config(), tmp_path / "run")
            except Interrupted:
                stops += 1
    assert stops == 5
    assert_same_run(reference, tmp_path / "run", tiny_config())


TINY_FILE = """
import sys
sys.path.insert(0, {root!r})
from tests.support.helpers import tiny_config
def get_config():
    return tiny_config(num_epochs={epochs})
"""


def tiny_file(folder: Path, epochs: int = 4) -> Path:
    path = folder / "tiny.py"
    path.write_text(TINY_FILE.format(root=str(ROOT), epochs=epochs))
    return path


def test_kill_and_interrupt_from_outside(tmp_path: Path) -> None:
    config = tiny_file(tmp_path)
    whole = script("train.py", f"--config={config}", f"--workdir={tmp_path / 'whole'}")
    assert whole.returncode == 0, whole.stderr
    assert "test accuracy" in whole.stdout
    assert whole.stdout.splitlines()[-1] == f"run directory: {tmp_path / 'whole'}"
    workdir = tmp_path / "killed"
    log = workdir / "metrics.jsonl"
    for lines in (0, 4):
        process = started(config, workdir)
        wait_for(lambda lines=lines: log.exists() and log.read_text().count("\n") >= lines, process)  # type: ignore[misc]
        process.kill()
        process.communicate()
    (workdir / "environment.json").unlink()
    process = started(config, workdir)
    wait_for((workdir / "environment.json").exists, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    if process.returncode != 0:  # unless it was quick enough to finish
        assert process.returncode == 130, errors
        assert re.search(r"To go on: \S*python\S* \S*train\.py ", errors)
        assert str(workdir) in errors
        assert "Traceback" not in errors
    again = script("train.py", f"--config={config}", f"--workdir={workdir}")
    assert again.returncode == 0, again.stderr
    assert_same_run(tmp_path / "whole", workdir, tiny_config(num_epochs=4))


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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer__learning_rate": 0.5}, r"optimizer\.learning_rate: 0\.02 -> 0\.5"),
        ({"num_epochs": 1}, "num_epochs: 2 -> 1"),
        ({"model__name": "linear"}, r"model\.name: cnn -> linear"),
    ],
)
def test_a_run_of_another_config_is_refused(reference: Path, changes: dict[str, Any], words: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in reference.rglob("*")}
    with pytest.raises(InputError, match=words):
        fit(tiny_config(**changes), reference)
    assert {path: path.stat().st_mtime_ns for path in reference.rglob("*")} == before


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not a run"):
        fit(tiny_config(), tmp_path)
    with pytest.raises(InputError, match="this is a file"):
        fit(tiny_config(), tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_broken_config_file_in_a_run_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: it cannot be read"):
        fit(tiny_config(), tmp_path)


def test_data_that_changed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        signal_at(patch, 4, which=0)
        with pytest.raises(Interrupted):
            fit(tiny_config(), tmp_path / "run")
    saved = read_json(tmp_path / "run/config.json")
    saved["resolved"]["normalization"]["mean"] = [0.5]
    (tmp_path / "run/config.json").write_text(json.dumps(saved))
    with pytest.raises(InputError, match=r"the data have changed .*normalization"):
        fit(tiny_config(), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": 2000}, r"batch_size=2000.*1294 examples"),
        ({"model__filters": (4, 4, 4, 4)}, r"images of 8x8 are too small .*block4/pool"),
        ({"data__validation": 5000}, r"data\.validation=5000"),
        ({"schedule__div_factor": 1e-300}, "gives a rate of inf at step 0 of"),
        ({"data__source": "tfds", "data__name": "mnist", "data__dir": "/nowhere"}, "prepare_data.py"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        fit(tiny_config(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a read-only mount needs root")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", folder], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.raises(InputError, match="cannot be written"):
            fit(tiny_config(), folder / "run")
    finally:
        subprocess.run(["umount", folder], check=True)


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


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    config = tiny_config(
        num_epochs=3, optimizer__name="sgd", schedule__name="MultiStepLR", schedule__milestones=(1,),
        schedule__gamma=1e30, model__norm="none",
    )  # fmt: skip
    with pytest.raises(
        NonFiniteError, match=r"at step 1[0-9], .*learning rate was 2e\+28.*checkpoint of step 10 is kept"
    ):
        fit(config, tmp_path / "run")
    load_run(tmp_path / "run")
    assert not (tmp_path / "run/summary.json").exists()
    (tmp_path / "c.py").write_text(
        "from cnn_jax.config import default_config, override\n"
        "def get_config():\n    return override(default_config(), [('optimizer.learning_rate', 1e30)])\n"
    )
    result = script("train.py", f"--config={tmp_path / 'c.py'}", f"--workdir={tmp_path / 'script'}")
    assert result.returncode == 3
    assert "no epoch had been finished" in result.stderr
    assert "Traceback" not in result.stderr


def test_parameters_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    """The last of two epochs' 22 steps makes them so; its own loss is still that of the parameters before it."""
    config = tiny_config(
        num_epochs=2, data__validation=0, optimizer__name="sgd", optimizer__learning_rate=2e-12,
        optimizer__rate_multipliers=((".", 1e10),), schedule__name="LambdaLR", schedule__unit="steps",
        schedule__lr_lambda="1 if t < 21 else 1e49",
    )  # fmt: skip
    with pytest.raises(NonFiniteError, match=r"a parameter became nan at step 21, .*checkpoint of step 11 is kept"):
        fit(config, tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.variables))


def test_a_kill_at_the_very_start_can_be_taken_up(reference: Path, tmp_path: Path) -> None:
    (tmp_path / "config.tmp").write_text('{"se')
    fit(tiny_config(), tmp_path)
    assert_same_run(reference, tmp_path, tiny_config())


def test_patience_needs_validation(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"patience=2: it watches validation data"):
        fit(tiny_config(patience=2, data__validation=0), tmp_path / "run")


def test_a_run_without_a_finished_epoch_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signal_at(monkeypatch, 3, which=0)
    with pytest.raises(Interrupted):
        fit(tiny_config(), tmp_path / "run")
    with pytest.raises(InputError, match="no epoch has been finished here yet"):
        load_run(tmp_path / "run")


def test_the_test_split_is_touched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def spy(program: Any, variables: Any, examples: Any, *rest: Any) -> dict[str, float]:
        sizes.append(len(examples))
        return evaluate(program, variables, examples, *rest)

    monkeypatch.setattr(experiment_module, "evaluate", spy)
    fit(tiny_config(), tmp_path / "run")
    assert sizes == [144, 144, 359]


def test_a_device_with_too_little_memory_is_one_line_and_its_advice_can_be_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*arguments: Any) -> None:
        jax.jit(lambda x: jnp.sort(x[:, None] * x[None, :], axis=0).sum())(jnp.ones(2**21)).block_until_ready()  # 17 TB

    with monkeypatch.context() as patch:
        patch.setattr(experiment_module, "_run", too_large)
        with pytest.raises(InputError, match=r"not enough memory .*ways out: .*batch_size \(it is 128\)") as caught:
            fit(tiny_config(), tmp_path / "run")
    for way in ("precision=bfloat16", "remat=stage", "data.loading=streamed"):
        assert f"config.{way}" in str(caught.value)
    assert "\n" not in str(caught.value)
    summary = fit(tiny_config(num_epochs=1, batch_size=64, precision="bfloat16", remat="stage"), tmp_path / "run")
    assert summary["epochs"] == 1


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
