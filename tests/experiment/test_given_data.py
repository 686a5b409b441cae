"""`fit` on arrays and folders that a program gives, with callbacks; and what `load_run` makes of such a run."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np
import pytest
from PIL import Image

import cnn_jax
from cnn_jax.config import override
from cnn_jax.data.reading.image_dataset import Files
from cnn_jax.errors import InputError
from cnn_jax.experiment import EpochEnd, build, fit
from cnn_jax.experiment.ending import describe_end
from cnn_jax.inference import load_run
from cnn_jax.runs.directory import read_run_file
from tests.support.runs import assert_same_run

TRAIN = np.random.default_rng(0).integers(0, 100, (60, 4, 4), np.uint8)
LABELS = np.array(["dark", "bright"])[np.arange(60) % 2]
TRAIN[LABELS == "bright"] += 150


def small(**changes: Any) -> ml_collections.ConfigDict:
    config = cnn_jax.default_config(model="mlp", optimizer="adamw")
    config.model.hidden = (8,)
    config.batch_size, config.num_epochs = 16, 3
    config.optimizer.learning_rate = 0.05
    config.update(changes)
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cnn_jax.Run:
    workdir = tmp_path_factory.mktemp("given") / "run"
    held_out = (TRAIN[:10] / 255, LABELS[:10])
    fit(small(), workdir, (TRAIN / 255, LABELS), validation=held_out, test=held_out, value_range=(0, 1))
    return load_run(workdir)


def test_fit_learns_from_arrays(run: cnn_jax.Run) -> None:
    assert run.class_names == ("bright", "dark")
    assert run.summary["test_accuracy"] == 1
    assert (run.config.data.source, run.resolved["train_examples"]) == ("arrays", 60)
    assert list(run.history.query("split == 'validation'").epoch) == [1, 2, 3]


def test_predict_and_evaluate_agree(run: cnn_jax.Run) -> None:
    """Floats in the stated range and uint8 are the same images; so are PIL images."""
    predictions = run.predict(TRAIN)
    assert predictions.names == list(LABELS)
    np.testing.assert_array_equal(run.predict(TRAIN / 255).probabilities, predictions.probabilities)
    pictures = [Image.fromarray(image) for image in TRAIN[:2]]
    np.testing.assert_array_equal(run.predict(pictures).probabilities, predictions.probabilities[:2])
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1)
    assert predictions.top(1)[0] == [next(iter(predictions))]
    assert predictions.to_dataframe().loc[1, "prediction"] == "bright"
    figures = run.evaluate(TRAIN, LABELS)
    assert (figures["accuracy"], figures["examples"]) == (1, 60)
    assert run.evaluate(TRAIN, LABELS[::-1])["accuracy"] == 0


def test_other_data_are_refused(run: cnn_jax.Run) -> None:
    """A finished run is not the result of other arrays."""
    assert run.workdir is not None
    held_out = (TRAIN[:10] / 255, LABELS[:10])
    for images, words in ((1 - TRAIN / 255, "holds a run on other data"), (TRAIN, "they are uint8, in 0..255 already")):
        with pytest.raises(InputError, match=words):
            fit(run.config, run.workdir, (images, LABELS), validation=held_out, test=held_out)


def test_callbacks_see_epochs_and_stop(tmp_path: Path) -> None:
    seen: list[EpochEnd] = []

    def stop_after_two(end: EpochEnd) -> bool:
        seen.append(end)
        return end.epoch == 2

    config = small(patience=50)
    summary = fit(config, tmp_path / "run", (TRAIN, LABELS), callbacks=[stop_after_two, lambda end: None])
    assert [(end.epoch, end.step, set(end.metrics)) for end in seen] == [
        (1, 2, {"train", "validation"}),
        (2, 4, {"train", "validation"}),
    ]
    assert (summary["epochs"], summary["stopped_early"], summary["stopped_by"]) == (2, True, "callback")
    assert "callback" in describe_end(summary, config, "run")
    assert fit(config, tmp_path / "run", (TRAIN, LABELS)) == summary, "it is finished"
    assert fit(small(patience=60), tmp_path / "run", (TRAIN, LABELS)) == summary, "patience did not end it"
    longer = fit(small(num_epochs=4, patience=50), tmp_path / "run", (TRAIN, LABELS))
    assert (longer["epochs"], longer["stopped_early"]) == (4, False), "a longer one goes on"


def test_an_error_of_a_callback_loses_nothing(tmp_path: Path) -> None:
    def fail(end: EpochEnd) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fit(small(), tmp_path / "run", (TRAIN, LABELS), callbacks=[fail])
    first = read_run_file(tmp_path / "run", "config.json")
    assert fit(small(), tmp_path / "run", (TRAIN, LABELS))["epochs"] == 3
    assert read_run_file(tmp_path / "run", "config.json") == first
    assert len(load_run(tmp_path / "run").history.query("split == 'train'")) == 3


@pytest.mark.parametrize(
    ("split", "note"),
    [
        ("train", r"while batch (\d) of 5 of epoch (\d) was read. Everything up to step (\d+) is saved"),
        ("validation", r"in the evaluation (after) epoch (\d). Everything up to step (\d+) is saved"),
    ],
)
def test_an_error_of_a_source_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str, note: str
) -> None:
    """What a reader of the user's own raises in an epoch comes with a note of its place, and the same call resumes."""
    save_photos(tmp_path / "photos")
    keys = {"data.loading": "streamed", "batch_size": 8, "data.source": "folder", "data.dir": str(tmp_path / "photos")}
    config = override(small(), keys.items())
    victim, reads, read = getattr(build(config).splits, split).name(1), Counter[str](), Files.read

    def fail_once(reader: Files, rows: Sequence[int]) -> list[Any]:
        reads.update(reader.name(row) for row in rows)
        if reads[victim] == 3:  # once before training, and in each epoch
            reads.clear()
            raise ConnectionError("the store is gone")
        return read(reader, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Files, "read", fail_once)
        with pytest.raises(ConnectionError, match="the store is gone") as caught:
            fit(config, tmp_path / "run")
    assert str(caught.value) == "the store is gone"
    assert caught.traceback[-1].name == "fail_once"
    found = re.search(note, caught.value.__notes__[0])
    assert found is not None, caught.value.__notes__
    epoch, step = int(found[2]), int(found[3])
    assert step == (5 * (epoch - 1) + int(found[1]) - 1 if split == "train" else 5 * epoch)
    fit(config, tmp_path / "run")
    fit(config, tmp_path / "undisturbed")
    assert_same_run(tmp_path / "undisturbed", tmp_path / "run", config)


