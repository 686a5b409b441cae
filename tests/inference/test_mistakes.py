"""What is written about single images: a row for each, and the mistakes as pictures with what the model saw."""

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import Examples
from cnn_jax.data.reading.image_dataset import Files, ImageDataset
from cnn_jax.data.reading.images import fit_image
from cnn_jax.data.reading.visible import visible_part
from cnn_jax.experiment.captions import describe_training_loss
from cnn_jax.inference import mistakes
from cnn_jax.inference.evaluation import assess
from cnn_jax.pictures import evaluation as pictures
from tests.support.helpers import read_json, tiny_config


@pytest.mark.parametrize("resize", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("center_crop", [1.0, 0.6])
@pytest.mark.parametrize("size", [(120, 200), (200, 120), (90, 90)])
def test_the_frame_is_what_the_model_sees(resize: str, center_crop: float, size: tuple[int, int]) -> None:
    """Pixels that say where they are: the first and last of the fitted picture are those of the frame's border."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.uint8) + 20
    picture = Image.fromarray(np.stack([rows, columns, rows], axis=-1))
    seen = fit_image(picture, (50, 40, 3), resize, center_crop).astype(float)
    inside = seen[..., 2] > 10  # the padding is black
    top, left, tall, wide = visible_part(*size, (50, 40, 3), resize, center_crop)
    for axis, start, length in ((0, top, tall), (1, left, wide)):
        values = seen[..., axis][inside] - 20 + 0.5
        step = length * size[axis] / len(np.unique(np.where(inside)[axis]))
        assert values.min() == pytest.approx(start * size[axis] + step / 2, abs=1.6)
        assert values.max() == pytest.approx((start + length) * size[axis] - step / 2, abs=1.6)


def test_every_image_has_a_row(trained: Path, tmp_path: Path) -> None:
    """predictions.csv has all images, evaluation.json the wrong ones; digits, which are no files, are named by rows."""
    figures = assess(shutil.copytree(trained, tmp_path / "run")).figures
    with open(tmp_path / "run/predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "prediction", "probability"]
    assert len({row["path"] for row in rows}) == len(rows) == figures["examples"]
    assert sum(row["label"] == row["prediction"] for row in rows) == figures["correct"]
    numbers = [int(row["path"].removeprefix("digits[").removesuffix("]")) for row in rows]
    from sklearn.datasets import load_digits

    assert load_digits().target[numbers].astype(str).tolist() == [row["label"] for row in rows]
    wrong = read_json(tmp_path / "run/evaluation.json")["mistakes"]
    assert {row["path"] for row in wrong} == {row["path"] for row in rows if row["label"] != row["prediction"]}
    confidence = [row["probability"] for row in wrong]
    assert confidence == sorted(confidence, reverse=True)


def test_mistakes_show_the_file_as_it_is(tmp_path: Path) -> None:
    """The picture before it was cropped, upright, its frame and its path below the common folder."""
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.new("RGB", (600, 300), (9, 90, 200)).save(tmp_path / "a.jpg", exif=exif)
    dataset = ImageDataset(Files(tmp_path, ["a.jpg"]), np.arange(1), np.zeros(1, np.int32), (8, 8, 1), "crop", 0.5)
    row = {"path": str(tmp_path / "a.jpg"), "label": "cat", "prediction": "dog", "probability": 0.75}
    for examples in (dataset, Examples(dataset.read([0]), dataset.labels, dataset)):
        drawn = mistakes.panel(examples, 0, row, f"{tmp_path}/")
        assert drawn.image.shape == (240, 120, 3)
        assert np.abs(drawn.image.reshape(-1, 3).mean(0) - (9, 90, 200)).max() < 3
        assert drawn.part == pytest.approx((0.375, 0.25, 0.25, 0.5))
        assert (drawn.heading, drawn.file) == ("cat, taken for\ndog (75.0%)", "a.jpg")
    (tmp_path / "a.jpg").unlink()
    assert mistakes.panel(examples, 0, row, "").image.shape == (8, 8, 1), "what the model saw, of a file that is gone"


def test_the_matrix_says_recall_and_totals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: drawn.append(figure))
    matrix = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 0]])
    pictures.plot_confusion(matrix, ["ant", "bee", "cat"], "a title", tmp_path / "x.png")
    assert drawn[0].get_suptitle() == "a title"
    recall, precision = drawn[0].axes[0].child_axes
    assert [label.get_text() for label in recall.get_yticklabels()] == ["75% of 4", "-", "0% of 2"]
    assert [label.get_text() for label in precision.get_xticklabels()] == ["100% of 3", "0% of 3", "-"]
    assert "(6 in all)" in recall.get_ylabel()


@pytest.mark.parametrize("count", [0, 8])
def test_mistakes_stand_apart(count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file's name is nearer to its picture than to the next heading; without mistakes the title is all."""
    drawn: list[Any] = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: drawn.append(figure))
    panel = pictures.Panel(np.zeros((60, 30, 3), np.uint8), "a class, taken for\nanother one (71%)", "a/long name " * 6)
    pictures.plot_mistakes([panel] * count, "a title\nand a figure", tmp_path / "x.png")
    figure = drawn[0]
    figure.canvas.draw()
    if not count:
        assert figure._suptitle.get_window_extent().height > 0.35 * figure.bbox.height
        return
    upper, lower = figure.axes[0], figure.axes[6]
    file, heading = upper.texts[0].get_window_extent(), lower.title.get_window_extent()
    assert file.y0 - heading.y1 > 1.5 * (upper.bbox.y0 - file.y1)


def test_pictures_say_run_split_and_figure(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles: dict[str, str] = {}
    for name in ("plot_confusion", "plot_mistakes"):
        monkeypatch.setattr(
            pictures, name, lambda *arguments: titles.update({arguments[-1].name: arguments[-2]}) or arguments[-1]
        )
    figures = assess(shutil.copytree(trained, tmp_path / "my run"), "validation").figures
    assert set(titles) == {"confusion_validation.png", "mistakes_validation.png"}
    for title in titles.values():
        assert title.startswith("my run, ")
        assert f"validation accuracy {figures['accuracy']:.2%} ({figures['correct']:,} of" in title
    wrong = figures["examples"] - figures["correct"]
    assert f"the {min(wrong, 24)} most confident of {wrong} mistakes" in titles["mistakes_validation.png"]
    assert "framed" not in titles["mistakes_validation.png"], "the whole picture was seen"


def test_curves_name_what_the_run_did() -> None:
    """Nothing that the config does not do."""
    plain = tiny_config(augment=(), model__dropout=0.0)
    assert not describe_training_loss(plain)
    rich = tiny_config(augment=(("flip", 0.5), ("cutout", 2)), loss__label_smoothing=0.1, data__sampling="balanced")
    assert describe_training_loss(rich) == ("augmentation (flip, cutout), dropout, label smoothing, balanced sampling")
    assert describe_training_loss(tiny_config(augment=(), loss__class_weights="balanced")) == "dropout, class weights"
