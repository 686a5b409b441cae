"""Filters equal SciPy's and scikit-image's to 1e-6, for every kernel and edge mode, and keep their defining facts."""

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from cnn_jax.analysis import filters
from cnn_jax.analysis.filters import FILTERS, apply_filter, gradient_magnitude
from tests.support.helpers import ROOT, refusal

SCIPY_MODES = {"zero": "constant", "same": "constant", "extend": "nearest", "reflect": "mirror", "wrap": "wrap"}
DERIVATIVES: dict[str, Callable[[int], np.ndarray]] = {
    name: getattr(filters, name) for name in ("sobel", "scharr", "prewitt", "farid")
}
SUM = {"Gaussian, sigma 1": 1, "sharpen": 1, "emboss": 1}


@pytest.fixture(scope="module")
def skimage() -> dict[str, np.ndarray]:
    """What scikit-image 0.26 computed; see tests/tools/record_skimage_filters.py."""
    with np.load(ROOT / "tests/fixtures/skimage_filters.npz", allow_pickle=False) as stored:
        return dict(stored)


@pytest.fixture(scope="module", params=[1, 3])
def images(request: pytest.FixtureRequest) -> np.ndarray:
    return np.random.RandomState(1).uniform(size=(2, 15, 17, request.param)).astype(np.float32)


@pytest.mark.parametrize("mode", [*SCIPY_MODES, "crop"])
@pytest.mark.parametrize("name", FILTERS)
def test_filters_equal_scipy(images: np.ndarray, name: str, mode: str) -> None:
    kernel = FILTERS[name]()
    wanted = ndimage.correlate(
        images.astype(np.float64), kernel.astype(np.float64)[None, :, :, None], mode=SCIPY_MODES.get(mode, "constant")
    )
    if mode == "crop":
        down, across = (side // 2 for side in kernel.shape)
        wanted = wanted[:, down : 15 - down, across : 17 - across]
    np.testing.assert_allclose(apply_filter(images, kernel, mode), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["zero", "extend", "reflect", "wrap"])
def test_filters_equal_skimage(skimage: dict[str, np.ndarray], mode: str) -> None:
    image = skimage["image"][None, :, :, None]

    def check(name: str, found: np.ndarray) -> None:
        np.testing.assert_allclose(found[0, ..., 0], skimage[f"{name}/{mode}"], rtol=0, atol=1e-6, err_msg=name)

    for name, derivative in DERIVATIVES.items():
        check(name, gradient_magnitude(image, derivative, mode))
        for axis in (0, 1):
            check(f"{name}{axis}", apply_filter(image, derivative(axis), mode))
    check("gaussian", apply_filter(image, filters.gaussian(1.0), mode))
    check("gabor0", apply_filter(image, filters.gabor(0.25, 0.0, 1.3), mode))
    check("gabor_odd", apply_filter(image, filters.gabor(0.3, 0.7, 1.3, math.pi / 2), mode))


def test_others_equal_skimage(skimage: dict[str, np.ndarray]) -> None:
    """Inside the image, as these have one edge mode only; scikit-image's Laplacian has the other sign."""
    image = skimage["image"][None, :, :, None]
    inside = functools.partial(apply_filter, padding_mode="crop")
    np.testing.assert_allclose(
        -inside(image, filters.laplacian())[0, ..., 0], skimage["laplace/inside"], rtol=0, atol=1e-6
    )
    sharp = inside(image, filters.sharpen(0.7))[0, ..., 0]
    np.testing.assert_allclose(sharp, skimage["sharpen/inside"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(filters.gabor(0.2, 0.4), skimage["gabor_kernel"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in FILTERS if "Gabor" not in name])
def test_kernels_sum_to_one_or_zero(name: str) -> None:
    """1 of what keeps the brightness, 0 of what sees only changes."""
    assert math.fsum(FILTERS[name]().ravel().tolist()) == pytest.approx(SUM.get(name, 0), abs=1e-6)


@pytest.mark.parametrize(("name", "slope"), [("sobel", 2), ("scharr", 2), ("prewitt", 2), ("farid", 0.991797)])
def test_slope_of_a_ramp(name: str, slope: float) -> None:
    """On a ramp of slope 1: central differences span two pixels; across the ramp there is nothing."""
    ramp = np.tile(np.arange(9, dtype=np.float32), (9, 1))[None, :, :, None]
    right, down = (apply_filter(ramp, DERIVATIVES[name](axis), "crop") for axis in (1, 0))
    np.testing.assert_allclose(right, slope, rtol=0, atol=5e-6)
    np.testing.assert_allclose(down, 0, rtol=0, atol=1e-5)


def test_variances_of_gaussians_add() -> None:
    """Twice a Gaussian is one whose variance is the sum: on a point, within what truncation leaves out."""
    point = np.zeros((1, 41, 41, 1), np.float32)
    point[0, 20, 20] = 1
    twice = np.asarray(apply_filter(apply_filter(point, filters.gaussian(1.5)), filters.gaussian(2.0)))[0, ..., 0]
    places = np.arange(41) - 20
    assert (twice.sum(0) * places**2).sum() == pytest.approx(1.5**2 + 2.0**2, rel=2e-3)


@pytest.mark.parametrize("name", ["Gaussian, sigma 1", "Sobel, to the right", "Farid, to the right"])
def test_separable_filters_are_two_lines(images: np.ndarray, name: str) -> None:
    kernel = FILTERS[name]()
    up, size, across = np.linalg.svd(kernel)
    assert size[1] < 1e-6 * size[0]
    lines = apply_filter(apply_filter(images, size[0] * up[:, :1]), across[:1])
    np.testing.assert_allclose(lines, apply_filter(images, kernel), rtol=0, atol=1e-6)


def test_sharpen_adds_what_blurring_takes(images: np.ndarray) -> None:
    blurred = apply_filter(images, filters.gaussian(1.0), "reflect")
    wanted = images + 1.5 * (images - blurred)
    np.testing.assert_allclose(apply_filter(images, filters.sharpen(1.5), "reflect"), wanted, rtol=0, atol=1e-6)


def test_wrong_arguments_are_one_line(images: np.ndarray) -> None:
    assert "must be one of zero, extend, reflect, wrap, crop, same" in refusal(
        apply_filter, images, filters.laplacian(), "mirror"
    )
    assert "these have shapes (15, 17" in refusal(apply_filter, images[0], filters.laplacian())
    assert "sigma=0: it must be above 0" in refusal(filters.gaussian, 0.0)
    assert "axis=2" in refusal(filters.sobel, 2)
