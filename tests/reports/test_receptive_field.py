"""The part of a report on receptive fields, and the weights it compares."""

import shutil
from pathlib import Path

import jax
import numpy as np
import optax

from cnn_jax.inference.run import load_run
from cnn_jax.models import make_model
from cnn_jax.pictures.receptive_fields import Drawn, plot_fields
from cnn_jax.reports.report import analyze
from cnn_jax.reports.weights_over_training import first_weights, weights_over_training
from cnn_jax.training.state import init_state


def test_part_of_a_run(trained: Path, tmp_path: Path) -> None:
    """Every number of the sentences and tables is among the figures; nothing leaks; weights before training differ."""
    workdir = tmp_path / "run"
    shutil.copytree(trained, workdir)
    section = analyze(workdir, ["receptive_field"], most=20).sections["receptive_field"]
    layers = {layer["name"]: layer for layer in section.figures["layers"]}
    measured = {name: layer["effective"] for name, layer in layers.items() if "effective" in layer}
    assert len(measured) >= 2
    assert all(layer["leakage"] == 0 for layer in measured.values())
    last = list(measured)[-1]
    assert f"A unit of {last} can see" in section.lead[0]
    assert f"{measured[last]['size']:.1f} ± {measured[last]['standard_error']:.1f}" in section.lead[0]
    course = section.figures["training"][last]
    assert [step["when"] for step in course][:1] == ["untrained"]
    assert course[-1]["size"] == measured[last]["size"]
    rows = {row[0]: row for row in section.tables[0].rows}
    assert list(rows) == list(layers)
    assert rows[last][1] == "x".join(map(str, layers[last]["size"]))
    assert all(picture.file.is_file() for picture in section.pictures)
    again = analyze(workdir, ["receptive_field"], most=20).sections["receptive_field"]
    assert again.figures == section.figures


def test_first_weights_are_those_of_training(trained: Path) -> None:
    run = load_run(trained)
    model = make_model(run.config.model, len(run.class_names), run.config.precision)
    state = jax.jit(lambda: init_state(model, optax.sgd(1.0), run.image_shape, run.config.seed))()
    jax.tree.map(np.testing.assert_array_equal, first_weights(run), state.variables)
    snapshots = weights_over_training(run)
    assert [snapshots[0].label, snapshots[-1].label] == ["untrained", "best"]
    epochs = [snapshot.epoch for snapshot in snapshots[1:-1]]
    assert epochs == sorted(set(epochs))


def test_first_weights_are_not_made_up(trained: Path) -> None:
    """Where they were read or made of data, nothing stands in their place."""
    run = load_run(trained)
    run.config.init_from = "elsewhere"
    assert first_weights(run) is None
    assert weights_over_training(run)[0].label != "untrained"


def test_frame_stands_around_the_box(tmp_path: Path) -> None:
    """Blue pixels of the picture bound a part that is as wide, in the image's pixels, as the box."""
    from PIL import Image

    values = np.zeros((16, 16))
    values[4:9, 6:11] = 1
    file = plot_fields(np.zeros((16, 16, 3)), [Drawn("", (2, 4, 12, 12), values, 0.5)], "", tmp_path / "fields.png")
    pixels = np.asarray(Image.open(file).convert("RGB")).astype(int)
    blue = np.abs(pixels - (0, 191, 255)).sum(-1) < 60
    white = (pixels > 205).all(-1)
    rows, columns = np.flatnonzero(blue.any(1)), np.flatnonzero(blue.any(0))
    height, width = np.ptp(rows), np.ptp(columns)
    assert abs(height / width - 10 / 8) < 0.05
    inside = white[rows[0] : rows[-1], columns[0] : columns[-1]]
    outline = np.flatnonzero(inside.any(1))
    assert abs(np.ptp(outline) / height - 5 / 10) < 0.05
