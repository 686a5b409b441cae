"""The parts `filters` and `frequency`: what they say is what the run's own figures say, for networks of every kind."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.config.tree import default_config, override
from cnn_jax.data import Examples
from cnn_jax.data.normalize import Normalization
from cnn_jax.inference.run import Run, make_apply
from cnn_jax.models import make_model
from cnn_jax.reports import filters, frequency
from cnn_jax.reports.section import Section
from cnn_jax.reports.subject import Subject


def subject_of(model: str, side: int, channels: int, folder: Path, **changes: Any) -> Subject:
    """A network with random weights, and twelve random images of three classes."""
    config = override(default_config(model=model), [(f"model.{key}", value) for key, value in changes.items()])
    made = make_model(config.model, 3)
    variables = made.init(jax.random.key(0), jnp.zeros((1, side, side, channels)))
    normalization = Normalization("half", (0.5,) * channels, (0.5,) * channels)
    run = Run(
        config, (side, side, channels), ("a", "b", "c"), normalization, dict(variables),
        make_apply(made, normalization),
    )  # fmt: skip
    images = np.random.RandomState(0).randint(0, 256, (12, side, side, channels)).astype(np.uint8)
    return Subject(run, Examples(images, np.arange(12, dtype=np.int32) % 3), "test", None, folder, 12)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> tuple[Subject, Section]:
    from cnn_jax.inference.evaluation_data import load_evaluation_data
    from cnn_jax.inference.run import load_run

    run = load_run(trained)
    chosen = load_evaluation_data(run, "test", None)
    subject = Subject(run, chosen.examples, "test", None, tmp_path_factory.mktemp("plots"), 40)
    return subject, frequency.analyze(subject)


def test_frequency_says_what_the_run_says(digits: tuple[Subject, Section]) -> None:
    """All waves are the image, and no wave is one image for all; figures are finite, and pictures are there."""
    subject, section = digits
    figures = json.loads(json.dumps(section.figures, allow_nan=False))
    correct = int((subject.sample_probabilities.argmax(1) == subject.sample.labels).sum())
    accuracy = figures["accuracy"]
    assert accuracy["whole"]["correct"] == correct
    assert accuracy["low_pass"][0]["below"] == 1.0
    assert len(accuracy["band_pass"]) == len(accuracy["low_pass"]) - 1
    assert figures["heat_map"]["images"] - figures["heat_map"]["wrong_without"] == correct
    assert figures["heat_map"]["norm"] == 1.0
    assert np.shape(figures["heat_map"]["wrong"]) == (8, 8)
    assert [(each["layer"], each["stride"]) for each in figures["strides"]] == [("block1/pool", 2), ("block2/pool", 4)]
    assert f"{accuracy['whole']['accuracy']:.1%}" in section.lead[0]
    assert len(section.pictures) == 4
    assert all(each.file.stat().st_size > 5000 for each in section.pictures)


def test_filters_report_of_the_digits(digits: tuple[Subject, Section]) -> None:
    subject, _ = digits
    section = filters.analyze(subject)
    kernels = json.loads(json.dumps(section.figures, allow_nan=False))["kernels"]
    assert kernels["layer"] == "block1/conv1"
    assert [each["kernel"] for each in kernels["each"]] == list(range(8))
    assert kernels["close"] == sum(each["close"] for each in kernels["each"])
    assert sum(each["kernels"] for each in kernels["kinds"]) == 8
    assert len(section.pictures) == 3


def test_planted_kernels_are_reported(tmp_path: Path) -> None:
    """Sobel filters in all kernels but one of zeros: found, named and counted."""
    subject = subject_of("cnn", 8, 1, tmp_path, filters=(5,), hidden=())
    planted = np.repeat(filters.FILTERS["Sobel, down"]()[:, :, None, None], 5, 3)
    planted[..., 4] = 0
    subject.variables["params"]["block1"]["conv1"]["kernel"] = jnp.asarray(planted)
    section = filters.analyze(subject)
    assert section.figures["kernels"]["kinds"][0] == {"kind": "Sobel", "kernels": 4, "similarity": pytest.approx(1)}
    assert "4 are closer" in section.lead[0]
    assert "Sobel 90, 1.00" in section.lead[1]
    assert json.dumps(section.figures, allow_nan=False)


def test_networks_without_kernels_say_so(tmp_path: Path) -> None:
    subject = subject_of("mlp", 6, 3, tmp_path)
    section = filters.analyze(subject)
    assert section.lead == ("This network (mlp) has no convolution, and so no filters of its own.",)
    assert len(section.pictures) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("model", "side"), [("mlp", 6), ("lenet5", 28), ("resnet20", 16), ("vit_tiny", 32)])
def test_every_kind_of_network_is_reported(tmp_path: Path, model: str, side: int) -> None:
    subject = subject_of(model, side, 3, tmp_path)
    for part in (filters, frequency):
        section = part.analyze(subject)
        assert json.dumps(section.figures, allow_nan=False)
        assert all(each.file.exists() for each in section.pictures)
    assert ("nothing folds" in section.lead[-1]) == (model == "mlp")
