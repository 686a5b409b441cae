"""Colours, blur and the operations of the policies, against Pillow, colorsys and SciPy."""

import colorsys
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage

from cnn_jax.data.augment import colour, policies, texture, tones
from tests.support.augmentation import keys, quick, random_images
from tests.support.helpers import QUICK

FACTORS = np.array([0.0, 0.3, 0.9, 1.0, 1.4, 1.99], np.float32)
IMAGES = random_images(6, 11, 13)
# smooth ones, as photographs are; noise alone leaves little for equalize and autocontrast to do
IMAGES[2:] = np.clip(ndimage.gaussian_filter(IMAGES[2:].astype(float), (0, 2, 2, 0)) * 1.3 - 60, 0, 255)


def pillow(change: Callable[[Image.Image, float], Image.Image], values: Any = FACTORS) -> np.ndarray:
    return np.stack(
        [np.asarray(change(Image.fromarray(image), value)) for image, value in zip(IMAGES, values, strict=True)]
    )


def floats() -> Any:
    return jnp.asarray(IMAGES, jnp.float32)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (colour.adjust_brightness, ImageEnhance.Brightness),
        (colour.adjust_contrast, ImageEnhance.Contrast),
        (colour.adjust_saturation, ImageEnhance.Color),
        (tones.adjust_sharpness, ImageEnhance.Sharpness),
    ],
)
def test_factors_are_pillows(ours: Any, theirs: Any) -> None:
    expected = pillow(lambda image, factor: theirs(image).enhance(float(factor)))
    # Pillow rounds the other image before it blends, and cuts the result off.
    np.testing.assert_allclose(quick(ours, floats(), FACTORS), expected, atol=2.01)
    assert np.abs(expected - IMAGES.astype(float)).max() > 20


def test_tables_are_pillows() -> None:
    bits = np.array([1, 2, 3, 4, 7, 8])
    expected = pillow(lambda image, kept: ImageOps.posterize(image, int(kept)), bits)
    np.testing.assert_array_equal(quick(tones.posterize, floats(), bits), expected)
    thresholds = np.array([0, 40, 128, 200, 255, 256])
    expected = pillow(lambda image, threshold: ImageOps.solarize(image, int(threshold)), thresholds)
    np.testing.assert_array_equal(quick(tones.solarize, floats(), thresholds), expected)
    expected = pillow(lambda image, _: ImageOps.equalize(image))
    np.testing.assert_array_equal(quick(tones.equalize, floats()), expected)
    expected = pillow(lambda image, _: ImageOps.autocontrast(image))
    np.testing.assert_allclose(quick(tones.autocontrast, floats()), expected, atol=1.0)


def test_a_flat_image_has_nothing_to_stretch() -> None:
    flat = jnp.full((2, 20, 20, 1), 77.0)
    assert np.array_equal(quick(tones.equalize, flat), flat)
    assert np.array_equal(quick(tones.autocontrast, flat), flat)
    large = jnp.asarray(random_images(1, 40, 40, 1), jnp.float32)
    expected = ImageOps.equalize(Image.fromarray(np.asarray(large, np.uint8)[0, ..., 0]))
    np.testing.assert_array_equal(quick(tones.equalize, large)[0, ..., 0], np.asarray(expected))


def test_hue_is_colorsys() -> None:
    shifts = np.array([0.0, 0.1, -0.1, 0.5, -0.37, 0.25], np.float32)
    expected = np.empty(IMAGES.shape)
    for place in np.ndindex(IMAGES.shape[:3]):
        h, s, v = colorsys.rgb_to_hsv(*(IMAGES[place] / 255.0))
        expected[place] = 255 * np.array(colorsys.hsv_to_rgb((h + shifts[place[0]]) % 1.0, s, v))
    for images in (floats(), IMAGES):
        np.testing.assert_allclose(quick(colour.adjust_hue, images, shifts), expected, atol=0.02)


def test_grayscale_is_pillows() -> None:
    expected = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in IMAGES])
    gray = quick(colour.grayscale, IMAGES, keys(6), 1.0)
    for channel in range(3):
        np.testing.assert_allclose(gray[..., channel], expected, atol=0.51)


def test_factors_are_drawn_as_in_torchvision() -> None:
    """On a gray of 100: within 100 * [1 - s, 1 + s], evenly; s above 1 ends at 0."""
    gray = jnp.full((2000, 1, 1, 1), 100.0)
    for most, low, high in ((0.4, 60, 140), (1.5, 0, 250)):
        values = np.asarray(quick(colour.brightness, gray, keys(2000), most)).reshape(-1)
        assert low <= values.min() < low + 2
        assert high - 2 < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))
        assert values.std() == pytest.approx((high - low) / np.sqrt(12), rel=0.05)


def test_noise_has_the_deviation_it_is_given() -> None:
    noisy = np.asarray(quick(texture.noise, np.full((50, 16, 16, 1), 127, np.uint8), keys(50), 9.0)) - 127
    assert noisy.std() == pytest.approx(9, rel=0.03)
    assert noisy.mean() == pytest.approx(0, abs=0.3)
    assert len(np.unique(noisy[:, 0, 0, 0])) == 50


