"""The commands as a user types them: output, exit status, one clear line for every mistake."""

import csv
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data.sources.folder import list_folder
from cnn_jax.errors import InputError
from cnn_jax.experiment.fitting import build, fit
from cnn_jax.inference.evaluation import assess, load_split
from cnn_jax.inference.prediction import list_images, predict_files
from cnn_jax.inference.run import load_run
from tests.support.helpers import ROOT, read_json, script, tiny_config

SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_help(name: str) -> None:
    result = script(name, "--help")
    assert result.returncode == 0
    assert not result.stderr
    assert result.stdout.startswith("usage: ")
    assert len(result.stdout.splitlines()) <= 64


def test_help_is_quick() -> None:
    """Two seconds are promised: of a processor, as other tests run beside this one."""

    def seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = seconds()
    script("train.py", "--help")
    assert seconds() - before < 2


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_short(name: str) -> None:
    assert len((ROOT / "scripts" / name).read_text().splitlines()) <= 70


def test_the_work_directory_is_named_after_the_config(tmp_path: Path) -> None:
    overrides = ["--config.num_epochs=1", "--config.model.filters=(4,)", "--config.optimizer={'learning_rate': 0.01}"]
    result = subprocess.run(
        [sys.executable, str(ROOT / "scripts/train.py"), *overrides], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert read_json(tmp_path / "runs/digits/config.json")["optimizer"]["learning_rate"] == 0.01
    assert "test accuracy" in result.stdout
    assert result.stdout.endswith("run directory: runs/digits\n")


# Evaluation


def test_assessment_agrees_with_training(trained: Path) -> None:
    assessment = assess(trained)
    figures, summary = assessment.figures, read_json(trained / "summary.json")
    assert figures["accuracy"] == summary["test_accuracy"]
    assert figures["loss"] == pytest.approx(summary["test_loss"], abs=1e-6)
    assert read_json(trained / "evaluation.json") == figures
    for picture in ("confusion.png", "mistakes.png"):
        with Image.open(trained / "plots" / picture) as opened:
            assert min(opened.size) > 300
    validation = assess(trained, "validation").figures
    assert validation["accuracy"] == summary["validation_accuracy"]
    assert (trained / "evaluation_validation.json").exists()


def test_evaluate_script(trained: Path) -> None:
    result = script("evaluate.py", f"--workdir={trained}")
    assert result.returncode == 0, result.stderr
    summary = read_json(trained / "summary.json")
    assert f"test accuracy {summary['test_accuracy']:.2%}" in result.stdout.splitlines()[-1]
    assert "95 % interval" in result.stdout
    assert "precision" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workdir=/nowhere"], "not a run directory"),
        ([], "--workdir"),
        (["--workdir={trained}", "--data_dir=/nowhere"], "--data_dir=/nowhere: there is no such folder or file"),
        (["--workdir={trained}", "--split=tests"], "invalid choice"),
    ],
)
def test_mistakes_in_evaluation(trained: Path, arguments: list[str], words: str) -> None:
    result = script("evaluate.py", *(argument.format(trained=trained) for argument in arguments))
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_run_without_checkpoint_is_said(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((trained / "config.json").read_text())
    with pytest.raises(InputError, match="nothing has been trained here yet"):
        load_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(InputError, match="no epoch has been finished here yet"):
        load_run(tmp_path)


@pytest.mark.parametrize("content", ["[]", "{}", '{"resolved": {}}', '{"resolved": {"image_shape": 3}}'])
def test_a_damaged_config_of_a_run_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config\.json"):
        load_run(tmp_path)


def test_a_damaged_checkpoint_is_said(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    for path in (tmp_path / "run/checkpoints").glob("*/state/**/*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(InputError, match="this checkpoint is damaged"):
        load_run(tmp_path / "run")


def test_evaluation_on_other_data_of_the_same_classes(tmp_path: Path) -> None:
    splits = build(tiny_config()).splits
    assert splits.test is not None
    for name, part in (("own", splits.train), ("other", splits.test)):
        images, labels = np.asarray(part.images[:200]), np.asarray(part.labels[:200])
        split = np.where(np.arange(200) < 100, "train", "test")
        np.savez(tmp_path / f"{name}.npz", image=images, label=labels, split=split, class_names=list("0123456789"))
    source = {"data__source": "npz", "data__dir": str(tmp_path / "own.npz"), "data__validation": 0.2}
    config = tiny_config(batch_size=16, num_epochs=2, **source)
    summary = fit(config, tmp_path / "run")
    (tmp_path / "moved.npz").write_bytes((tmp_path / "own.npz").read_bytes())
    same = assess(tmp_path / "run", "test", str(tmp_path / "moved.npz")).figures
    assert same["data_dir"] == str(tmp_path / "moved.npz")
    assert same["accuracy"] == summary["test_accuracy"]
    assert same["loss"] == pytest.approx(summary["test_loss"], rel=1e-6)  # its batches are larger
    other = assess(tmp_path / "run", "test", str(tmp_path / "other.npz")).figures
    assert abs(other["loss"] - same["loss"]) > 1e-4
    run = load_run(tmp_path / "run")
    other_classes = run.__class__(**{**vars(run), "class_names": tuple("abcdefghij")})
    with pytest.raises(InputError, match=r"has the classes 0, 1, .*, but the model was trained on a, b"):
        load_split(other_classes, "test")


def test_a_split_that_is_not_there(trained: Path) -> None:
    run = load_run(trained)
    run.config.data.validation = 0
    with pytest.raises(InputError, match="no such split under this config; it has train, test"):
        load_split(run, "validation")


# Prediction


@pytest.fixture(scope="module")
def pictures(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve digits of the test split as PNG files, and what else lies in folders of images."""
    folder = tmp_path_factory.mktemp("pictures")
    test = build(tiny_config()).splits.test
    assert test is not None
    for i in range(12):
        Image.fromarray(test.images[i, ..., 0]).save(folder / f"{i:02}.png")
    (folder / "deeper").mkdir()
    Image.fromarray(test.images[12, ..., 0]).resize((40, 30)).save(folder / "deeper/größer 1.jpg")
    (folder / ".hidden.png").write_bytes(b"x")
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_predictions_are_what_evaluation_computes(trained: Path, pictures: Path) -> None:
    run = load_run(trained)
    test = build(tiny_config()).splits.test
    assert test is not None
    logits = run.logits(test.images[:12])
    read = np.stack([run.read(pictures / f"{i:02}.png") for i in range(12)])
    assert np.array_equal(read, test.images[:12])
    np.testing.assert_allclose(run.logits(read), logits, atol=1e-5)
    predictions = list(predict_files(run, [pictures / f"{i:02}.png" for i in range(12)], top=10))
    for prediction, row in zip(predictions, logits, strict=True):
        assert prediction.classes[0][0] == str(row.argmax())
        assert sum(probability for _, probability in prediction.classes) == pytest.approx(1)


def test_folders_are_listed_as_training_lists(pictures: Path, tmp_path: Path) -> None:
    """Whatever the extension: what training would take of a class folder, predict takes."""
    shutil.copytree(pictures, tmp_path / "set/a")
    (tmp_path / "set/b").mkdir()
    (tmp_path / "set/b/IMG_1.HEIC").write_bytes(b"ftypheic")
    (tmp_path / "set/b/no_extension").write_bytes((pictures / "00.png").read_bytes())
    (tmp_path / "set/b/Thumbs.db").write_bytes(b"x")
    listed = [Path(path).relative_to(tmp_path / "set").as_posix() for path in list_images([str(tmp_path / "set")])]
    assert listed == [
        *(f"a/{i:02}.png" for i in range(12)), "a/deeper/größer 1.jpg", "a/notes.txt", "b/IMG_1.HEIC", "b/no_extension"
    ]  # fmt: skip
    assert listed == list_folder(tmp_path / "set").paths["train"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: this folder holds no files"):
        list_images([str(tmp_path / "empty")])


def test_predict_script(trained: Path, pictures: Path, tmp_path: Path) -> None:
    """Each image has a row, in order: its classes, or the error."""
    (tmp_path / "broken.png").write_bytes(b"no image")
    result = script(
        "predict.py", f"--workdir={trained}", pictures / "00.png", tmp_path / "broken.png", tmp_path / "gone.png",
        pictures / "01.png", "--json", "--top=2",
    )  # fmt: skip
    assert result.returncode == 1
    rows = json.loads(result.stdout)
    assert [Path(row["image"]).name for row in rows] == ["00.png", "broken.png", "gone.png", "01.png"]
    assert [len(row["classes"]) for row in rows] == [2, 0, 0, 2]
    assert [row["error"] is None for row in rows] == [True, False, False, True]
    for row, words in ((rows[1], "broken.png: this is not an image"), (rows[2], "gone.png: there is no such file")):
        assert words in row["error"]
        assert row["error"] in result.stderr
    assert "Traceback" not in result.stderr

    table = tmp_path / "table.csv"
    result = script("predict.py", f"--workdir={trained}", pictures, f"--csv={table}", "--top=99")
    assert result.returncode == 1, result.stderr
    with open(table, newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 14
    assert lines[-2]["image"].endswith("größer 1.jpg")
    for line in lines[:-1]:
        probabilities = [float(line[f"probability{rank}"]) for rank in ("", *(f"_{n}" for n in range(2, 11)))]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert probabilities == sorted(probabilities, reverse=True)
        assert line["class_10"]
        assert not line["error"]
    assert lines[-1]["image"].endswith("notes.txt")
    assert not lines[-1]["class"]
    assert lines[-1]["error"].startswith("this is not an image that Pillow can read")
    assert result.stdout == f"13 predictions and 1 error written to {table}\n"

    result = script("predict.py", f"--workdir={trained}", pictures / "00.png")
    assert result.stdout.startswith(f"{pictures / '00.png'}: ")
    assert "%" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.png"], "--workdir"),
        (["--workdir=/nowhere", "x.png"], "not a run directory"),
        (["--workdir={trained}"], "IMAGE"),
        (["--workdir={trained}", "x.png", "--top=0"], "--top=0: it must be at least 1"),
        (["--workdir={trained}", "{pictures}", "--csv=/nowhere/at/all.csv"], "cannot be written"),
    ],
)
def test_mistakes_in_prediction(trained: Path, pictures: Path, arguments: list[str], words: str) -> None:
    result = script("predict.py", *(argument.format(trained=trained, pictures=pictures) for argument in arguments))
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
