"""plots/overview.png of an evaluation, and the one of the digits that the documentation shows."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax.inference.evaluation import assess
from cnn_jax.pictures import overview
from cnn_jax.pictures.overview import Example
from tests.support.helpers import ROOT, read_json, script


def check_picture(path: Path) -> None:
    """Wide, small, for a light and a dark page; each of its three parts has something on it."""
    assert path.stat().st_size < 200_000
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGBA"))
    assert pixels.shape[1] > 1200
    assert 2 < pixels.shape[1] / pixels.shape[0] < 3
    assert pixels[..., 3].min() == 255, "not transparent: its letters are dark"
    for part in np.array_split(pixels[40:, :, :3].astype(int), 3, axis=1):
        ink = part.min(axis=-1) < 128
        assert 0.005 < ink.mean() < 0.6


def test_evaluate_draws_it(trained: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained, tmp_path / "digits")
    result = script("evaluate.py", f"--workdir={run}")
    assert result.returncode == 0, result.stderr
    assert f"{run / 'plots/overview.png'}" in result.stdout
    check_picture(run / "plots/overview.png")


def test_the_one_in_the_docs_is_such() -> None:
    """Of runs/digits after `make train` and scripts/evaluate.py."""
    check_picture(ROOT / "docs/images/digits.png")


def test_mistakes_come_first(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of them at most, the surest first; then images that are right, spread over the split."""
    drawn: list[Any] = []
    monkeypatch.setattr(overview, "plot_overview", lambda *arguments: drawn.extend(arguments) or arguments[-1])
    run = shutil.copytree(trained, tmp_path / "run")
    figures = assess(run).figures
    examples, rows, matrix, names, title, path = drawn
    wrong = read_json(run / "evaluation.json")["mistakes"][:6]
    assert len(wrong) == 6
    assert [(e.label, e.prediction, e.probability) for e in examples[:6]] == [
        (row["label"], row["prediction"], row["probability"]) for row in wrong
    ]
    assert len(examples) == 24
    assert all(example.label == example.prediction for example in examples[6:])
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    assert matrix.trace() == figures["correct"]
    assert title.startswith(f"run: test accuracy {figures['accuracy']:.2%}")
    assert (len(names), path) == (10, run / "plots/overview.png")


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    drawn: list[Any] = []
    monkeypatch.setattr(overview, "save_figure", lambda figure, path: drawn.append(figure))
    return drawn


@pytest.mark.parametrize("name", ["10", "a long name of a class", "A WIDE NAME OF A WARM, WOOLLY ANIMAL"])
def test_mistakes_are_red(name: str, tmp_path: Path, figures: list[Any]) -> None:
    """Headings of neighbours do not touch; a picture of any shape and a run without a log will do."""
    columns, rows = overview.grid([name, "9"])
    images = [np.full(shape, 90, np.uint8) for shape in ((8, 8, 1), (30, 60, 3), (60, 30, 3))]
    examples = [Example(images[i % 3], "9" if i == 0 else name, name, 1.0) for i in range(columns * rows)]
    overview.plot_overview(examples, [], np.array([[0, 0], [1, 9]]), [name, "9"], "a title", tmp_path / "a.png")
    figures[0].canvas.draw()
    headings = figures[0].axes[-1].texts
    assert [heading.get_color() for heading in headings] == ["tab:red"] + ["black"] * (columns * rows - 1)
    boxes = [heading.get_window_extent() for heading in headings]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes) if b.x0 > a.x0)


def test_a_mistake_shows_its_label(tmp_path: Path, figures: list[Any]) -> None:
    """Names are whole where there is room; a heading says only what is there."""
    names, image = ["hats & scarves", "a fine-grained kind number 7"], np.full((8, 8, 1), 90, np.uint8)
    right = [Example(image, name, name, 0.98) for name in names]
    for examples in (right, [Example(image, *names, 0.6), *right], [Example(image, *names, 0.6)]):
        overview.plot_overview(examples, [], np.eye(2, dtype=int), names, "a title", tmp_path / "a.png")
    headings = [[" ".join(text.get_text().split()) for text in figure.axes[-1].texts] for figure in figures]
    assert headings[0] == ["hats & scarves (98%)", "a fine-grained kind number 7 (98%)"]
    assert headings[1][0] == "a fine-grained kind nu... (60%) label: hats & scarves"
    assert [figure.axes[-1].get_title() for figure in figures] == [
        "predictions", "predictions: the surest mistakes (red), then others", "predictions: the surest mistakes (red)"
    ]  # fmt: skip
    assert figures[0].axes[1].get_xticklabels()[0].get_text() == names[0]


def test_its_curves_are_those_of_the_run(tmp_path: Path, figures: list[Any]) -> None:
    """They have the names that curves.png has, epochs as well, and the legend covers none of them."""
    splits = ("train", "validation", "validation_ema")
    rows = [{"epoch": 1, "split": split, "accuracy": 1.0} for split in splits]
    overview.plot_overview([], rows, np.eye(2, dtype=int), ["a", "b"], "a title", tmp_path / "a.png")
    figures[0].canvas.draw()
    axis = figures[0].axes[0]
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["train", "validation", "validation, averaged weights"]
    assert axis.get_xlabel() == "epoch"
    low, high = axis.get_xlim()
    assert [tick for tick in axis.get_xticks() if low <= tick <= high] == [1]
    assert not axis.get_legend().get_window_extent().overlaps(axis.bbox)