def test_blur_is_scipys() -> None:
    sigmas = np.array([0.0, 0.3, 0.8, 1.5, 2.0, 3.0], np.float32)
    ours = quick(texture.gaussian_blur, IMAGES, sigmas, 6)
    for image, sigma, mine in zip(IMAGES.astype(np.float64), sigmas, ours, strict=True):
        expected = (
            ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="mirror", radius=(6, 6, 0)) if sigma else image
        )
        np.testing.assert_allclose(mine, expected, atol=1e-2)


# Policies


RANGES = policies.Ranges(0.3, 10.0, 4.0, 30.0, 0.9, 4)
_ACT = jax.jit(functools.partial(policies.apply_operations, ranges=RANGES), compiler_options=QUICK)


def act(name: str, level: float, images: Any) -> np.ndarray:
    operation = np.full(len(images), policies.OPERATIONS.index(name), np.int32)
    return np.asarray(_ACT(images, operation, np.full(len(images), level, np.float32)))


PIL_AFFINE = Image.Transform.AFFINE


def affine(a: float, b: float, c: float, d: float, e: float, f: float) -> Callable[[Image.Image, float], Image.Image]:
    return lambda image, _: image.transform(image.size, PIL_AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)


@pytest.mark.parametrize(
    ("name", "level", "change"),
    [
        ("identity", 0.5, lambda image, _: image),
        ("translate_x", 0.5, affine(1, 0, -5, 0, 1, 0)),
        ("translate_y", -0.6, affine(1, 0, 0, 0, 1, 2)),
        ("brightness", 1.0, lambda image, _: ImageEnhance.Brightness(image).enhance(1.9)),
        ("color", -1.0, lambda image, _: ImageEnhance.Color(image).enhance(0.1)),
        ("contrast", 0.5, lambda image, _: ImageEnhance.Contrast(image).enhance(1.45)),
        ("sharpness", 1.0, lambda image, _: ImageEnhance.Sharpness(image).enhance(1.9)),
        ("posterize", 0.8, lambda image, _: ImageOps.posterize(image, 5)),
        ("solarize", 0.2, lambda image, _: ImageOps.solarize(image, 204)),
        ("autocontrast", 0.5, lambda image, _: ImageOps.autocontrast(image)),
        ("equalize", 0.5, lambda image, _: ImageOps.equalize(image)),
    ],
)
def test_each_operation_of_the_policies(name: str, level: float, change: Any) -> None:
    np.testing.assert_allclose(act(name, level, floats()), pillow(change), atol=2.01)


@pytest.mark.parametrize("name", ["shear_x", "shear_y", "rotate"])
@pytest.mark.parametrize("level", [1.0, -0.5])
def test_slanted_operations_of_the_policies(name: str, level: float) -> None:
    """SciPy's affine_transform with a shear about the upper left corner, or a rotation about the centre."""
    slope, angle = 0.3 * level, np.deg2rad(30 * level)
    matrix = {
        "shear_x": [[1, 0], [slope, 1]], "shear_y": [[1, slope], [0, 1]],
        "rotate": [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]],
    }[name]  # fmt: skip
    middle = (np.array(IMAGES.shape[1:3]) - 1) / 2 * (name == "rotate")
    offset = middle - np.array(matrix) @ middle
    ours = act(name, level, floats())
    for image, mine in zip(IMAGES.astype(float), ours, strict=True):
        for channel in range(3):
            expected = ndimage.affine_transform(image[..., channel], matrix, offset, order=1, mode="grid-constant")
            np.testing.assert_allclose(mine[..., channel], expected, atol=0.02)


def test_policies_draw_operations_evenly_and_in_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def spy(images: Any, operation: Any, level: Any, ranges: Any, edges: str) -> Any:
        seen.append((np.asarray(operation), np.asarray(level)))
        return images

    monkeypatch.setattr(policies, "apply_operations", spy)
    images = jnp.zeros((2800, 2, 2, 1))
    policies.randaugment(images, keys(2800), (2, 9.0))
    policies.trivial_augment(images, keys(2800), 0.5)
    assert len(seen) == 3
    assert not np.array_equal(seen[0][0], seen[1][0])
    signed = policies.OPERATIONS[1:10]
    assert {signed[0], signed[-1]} == {"shear_x", "sharpness"}
    for operation, level in seen:
        assert np.bincount(operation, minlength=14).min() > 140
        negative = np.bincount(operation[level < 0], minlength=14)
        assert not negative[[0, 10, 11, 12, 13]].any()
        assert (negative[1:10] > 60).all()
    for _, level in seen[:2]:
        np.testing.assert_allclose(np.abs(level), 0.3, rtol=1e-5)
    levels = np.unique(np.round(np.abs(seen[2][1]) * 60))
    assert np.array_equal(levels, np.arange(31))  # 31 magnitudes, up to half of the wide ranges


def test_accelerators_compute_the_same_as_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPUs loop over the images, accelerators compute every operation for each of them and select."""
    arguments = (IMAGES.astype(np.float32), np.arange(6, dtype=np.int32) * 2 + 1, np.full(6, 0.7, np.float32))
    looped = act("identity", 0.0, floats())
    np.testing.assert_array_equal(looped, IMAGES)
    looped = np.asarray(_ACT(*arguments))
    monkeypatch.setattr(policies.lax, "platform_dependent", lambda values, cpu, default: default(values))
    selected = quick(lambda *values: policies.apply_operations(*values, RANGES), *arguments)
    np.testing.assert_allclose(selected, looped, atol=1e-3)
