"""Training that starts from published weights, or from a file of weights."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from cnn_jax.data.normalize import Normalization
from cnn_jax.errors import InputError
from cnn_jax.experiment import published
from cnn_jax.experiment.fitting import build
from cnn_jax.experiment.published import normalization_of
from cnn_jax.experiment.warm_start import WarmStart, read_init_from, read_start
from cnn_jax.models import make_model, variable_shapes
from cnn_jax.models.pretrained.catalog import WEIGHTS, PublishedWeights
from cnn_jax.models.pretrained.exporting import export_safetensors
from cnn_jax.runtime.folders import cache_folder
from tests.support.helpers import refusal, tiny_config

SMALL = {"name": "mobilenet_v2", "width_multiplier": 0.1}
FIGURES = Normalization("imagenet", (0.5,) * 3, (0.25,) * 3)
HEAD = ("params", "head", "logits", "kernel")


def variables_of(classes: int, channels: int = 3) -> tuple[Any, Any]:
    model = make_model(SMALL, classes)
    shapes, draw = variable_shapes(model, (32, 32, channels)), np.random.default_rng(0)
    return model, jax.tree.map(lambda leaf: draw.uniform(0.5, 1.0, leaf.shape).astype(np.float32), shapes)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a small MobileNetV2 with 20 classes, under torchvision's names."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    export_safetensors(path, "mobilenet_v2", *variables_of(20), "torchvision")
    return path


@pytest.fixture
def entry(weights: Path, monkeypatch: pytest.MonkeyPatch) -> PublishedWeights:
    """The same file as published weights "small", which are in the cache."""
    content = weights.read_bytes()
    made = dataclasses.replace(
        WEIGHTS["mobilenet_v2"], name="small", url="https://example.invalid/small.safetensors", package=None,
        sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3),
    )  # fmt: skip
    table = {**WEIGHTS, "small": made}
    monkeypatch.setattr(published, "WEIGHTS", table)
    monkeypatch.setattr(published.find_weights, "__defaults__", (None, table, *published.find_weights.__defaults__[2:]))
    place = cache_folder() / "weights" / made.file_name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return made


def read(source: str | Path, classes: int = 20, channels: int = 3, name: str = "mobilenet_v2") -> WarmStart:
    model = make_model(SMALL, classes)
    return read_init_from(source, name, model, (32, 32, channels), tuple(map(str, range(classes))), FIGURES)


def test_with_as_many_classes_all_is_taken(weights: Path) -> None:
    given, start = variables_of(20)[1], read(weights)
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (given, start.variables)), strict=True))
    assert start.notes == (f"init_from={weights}: the weights of this file",)


def test_with_others_the_last_layer_is_new(weights: Path) -> None:
    start = read(weights, classes=3)
    assert "head" not in start.variables["params"]
    assert start.notes[1] == "head/logits is new: the weights are for 20 classes, the network for 3"


def test_gray_images_get_the_sum_of_the_colors(weights: Path) -> None:
    start, given = read(weights, channels=1), variables_of(20)[1]
    kernel = given["params"]["stem"]["conv"]["kernel"]
    np.testing.assert_allclose(
        start.variables["params"]["stem"]["conv"]["kernel"], kernel.sum(axis=2, keepdims=True), rtol=1e-6
    )
    assert "1 channels from weights for 3" in start.notes[1]


def test_published_weights_go_by_name(entry: PublishedWeights) -> None:
    start = read("small")
    assert start.notes[0] == "init_from=small: published weights, ImageNet accuracy 71.878 % as stated (BSD-3-Clause)"
    assert normalization_of("small", 3) == Normalization("pretrained", entry.mean, entry.std)
    gray = normalization_of("small", 1)
    np.testing.assert_allclose((*gray.mean, *gray.std), (0.5, 0.2))


def test_an_experiment_on_published_weights(entry: PublishedWeights) -> None:
    """From their name to a state that is their own, and to pixels that are normalised as for them."""
    config = tiny_config(
        init_from="small", data__image_size=(32, 32), data__channels=3, data__normalization="pretrained"
    )
    with config.unlocked():
        config.model = SMALL | {"origin": "torchvision", "dropout": 0.2}
    experiment = build(config)
    assert experiment.normalization.std == entry.std
    start = read_start(experiment)
    assert start is not None
    assert "head" not in start.variables["params"]
    config.model.origin = "tensorflow"
    assert "these weights are of origin torchvision; set model.origin=torchvision" in refusal(read_start, build(config))


@pytest.mark.parametrize(
    ("source", "arguments", "expected"),
    [
        ("resnet50", {}, "these are weights of resnet50; set model.name=resnet50"),
        ("mobilenet_v3_smal", {}, "published weights of nearly that name: mobilenet_v3_small"),
        ("missing.pth", {}, "missing.pth"),
        ("no/such/run", {}, "no/such/run"),
    ],
)
def test_refusals(source: str, arguments: dict[str, Any], expected: str) -> None:
    line = refusal(read, source, **arguments)
    assert line.startswith(f"config.init_from='{source}': ")
    assert expected in line


@pytest.mark.parametrize(("mean", "normalization"), [((0.485, 0.456, 0.406), "imagenet"), ((0.5, 0.5, 0.5), "half")])
def test_without_a_network_a_file_will_do(
    entry: PublishedWeights, monkeypatch: pytest.MonkeyPatch, mean: tuple[float, ...], normalization: str
) -> None:
    """A file does not say how pixels were normalised, but these weights are known."""

    def unreachable(*_: Any) -> Path:
        raise InputError("the weights 'small' cannot be downloaded: fetch URL and put it at PLACE")

    monkeypatch.setitem(published.WEIGHTS, "small", dataclasses.replace(entry, mean=mean))
    monkeypatch.setattr(published, "find_weights", unreachable)
    flags = f"--config.init_from=FILE --config.data.normalization={normalization}"
    assert refusal(read, "small").endswith(f"PLACE, or take a file of these weights that you have: {flags}")


def test_a_file_of_another_network(weights: Path) -> None:
    model = make_model({"name": "efficientnet_lite0"}, 3)
    line = refusal(read_init_from, weights, "efficientnet_lite0", model, (32, 32, 3), ("a", "b", "c"), FIGURES)
    assert line.startswith(f"config.init_from='{weights}': these are no weights of efficientnet_lite0")


def test_a_file_does_not_say_how_pixels_were(weights: Path) -> None:
    assert "choose --config.data.normalization=imagenet, half" in refusal(normalization_of, str(weights), 3)


@pytest.mark.parametrize(
    ("init_from", "normalization", "expected"),
    [
        ("weights.pth", "pretrained", "config.init_from='weights.pth': there is no such file"),
        ("weights.pth", "imagenet", "config.init_from='weights.pth': there is no such file"),
        ("mobilenet_v2_", "pretrained", "(it has no config.json); published weights of nearly that name: mobilenet_v2"),
        ("resnet50", "imagenet", "config.init_from='resnet50': these are weights of resnet50; set model.name=resnet50"),
        ("FILE", "pretrained", "is a file, which does not say how its pixels were normalised"),
        (None, "pretrained", "it is that of init_from, which is not set"),
    ],
)
def test_it_is_looked_at_before_the_images(
    weights: Path, monkeypatch: pytest.MonkeyPatch, init_from: str | None, normalization: str, expected: str
) -> None:
    """What a misspelt name is does not depend on the data, of which there may be many."""
    monkeypatch.setattr("cnn_jax.data.load", lambda *_: pytest.fail("images are read"))
    source = str(weights) if init_from == "FILE" else init_from
    config = tiny_config(init_from=source, data__normalization=normalization)
    assert expected in refusal(build, config)


def test_a_run_says_how_pixels_were(trained: Path) -> None:
    assert normalization_of(str(trained), 1).name == "dataset"
    assert "set data.channels=1" in refusal(normalization_of, str(trained), 3)
