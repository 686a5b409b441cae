"""Maps equal those of Captum and pytorch-grad-cam on the same weights."""

from typing import Any

import numpy as np
import pytest

from cnn_jax.analysis import attribution
from tests.support.attributed import network, recorded

GRAY = 0.25 * 255  # what Captum's baseline and occlusion were given
LAYERS = {"plain": ("block1", "block2"), "residual": ("stage1/block1", "stage2")}


@pytest.fixture(scope="module", params=["plain", "residual"])
def case(request: pytest.FixtureRequest) -> tuple[str, dict[str, np.ndarray], Any]:
    arrays = recorded(request.param)
    arguments = (*network(request.param, arrays), 255 * arrays["images"], arrays["targets"])
    return request.param, arrays, arguments


def assert_close(maps: np.ndarray, expected: np.ndarray) -> None:
    """Within 1e-4 of the scale of each image's map."""
    assert maps.shape == expected.shape
    scale = np.abs(expected).reshape(len(expected), -1).max(axis=1).reshape(-1, *[1] * (expected.ndim - 1))
    assert scale.min() > 1e-3
    np.testing.assert_allclose(maps / scale, expected / scale, rtol=0, atol=1e-4)


def test_logits(case: Any) -> None:
    _, arrays, (apply, variables, images, _) = case
    np.testing.assert_allclose(apply(variables, images), arrays["logits"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "scale"),
    [
        ("saliency", {}, 255),  # the libraries' gradient is that for pixels in 0..1
        ("guided_backpropagation", {}, 255),
        ("input_x_gradient", {}, 1),
        ("integrated_gradients", {"baseline": GRAY, "steps": 24, "max_steps": 24}, 1),
        ("smoothgrad", {"level": 0.2}, 255),
        ("occlusion", {"window": 3, "stride": 2, "fill": GRAY}, 1),
    ],
)
def test_maps_of_captum(case: Any, name: str, options: dict[str, Any], scale: float) -> None:
    _, arrays, arguments = case
    if name == "smoothgrad":
        options = options | {"noise": arrays["noise"]}
    maps = getattr(attribution, name)(*arguments, **options)
    assert_close(scale * getattr(maps, "maps", maps), arrays[name])


@pytest.mark.parametrize("name", ["grad_cam", "grad_cam_plus_plus", "hires_cam"])
@pytest.mark.parametrize("layer", [0, 1])
def test_maps_of_grad_cam(case: Any, name: str, layer: int) -> None:
    network, arrays, arguments = case
    cam = getattr(attribution, name)(*arguments, layer=LAYERS[network][layer], relu=False, upsample=False)
    assert_close(cam, arrays[f"{name}/block{layer + 1}"])
