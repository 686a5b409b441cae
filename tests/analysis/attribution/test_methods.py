"""Properties of attribution maps that hold for any network, and what they refuse."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis import attribution
from cnn_jax.analysis.attribution.cams import default_layer
from cnn_jax.analysis.attribution.memory import in_chunks, rows_within
from cnn_jax.analysis.attribution.methods import METHODS
from cnn_jax.analysis.attribution.occlusion import list_windows
from cnn_jax.analysis.attribution.saliency import gradient
from cnn_jax.analysis.layers import list_layers, with_outputs
from cnn_jax.config.tree import default_config
from cnn_jax.errors import InputError
from cnn_jax.models import make_model
from tests.support.attributed import network, recorded
from tests.support.networks import image_size, shallow

QUICK: dict[str, dict[str, Any]] = {
    "rise": {"masks": 16},
    "smoothgrad": {"samples": 4},
    "integrated_gradients": {"steps": 8, "max_steps": 8},
}


@pytest.fixture(scope="module")
def residual() -> Any:
    """(apply, variables, images, targets) of a network with a global mean and one dense layer behind its maps."""
    arrays = recorded("residual")
    return (*network("residual", arrays), 255 * arrays["images"], arrays["targets"])


def test_grad_cam_is_cam(residual: Any) -> None:
    """Zhou et al. 2016: with a global mean and a dense layer, Grad-CAM is CAM / (H W), and HiResCAM the same."""
    apply, variables, images, targets = residual
    kernel, bias = (np.asarray(variables["params"]["head"]["logits"][name]) for name in ("kernel", "bias"))
    logits, outputs = with_outputs(apply, ["stage2"])(variables, jnp.asarray(images))
    maps = np.asarray(outputs["stage2"])
    cam = np.einsum("bhwk,kb->bhw", maps, kernel[:, targets]) / maps[0, ..., 0].size
    raw = {"layer": "stage2", "relu": False, "upsample": False}
    np.testing.assert_allclose(attribution.grad_cam(*residual, **raw), cam, rtol=0, atol=1e-6)
    hires = attribution.hires_cam(*residual, **raw)
    expected = np.asarray(logits)[np.arange(3), targets] - bias[targets]
    np.testing.assert_allclose(hires.sum(axis=(1, 2)), expected, rtol=0, atol=1e-5)


def test_integrated_gradients_are_complete(residual: Any) -> None:
    """Their sum is the logit less the baseline's, found here without their own figures."""
    apply, variables, images, targets = residual
    found = attribution.integrated_gradients(*residual)
    logits, dark = (np.asarray(apply(variables, jnp.asarray(x))) for x in (images, np.zeros_like(images)))
    added = (logits - dark)[np.arange(3), targets]
    gap = np.abs(found.maps.sum(axis=(1, 2, 3)) - added) / np.abs(added)
    assert gap.max() <= 1.01e-3
    np.testing.assert_allclose(found.gap, gap, rtol=0, atol=1e-4)
    assert len(set(found.steps)) > 1, "each image takes the steps that it needs"
    few = attribution.integrated_gradients(*residual, steps=2, max_steps=2)
    assert few.gap.max() > 1e-3
    assert few.steps.tolist() == [2, 2, 2]


@pytest.mark.parametrize("name", [*METHODS, "guided_backpropagation"])
def test_batch_equals_single(residual: Any, name: str) -> None:
    """In chunks that divide neither the batch nor what is done to one image; maps have the size of the images."""
    apply, variables, images, targets = residual
    method = functools.partial(getattr(attribution, name), apply, variables, **QUICK.get(name, {}))
    batch, single = method(images, targets, chunk=5), method(images[2:], int(targets[2]))
    batch, single = (getattr(maps, "maps", maps) for maps in (batch, single))
    assert batch.shape[:3] == images.shape[:3]
    assert np.abs(batch).max() > 0
    # Occlusion is a small difference of logits, each rounded.
    rounding = 1e-6 * float(np.abs(apply(variables, jnp.asarray(images))).max())
    np.testing.assert_allclose(batch[2:], single, rtol=0, atol=1e-5 * np.abs(single).max() + rounding)