def save_photos(folder: Path) -> None:
    for i, (image, label) in enumerate(zip(TRAIN, LABELS, strict=True)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{label}/{i}.png")


def test_data_may_be_a_folder(tmp_path: Path) -> None:
    save_photos(tmp_path / "photos")
    assert fit(small(num_epochs=1), tmp_path / "run", tmp_path / "photos")["epochs"] == 1
    assert load_run(tmp_path / "run").config.data.source == "folder"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"test": (TRAIN, LABELS)}, r"test= goes with data=\(images, labels\)"),
        ({"class_names": ["a"]}, "class_names= goes with"),
        ({"data": "photos", "value_range": (0, 1)}, "value_range= goes with"),
        ({"data": "photos", "validation": (TRAIN, LABELS)}, "validation= goes with"),
        ({"data": (TRAIN / 255, LABELS), "value_range": (1, 0)}, r"value_range=\(1, 0\): it must be"),
    ],
)
def test_arguments_that_do_not_go_together(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        fit(small(), tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


def test_a_config_without_its_arrays_says_so(tmp_path: Path) -> None:
    config = small()
    config.data.source = "arrays"
    with pytest.raises(InputError, match=r"arrays of a Python program; .*run.evaluate"):
        fit(config, tmp_path / "run")


def test_a_config_may_be_a_name() -> None:
    assert cnn_jax.load_config("mnist_cnn") == cnn_jax.load_config("configs/mnist_cnn.py")
    with pytest.raises(InputError, match=r"mnist_cnn2: there is no such file .*did you mean 'mnist_cnn'"):
        cnn_jax.load_config("mnist_cnn2")
    with pytest.raises(InputError, match="by name there are cifar10_94, "):
        fit("zzzzz", "runs/x")
