"""A state dict is taken whole or not at all; what another task changes is said."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.models.pretrained import rules
from cnn_jax.models.pretrained.exporting import export_safetensors, to_state_dict
from cnn_jax.models.pretrained.importing import from_state_dict
from cnn_jax.models.pretrained.layouts import LAYOUTS
from cnn_jax.models.pretrained.naming import NameMap, arrays_of, module_paths
from tests.support.helpers import refusal
from tests.support.torch_logits import network, shapes_of

FIRST, LAST = "features.0.0.weight", "classifier.1.weight"


@pytest.fixture(scope="module")
def shapes() -> Any:
    return shapes_of(network("mobilenet_v2", {}, 5))


@pytest.fixture(scope="module")
def state_dict(shapes: Any) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    made = jax.tree.map(lambda leaf: draw.normal(size=leaf.shape).astype(np.float32), shapes)
    return to_state_dict("mobilenet_v2", made, "torchvision")


def test_all_that_does_not_fit_is_listed(shapes: Any, state_dict: dict[str, np.ndarray]) -> None:
    keys = [key for key in state_dict if "num_batches" not in key]
    wrong = {key: state_dict[key] for key in keys[5:]} | {"fc.weight": np.zeros(3), LAST: np.zeros((1000, 1280))}
    line = refusal(from_state_dict, "mobilenet_v2", shapes, wrong)
    assert f"5 missing ({keys[0]}, {keys[1]}, {keys[2]}, ...)" in line
    assert "1 unexpected (fc.weight)" in line
    assert f"1 of another shape ({LAST} (1000, 1280) for (5, 1280))" in line
    assert "none is loaded" in line


def test_weights_of_other_networks_are_told_apart(shapes: Any, state_dict: dict[str, np.ndarray]) -> None:
    line = refusal(from_state_dict, "mobilenet_v2", shapes, {"layer1.0.conv1.weight": np.zeros(1)})
    assert "they have 'layer1.0.conv1.weight'; known are those of torchvision ('classifier.1.bias'), timm (" in line
    assert "they have no arrays at all" in refusal(from_state_dict, "mobilenet_v2", shapes, {})
    assert "'keras' are not known; there are torchvision, timm" in refusal(
        from_state_dict, "mobilenet_v2", shapes, state_dict, "keras"
    )
    assert "no published weights are known for 'lenet5'" in refusal(from_state_dict, "lenet5", shapes, state_dict)


def test_counters_of_batches_may_be_missing(shapes: Any, state_dict: dict[str, np.ndarray]) -> None:
    """Files of PyTorch before 0.4.1 have none; half precision is widened."""
    old = {key: value.astype(np.float16) for key, value in state_dict.items() if "num_batches" not in key}
    imported = from_state_dict("mobilenet_v2", shapes, old)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(imported.variables)} == {"float32"}
    kernel = imported.variables["params"]["stem"]["conv"]["kernel"]
    assert np.array_equal(kernel, old[FIRST].transpose(2, 3, 1, 0).astype(np.float32))


def test_another_number_of_classes(shapes: Any, state_dict: dict[str, np.ndarray]) -> None:
    """The last layer is the network's own, all before it is the file's; said once."""
    variables = jax.tree.map(lambda leaf: np.full(leaf.shape, 7, leaf.dtype), shapes_of(network("mobilenet_v2", {}, 3)))
    assert "2 of another shape" in refusal(from_state_dict, "mobilenet_v2", variables, state_dict)
    imported = from_state_dict("mobilenet_v2", variables, state_dict, other_classes=True)
    assert imported.notes == ("head/logits is new: the weights are for 5 classes, the network for 3",)
    params = imported.variables["params"]
    assert (params["head"]["logits"]["kernel"] == 7).all()
    assert np.array_equal(params["stem"]["conv"]["kernel"], state_dict[FIRST].transpose(2, 3, 1, 0))
    other_width = {**state_dict, LAST: np.zeros((5, 640), np.float32)}
    assert "(5, 640) for (3, 1280)" in refusal(
        from_state_dict, "mobilenet_v2", variables, other_width, other_classes=True
    )


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_another_number_of_channels(channels: int, state_dict: dict[str, np.ndarray]) -> None:
    """timm's rule: the sum for one, so that gray images count as three equal channels; else repeated and scaled."""
    shapes = shapes_of(network("mobilenet_v2", {}, 5), channels)
    assert FIRST in refusal(from_state_dict, "mobilenet_v2", shapes, state_dict)
    imported = from_state_dict("mobilenet_v2", shapes, state_dict, other_channels=True)
    assert imported.notes == (f"stem/conv is made for images of {channels} channels from weights for 3",)
    ours, theirs = imported.variables["params"]["stem"]["conv"]["kernel"], state_dict[FIRST]
    want = theirs.sum(1, keepdims=True) if channels == 1 else np.tile(theirs, (1, 2, 1, 1))[:, :channels] * 3 / channels
    np.testing.assert_allclose(ours.transpose(3, 2, 0, 1), want, rtol=1e-6, atol=1e-6)
    only_two = {**state_dict, FIRST: state_dict[FIRST][:, :2]}
    if channels != 2:
        assert FIRST in refusal(from_state_dict, "mobilenet_v2", shapes, only_two, other_channels=True)


