"""How runs and predictions look where they are printed, and in a notebook."""

from pathlib import Path

import numpy as np
import pytest

from cnn_jax.inference.predictions import Predictions
from cnn_jax.inference.run import load_run
from cnn_jax.training.program import EpochEnd

NAMES = ("<b>cat", "dog", "emu", "fox")


@pytest.fixture
def predictions() -> Predictions:
    """Of 30 images; the first is a cat, the others dogs."""
    rows = [[0.7, 0.2, 0.06, 0.04], *[[0.1, 0.8, 0.06, 0.04]] * 29]
    return Predictions(np.array(rows), NAMES)


def test_predictions_are_shown_by_name(predictions: Predictions) -> None:
    dogs = ", ".join(["dog (80.0%)"] * 4)
    assert repr(predictions) == f"<Predictions of 30 images, 4 classes: <b>cat (70.0%), {dogs}, ...>"
    one = Predictions(predictions.probabilities[:1], NAMES)
    assert repr(one) == "<Predictions of 1 image, 4 classes: <b>cat (70.0%)>"


def test_a_notebook_has_a_table(predictions: Predictions) -> None:
    """The likeliest classes of the first images; a name of a class is text, whatever it holds."""
    page = predictions._repr_html_()
    cells = ["&lt;b&gt;cat (70.0%)", "dog (20.0%)", "emu (6.0%)"]
    assert all(f"<td>{cell}</td>" in page for cell in cells)
    assert "<b>" not in page
    assert "fox" not in page
    assert page.count("<tr") == 1 + 20
    assert page.endswith("<p>the first 20 of 30 images</p>")
    two = Predictions(predictions.probabilities[:2, :2], NAMES[:2])._repr_html_()
    assert two.count("<td>") == 4
    assert not two.endswith("</p>")


def test_a_run_is_one_line(trained: Path) -> None:
    assert repr(load_run(trained)) == f"<Run {trained}: cnn, images of 8x8x1, 10 classes>"


def test_an_epoch_is_shown_without_weights() -> None:
    end = EpochEnd(3, 30, {"train": {"loss": 0.5}}, True, {"params": np.zeros(1000)})
    assert repr(end) == "EpochEnd(epoch=3, step=30, metrics={'train': {'loss': 0.5}}, is_best=True)"