def test_target_is_the_predicted_class(residual: Any) -> None:
    apply, variables, images, _ = residual
    predicted = np.asarray(apply(variables, jnp.asarray(images))).argmax(axis=1)
    one, other = (attribution.saliency(apply, variables, images, targets) for targets in (None, predicted))
    np.testing.assert_array_equal(one, other)


def test_cam_without_evidence_stays_empty(residual: Any) -> None:
    """Where nothing speaks for the class, the map is 0 and is not stretched; without relu it is what speaks against."""
    apply, variables, images, _ = residual
    against = jax.tree.map(lambda value: value, variables)
    dense = against["params"]["head"]["logits"]
    dense["kernel"] = dense["kernel"].at[:, 2].set(-1.0)
    assert attribution.grad_cam(apply, against, images, 2).max() == 0
    assert attribution.grad_cam(apply, against, images, 2, relu=False).max() < 0


@pytest.mark.parametrize(("size", "window", "stride"), [((9, 7), 3, 2), ((8, 8), 2, 1), ((10, 10), 4, 4)])
def test_windows_cover_every_pixel(size: tuple[int, int], window: int, stride: int) -> None:
    windows = list_windows(size, window, stride)
    assert windows.any(axis=0).all()
    assert windows[0].sum() == window**2
    assert windows.any(axis=(1, 2)).all()


@pytest.mark.parametrize(
    ("name", "layer"), [("mlp", None), ("lenet5", "pool2"), ("vit_tiny", None), ("resnet18", "stage2")]
)
def test_default_layer_has_maps(name: str, layer: str | None) -> None:
    """The last with more than one position; of a network of tokens or without maps there is none."""
    side = image_size(name)
    model = shallow(make_model(default_config(model=name).model, 3, in_order=True))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, side, side, 3))))
    layers = list_layers(lambda weights, x: model.apply(weights, x, train=False), variables, (side, side, 3))
    assert default_layer(layers) == layer


def test_chunks_keep_within_memory(residual: Any) -> None:
    """What the compiler reserves for one more image is no more than the estimate."""
    apply, variables, images, _ = residual
    rows = rows_within(apply, variables, images.shape[1:], limit=10 * 2**20)

    def reserved(count: int) -> int:
        shapes = jax.ShapeDtypeStruct((count, *images.shape[1:]), "float32"), jax.ShapeDtypeStruct((count,), "int32")
        return gradient.lower(apply, variables, *shapes).compile().memory_analysis().temp_size_in_bytes

    one = (reserved(64) - reserved(32)) / 32
    assert 0 < rows * one <= 10 * 2**20
    assert rows * one > 2**20, "and not so much less that it is of no use"


def test_chunks_are_of_one_size() -> None:
    sizes = []

    def double(rows: np.ndarray) -> np.ndarray:
        sizes.append(len(rows))
        return 2 * rows

    np.testing.assert_array_equal(in_chunks(double, 4, np.arange(10)), 2 * np.arange(10))
    assert sizes == [4, 4, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": 4}, "classes are 0 to 3"),
        ({"targets": [0, 1]}, "must be a class, or 3 of them"),
        ({"images": np.zeros((8, 8, 3))}, r"it must be \[B, H, W, C\]"),
        ({"layer": "stage9"}, "no layer 'stage9'; there are stem/conv"),
        ({"layer": "head/logits"}, r"gives \[4\], no maps"),
    ],
)
def test_bad_arguments_are_named(residual: Any, change: dict[str, Any], message: str) -> None:
    apply, variables, images, targets = residual
    arguments = {"images": images, "targets": targets} | change
    with pytest.raises(InputError, match=message):
        attribution.grad_cam(apply, variables, arguments.pop("images"), arguments.pop("targets"), **arguments)