def test_flattened_maps_have_another_order_there() -> None:
    """A dense layer of PyTorch, applied to flattened NCHW maps, against its kernel here on flattened NHWC maps."""
    draw = np.random.default_rng(0)
    maps, weight = draw.normal(size=(4, 2, 3, 5)), draw.normal(size=(7, 5 * 2 * 3))
    theirs = maps.transpose(0, 3, 1, 2).reshape(4, -1) @ weight.T
    rule = rules.flattened(5, 2, 3)
    kernel = rule.to_flax(weight)
    np.testing.assert_allclose(maps.reshape(4, -1) @ kernel, theirs, rtol=1e-12)
    assert np.array_equal(rule.to_torch(kernel), weight)
    as_convolution = rules.flattened(5, 2, 3, is_convolution=True)
    assert np.array_equal(as_convolution.to_flax(weight.reshape(7, 5, 2, 3)), kernel)
    assert np.array_equal(as_convolution.to_torch(kernel), weight.reshape(7, 5, 2, 3))


@pytest.mark.parametrize(
    ("name", "library", "channels", "size"),
    [("alexnet", "torchvision", 256, 6), ("vgg11", "torchvision", 512, 7), ("vgg16_bn", "timm", 512, 7)],
)
def test_heads_take_flattened_maps(name: str, library: str, channels: int, size: int) -> None:
    """One unit of the first hidden layer, on maps in NCHW there, in NHWC here."""
    rule = LAYOUTS[name][library](module_paths(shapes_of(network(name, {}, 3)))).kernels["head/hidden1"]
    draw = np.random.default_rng(0)
    maps, weight = draw.normal(size=(1, channels, size, size)), draw.normal(size=(1, channels, size, size))
    kernel = rule.to_flax(weight if library == "timm" else weight.reshape(1, -1))
    np.testing.assert_allclose(maps.transpose(0, 2, 3, 1).reshape(1, -1) @ kernel, (maps * weight).sum(), rtol=1e-9)


# The first of those that have the same; the names of the others are recorded (test_torch_logits.py).
OF_LAYOUTS = {id(layouts): name for name, layouts in reversed(LAYOUTS.items())}.values()


@pytest.mark.parametrize("name", OF_LAYOUTS)
def test_layouts_name_every_module_and_no_other(name: str) -> None:
    shapes = shapes_of(network(name, {}, 3))
    for layout in LAYOUTS[name].values():
        names = layout(module_paths(shapes))
        assert set(names.modules) == {*module_paths(shapes)} - {path.rpartition("/")[0] for path in names.leaves}
        assert set(names.kernels) <= set(names.modules)
        assert {names.first, names.last} <= set(names.modules)
        assert len(arrays_of(names, shapes)) == len(jax.tree.leaves(shapes))


