"""Whole runs on folders and streams: alike however the data are fed, stoppable anywhere, used as they were trained."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax.config.tree import override
from cnn_jax.data import ImageDataset
from cnn_jax.errors import InputError, Interrupted
from cnn_jax.experiment.fitting import build, fit
from cnn_jax.inference.evaluation import load_split
from cnn_jax.inference.run import load_run
from tests.support.helpers import ROOT, read_json, script, tiny_config
from tests.support.runs import assert_same_run, final_state, signal_at, started, wait_for


def streamed(**changes: Any) -> Any:
    return tiny_config(**{"data__loading": "streamed", "data__workers": 0, **changes})


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A streamed run that nothing disturbs."""
    workdir = tmp_path_factory.mktemp("streamed") / "run"
    fit(streamed(), workdir)
    return workdir


def test_streamed_and_resident_see_the_same(reference: Path, tmp_path: Path) -> None:
    """The same examples, augmented alike; what is left is the rounding of two programs."""
    resident, stream = tiny_config(), streamed()
    fit(resident, tmp_path / "run")
    ours, theirs = (
        final_state(path, config).params for path, config in ((reference, stream), (tmp_path / "run", resident))
    )
    for name in ("block1", "block2"):
        kernels = [np.asarray(params[name]["conv1"]["kernel"]) for params in (ours, theirs)]
        np.testing.assert_allclose(*kernels, atol=2e-3)
    accuracies = [read_json(path / "summary.json")["test_accuracy"] for path in (reference, tmp_path / "run")]
    assert abs(accuracies[0] - accuracies[1]) <= 2 / 359


