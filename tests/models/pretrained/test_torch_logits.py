"""Weights under the names of other libraries give the logits that those libraries give, and come back to the bit."""

import dataclasses
import re
from typing import Any

import jax
import numpy as np
import pytest

from cnn_jax.models import make_table
from cnn_jax.models.pretrained.exporting import to_state_dict
from cnn_jax.models.pretrained.importing import from_state_dict, name_map
from cnn_jax.models.pretrained.layouts import LAYOUTS
from cnn_jax.models.pretrained.naming import arrays_of
from tests.support.helpers import QUICK
from tests.support.made_up_weights import made_up_images
from tests.support.torch_logits import FOLDER, HUGE, RECORDED, SLOW, network, recorded, shapes_of

SMOOTH = ("convnext", "vit", "coatnet")  # so much nearer that another GELU shows


def logits(model: Any, variables: Any, images: np.ndarray) -> np.ndarray:
    return np.asarray(jax.jit(model.apply, compiler_options=QUICK)(variables, images))


def count_multiply_adds(file: str, size: int) -> int:
    name, arguments = RECORDED[file]
    return make_table(network(name, arguments, 1000), (size, size, 3)).multiply_adds


@pytest.mark.parametrize("file", SLOW)
def test_keys_and_shapes_are_the_librarys(file: str) -> None:
    """Of those whose logits take long."""
    name, arguments = RECORDED[file]
    truth = recorded(file)
    shapes = shapes_of(network(name, arguments, 16), size=truth.size)
    names = name_map(name, file.partition("_")[0], shapes)
    ours = {array.key: array.shape for array in arrays_of(names, shapes).values()}
    assert ours == {key: shape for key, shape in truth.shapes.items() if not re.fullmatch(names.no_weights, key)}
    assert file in HUGE or count_multiply_adds(file, truth.counted_size) == truth.multiply_adds


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, marks=pytest.mark.slow if file in SLOW else ()) for file in RECORDED if file not in HUGE],
)
def test_logits_are_the_librarys(file: str) -> None:
    """And the state dict is the same again: its keys and values; and its multiply-adds are torch's."""
    name, arguments = RECORDED[file]
    truth, model = recorded(file), network(name, arguments, 16)
    state_dict = truth.state_dict
    imported = from_state_dict(name, shapes_of(model, size=truth.size), state_dict)
    assert LAYOUTS[name][imported.library] is LAYOUTS[name][file.partition("_")[0]]
    assert imported.notes == ()
    ours = logits(model, imported.variables, made_up_images(2, truth.size))
    scale = np.abs(truth.logits).max()
    assert np.abs(ours - truth.logits).max() < (1e-5 if name.startswith(SMOOTH) else 1e-4) * scale
    assert np.abs(truth.logits[0] - truth.logits[1]).max() > 1e-2 * scale  # they depend on the images

    again = to_state_dict(name, imported.variables, imported.library)
    assert set(again) == set(state_dict)
    assert all(again[key].dtype == value.dtype for key, value in state_dict.items())
    assert all(np.array_equal(again[key], value) for key, value in state_dict.items())
    assert count_multiply_adds(file, truth.counted_size) == truth.multiply_adds


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "padding of v2": ("torchvision_mobilenet_v2", {"padding_mode": "same"}),
    "epsilon of v2": ("torchvision_mobilenet_v2", {"epsilon": 1e-3}),
    "order of colours": ("torchvision_mobilenet_v2", {}),
    "padding of lite0": ("timm_tf_efficientnet_lite0", {"padding_mode": "zero"}),
    "epsilon of lite0": ("timm_tf_efficientnet_lite0", {"epsilon": 1e-5}),
    "activation of lite0": ("timm_tf_efficientnet_lite0", {}),
    "epsilon of v3": ("torchvision_mobilenet_v3_small", {"epsilon": 1e-5}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_choice_gives_other_logits(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file of weights does not say: each of these is seen, so that the agreement above means something."""
    file, changes = WRONG[wrong]
    truth, (name, arguments) = recorded(file), RECORDED[file]
    model: Any = network(name, arguments, 16)
    imported = from_state_dict(name, shapes_of(model, size=truth.size), truth.state_dict)
    monkeypatch.setitem(model.origins, "wrong", dataclasses.replace(model.origins[model.origin], **changes))
    model = model.clone(origin="wrong")
    if wrong.startswith("activation"):
        model = model.clone(activation=jax.nn.relu)
    images = made_up_images(2, truth.size)
    ours = logits(model, imported.variables, images[..., ::-1] if wrong.startswith("order") else images)
    assert np.abs(ours - truth.logits).max() > 1e-2 * np.abs(truth.logits).max()


def test_what_is_recorded_is_compared() -> None:
    assert {path.stem for path in FOLDER.glob("*.npz") if not path.stem.startswith("photographs_")} == set(RECORDED)