def test_names_of_the_authors_of_convnext() -> None:
    """Their code: stem and halvings in one list, convolution and LayerNorm in turns; blocks in another."""
    shapes = shapes_of(network("convnext_tiny", {}, 3).clone(depths=(1, 2), widths=(8, 16)))
    stem, halving, blocks = "downsample_layers.0", "downsample_layers.1", ("stages.0.0", "stages.1.0", "stages.1.1")
    keys = {
        f"{stem}.0": (8, 3, 4, 4), f"{stem}.1": (8,), f"{halving}.0": (8,), f"{halving}.1": (16, 8, 2, 2),
        "norm": (16,), "head": (3, 16),
    }  # fmt: skip
    for block, width in zip(blocks, (8, 16, 16), strict=True):
        keys |= {f"{block}.dwconv": (width, 1, 7, 7), f"{block}.norm": (width,)}
        keys |= {f"{block}.pwconv1": (4 * width, width), f"{block}.pwconv2": (width, 4 * width)}
    biases = {f"{key}.bias": shape[:1] for key, shape in keys.items()}
    scales = {f"{block}.gamma": (width,) for block, width in zip(blocks, (8, 16, 16), strict=True)}
    theirs = {f"{key}.weight": shape for key, shape in keys.items()} | biases | scales
    draw = np.random.default_rng(0)
    state_dict = {key: draw.normal(size=shape).astype(np.float32) for key, shape in theirs.items()}
    imported = from_state_dict("convnext_tiny", shapes, state_dict)
    assert imported.library == "facebookresearch"
    block = imported.variables["params"]["stage2"]["block2"]
    assert np.array_equal(block["mlp"]["expand"]["kernel"], state_dict["stages.1.1.pwconv1.weight"].T)
    assert np.array_equal(block["layer_scale"]["scale"], state_dict["stages.1.1.gamma"])
    halved = imported.variables["params"]["stage2"]["block1"]["downsample"]
    assert np.array_equal(halved["norm"]["scale"], state_dict["downsample_layers.1.0.weight"])
    again = to_state_dict("convnext_tiny", imported.variables, imported.library)
    assert again.keys() == state_dict.keys()
    assert all(np.array_equal(again[key], value) for key, value in state_dict.items())


def test_safetensors_hold_the_arrays_and_what_they_do_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shapes: Any, state_dict: dict[str, np.ndarray]
) -> None:
    """The format's own description: a length, a JSON header, arrays in a row. A failure leaves what was there."""
    model = network("mobilenet_v2", {"origin": "tensorflow"}, 5)
    variables = from_state_dict("mobilenet_v2", shapes, state_dict).variables
    path = tmp_path / "new" / "model.safetensors"
    export_safetensors(path, "mobilenet_v2", model, variables, "torchvision", {"size": 224})
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    metadata = header.pop("__metadata__")
    assert metadata["format"] == "pt"
    assert (metadata["network"], metadata["library"]) == ("mobilenet_v2", "torchvision")
    assert (float(metadata["epsilon"]), metadata["padding_mode"]) == (1e-3, "same")
    assert json.loads(metadata["preprocessing"]) == {"size": 224}
    assert set(header) == set(state_dict)
    spans = sorted(entry["data_offsets"] for entry in header.values())
    assert [end for _, end in spans] == [*(begin for begin, _ in spans[1:]), len(raw) - start]
    for key, entry in header.items():
        begin, end = entry["data_offsets"]
        dtype = {"F32": np.float32, "I64": np.int64}[entry["dtype"]]
        assert np.array_equal(
            np.frombuffer(raw[start + begin : start + end], dtype).reshape(entry["shape"]), state_dict[key]
        )

    def fails(*paths: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(OSError, match="no space left"):
        export_safetensors(path, "mobilenet_v2", model, variables, "timm")
    assert [*path.parent.iterdir()] == [path]
    assert path.read_bytes() == raw


def test_exported_arrays_of_jax_are_taken(shapes: Any, state_dict: dict[str, np.ndarray]) -> None:
    variables = jax.tree.map(jnp.asarray, from_state_dict("mobilenet_v2", shapes, state_dict).variables)
    again = to_state_dict("mobilenet_v2", variables, "torchvision")
    assert all(np.array_equal(again[key], value) for key, value in state_dict.items())


def test_a_parameter_may_stand_alone_there() -> None:
    """A layer scale [C] that is [C, 1, 1] there; a module without a name, and a name given twice, are refused."""
    variables = {"params": {"stage1": {"layer_scale": np.arange(4.0)}, "stem": {"conv": {"bias": np.zeros(2)}}}}
    path = ("params", "stage1", "layer_scale")
    scale = {"stage1/layer_scale": ("features.1.0.layer_scale", rules.PER_CHANNEL)}
    found = arrays_of(NameMap({"stem/conv": "features.0.0"}, leaves=scale), variables)[path]
    assert (found.key, found.shape) == ("features.1.0.layer_scale", (4, 1, 1))
    assert np.array_equal(found.rule.to_flax(found.rule.to_torch(np.arange(4.0))), np.arange(4.0))
    with pytest.raises(ValueError, match="no name is known for stem/conv/bias"):
        arrays_of(NameMap({}, leaves=scale), variables)
    twice = {"stage1/layer_scale": ("features.0.0.bias", rules.AS_IT_IS)}
    with pytest.raises(ValueError, match="same key"):
        arrays_of(NameMap({"stem/conv": "features.0.0"}, leaves=twice), variables)