@pytest.mark.parametrize("call", [3, 10, 14])
def test_a_stopped_stream_changes_nothing(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    with monkeypatch.context() as patch:
        signal_at(patch, call, which=0)
        with pytest.raises(Interrupted, match="everything is saved"):
            fit(streamed(), tmp_path / "run")
    fit(streamed(), tmp_path / "run")
    assert_same_run(reference, tmp_path / "run", streamed())


STREAMED_FILE = """
import sys
sys.path.insert(0, {root!r})
from tests.support.helpers import tiny_config
def get_config():
    return tiny_config(num_epochs=3, data__loading="streamed", data__workers={workers})
"""


@pytest.mark.slow
def test_a_killed_stream_goes_on_with_other_workers(tmp_path: Path) -> None:
    """Killed twice from outside, each time resumed with another number of workers; the bits are those of one run."""
    files = {}
    for workers in (0, 1, 2):
        files[workers] = tmp_path / f"config{workers}.py"
        files[workers].write_text(STREAMED_FILE.format(root=str(ROOT), workers=workers))
    whole = script("train.py", f"--config={files[0]}", f"--workdir={tmp_path / 'whole'}")
    assert whole.returncode == 0, whole.stderr
    workdir = tmp_path / "killed"
    log = workdir / "metrics.jsonl"
    for lines, workers in ((0, 2), (2, 1)):
        process = started(files[workers], workdir)
        wait_for(lambda lines=lines: log.exists() and log.read_text().count("\n") >= lines, process)  # type: ignore[misc]
        process.kill()
        process.communicate()
    last = script("train.py", f"--config={files[0]}", f"--workdir={workdir}")
    assert last.returncode == 0, last.stderr
    assert_same_run(tmp_path / "whole", workdir, tiny_config(num_epochs=3, data__loading="streamed", data__workers=0))


def digits_folder(folder: Path, count: int = 400) -> Path:
    """Digits as PNG files in class folders, to be split."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for i in range(count):
        path = folder / f"digit {digits.target[i]}" / f"{i:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[i] * 15.9).astype(np.uint8)).save(path)
    return folder


def test_a_folder_with_broken_files(tmp_path: Path) -> None:
    folder = digits_folder(tmp_path / "digits")
    (folder / "digit 3/broken.png").write_bytes(b"")
    arguments = [
        "--config=configs/image_folder.py", f"--config.data.dir={folder}", f"--workdir={tmp_path / 'run'}",
        "--config.data.image_size=8", "--config.num_epochs=1", "--config.model.filters=(4,)",
    ]  # fmt: skip
    refused = script("train.py", *arguments)
    assert refused.returncode == 2
    assert "broken.png: this file is empty" in refused.stderr
    assert "1 of 401 images cannot be used" in refused.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()
    taken = script("train.py", *arguments, "--config.data.on_error=skip")
    assert taken.returncode == 0, taken.stderr
    assert "left out 1 of 401 images" in taken.stderr
    assert read_json(tmp_path / "run/summary.json")["skipped_images"] == 1
    assert "broken.png" in read_json(tmp_path / "run/config.json")["resolved"]["skipped"][0]
    assert read_json(tmp_path / "run/config.json")["resolved"]["class_names"][3] == "digit 3"


def test_a_folder_with_another_name(tmp_path: Path) -> None:
    """A run goes on, and is made longer, with its data in another place; other data there are refused."""
    folder = digits_folder(tmp_path / "digits", 160)
    (folder / "digit 3/broken.png").write_bytes(b"")
    settings = {"data__source": "folder", "batch_size": 16, "data__on_error": "skip", "schedule__name": "constant"}
    fit(tiny_config(data__dir=str(folder), num_epochs=1, **settings), tmp_path / "run")
    moved = folder.rename(tmp_path / "elsewhere")
    summary = fit(tiny_config(data__dir=str(moved), num_epochs=2, **settings), tmp_path / "run")
    assert (summary["epochs"], summary["skipped_images"]) == (2, 1)
    assert read_json(tmp_path / "run/config.json")["data"]["dir"] == str(moved)

    other = digits_folder(tmp_path / "other", 170)
    before = (tmp_path / "run/config.json").read_text()
    with pytest.raises(InputError, match=r"other data: those of data\.dir=.*other are not those of .*elsewhere"):
        fit(tiny_config(data__dir=str(other), num_epochs=2, **settings), tmp_path / "run")
    assert (tmp_path / "run/config.json").read_text() == before


def test_a_folder_that_changed_under_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = digits_folder(tmp_path / "digits", 160)
    config = tiny_config(data__source="folder", data__dir=str(folder), batch_size=16)
    with monkeypatch.context() as patch:
        signal_at(patch, 2, which=0)
        with pytest.raises(Interrupted):
            fit(config, tmp_path / "run")
    victim = next(folder.glob("*/*"))
    os.utime(victim)  # as a copy might be: other times, the same data
    fit(config, tmp_path / "run")
    Image.new("L", (8, 8), 7).save(victim)
    with pytest.raises(InputError, match=r"digits has changed since the model was trained.*--data_dir"):
        load_split(load_run(tmp_path / "run"), "test")
    assert len(load_split(load_run(tmp_path / "run"), "test", str(folder))) == 160
    with pytest.raises(InputError, match=r"the data have changed since it was begun \(.*fingerprint"):
        fit(override(config, [("num_epochs", 3)]), tmp_path / "run")


def test_a_picture_that_goes_bad_while_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = digits_folder(tmp_path / "digits", 160)
    config = streamed(data__source="folder", data__dir=str(folder), batch_size=16, num_epochs=2)
    bad = build(config).splits.train
    victim = Path(bad.name(20))
    content = victim.read_bytes()

    from cnn_jax.experiment import fitting as module

    original = module.make_training

    def damaging(experiment: Any) -> Any:
        step, feed = original(experiment)
        victim.write_bytes(b"torn")
        return step, feed

    with monkeypatch.context() as patch:
        patch.setattr(module, "make_training", damaging)
        with pytest.raises(InputError, match=r"not an image .*everything up to step \d+ is saved"):
            fit(config, tmp_path / "run")
    victim.write_bytes(content)
    fit(config, tmp_path / "run")
    fit(config, tmp_path / "undisturbed")
    assert_same_run(tmp_path / "undisturbed", tmp_path / "run", config)


@pytest.fixture(scope="module")
def photos(photographs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty real photographs in three made-up classes."""
    folder = tmp_path_factory.mktemp("photos")
    for i, path in enumerate(photographs[:60]):
        (folder / "abc"[i % 3]).mkdir(exist_ok=True)
        (folder / "abc"[i % 3] / path.name).symlink_to(path)
    return folder


@pytest.mark.parametrize(("loading", "center_crop"), [("resident", 1.0), ("resident", 0.7), ("streamed", 0.7)])
def test_photographs_are_predicted_as_they_are_evaluated(
    photos: Path, tmp_path: Path, loading: str, center_crop: float
) -> None:
    config = streamed(
        data__source="folder", data__dir=str(photos), data__image_size=(40, 32), batch_size=16, num_epochs=1,
        data__loading=loading, data__center_crop=center_crop, data__test=0.5, augment=(("flip", 0.5),),
    )  # fmt: skip
    fit(config, tmp_path / "run")
    run = load_run(tmp_path / "run")
    evaluated = run.logits(load_split(run, "test"))
    files = build(override(config, [("data.loading", "streamed")])).splits.test  # the same split knows its files
    assert isinstance(files, ImageDataset)
    predicted = run.logits(np.stack([run.read(files.name(i)) for i in range(len(files))]))
    np.testing.assert_allclose(predicted, evaluated, atol=1e-5)
    assert len(np.unique(predicted, axis=0)) == len(files) == 30


@pytest.mark.slow
def test_a_signal_is_seen_while_a_stream_starts(tmp_path: Path) -> None:
    """Two workers are being started when Ctrl-C comes to the whole process group, as from a terminal."""
    config = tmp_path / "config.py"
    config.write_text(STREAMED_FILE.format(root=str(ROOT), workers=2))
    process = started(config, tmp_path / "run")
    wait_for((tmp_path / "run/environment.json").exists, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    # The loop ends it; or, where the start takes more than the two seconds that a signal waits while nothing is
    # unsaved, the watcher does.
    assert "everything is saved" in errors or "stopped by SIGINT. To go on: " in errors
    assert "Traceback" not in errors
