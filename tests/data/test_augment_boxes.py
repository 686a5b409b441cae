"""Augmentation with boxes: crops, erased parts and mixtures."""

import functools
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnn_jax.data.augment import boxes, erase, geometry, mix
from tests.support.augmentation import keys, quick, random_images


def test_boxes_need_no_jax() -> None:
    code = "import sys, cnn_jax.data.augment.boxes; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_boxes_are_the_same_in_numpy_and_keep_their_limits() -> None:
    uniforms = np.random.default_rng(0).random((3000, 10, 4), np.float32)
    heights, widths = np.full(3000, 200), np.full(3000, 300)
    ours = boxes.resized_crop_boxes(uniforms, heights, widths, (0.1, 0.6), xp=np)
    theirs = quick(functools.partial(boxes.resized_crop_boxes, area=(0.1, 0.6), xp=jnp), uniforms, heights, widths)
    np.testing.assert_allclose(np.stack(ours), np.stack(theirs))
    top, left, height, width = ours
    for values in ours:
        assert values.shape == (3000,)
        assert values.dtype == np.float32
        assert np.array_equal(values, np.round(values))
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 200).all()
    assert (left + width <= 300).all()
    share, ratio = height * width / 60_000, width / height
    assert 0.098 < share.min() < 0.11
    assert 0.55 < share.max() < 0.61
    assert share.mean() == pytest.approx(0.35, abs=0.01)
    assert np.log(ratio).mean() == pytest.approx(0, abs=0.02)
    assert 0.74 < ratio.min() < 0.77
    assert 1.30 < ratio.max() < 1.35
    # Among boxes of about one size every place is as likely as any other.
    free = 300 - width
    assert (left / free).mean() == pytest.approx(0.5, abs=0.02)
    assert ((top + 0.5) / (200 - height + 1)).std() == pytest.approx(1 / np.sqrt(12), rel=0.05)


@pytest.mark.parametrize(
    ("height", "width", "box"), [(10, 100, (0, 43, 10, 13)), (100, 10, (43, 0, 13, 10)), (30, 30, (0, 0, 30, 30))]
)
def test_boxes_fall_back_to_the_centre(height: int, width: int, box: tuple[int, ...]) -> None:
    """A share of nearly 1 fits into no such image; torchvision's fallback, by hand."""
    uniforms = np.full((1, 10, 4), 0.99, np.float32)
    uniforms[..., 1] = 0.0 if width >= height else 0.99
    result = boxes.resized_crop_boxes(uniforms, np.array([height]), np.array([width]), (1.0, 1.0), xp=np)
    assert tuple(int(value[0]) for value in result) == box


def test_crop_and_resize_is_pillows() -> None:
    images = random_images(4, 20, 16)
    top, left, height, width = np.array([[0, 3, 7, 2], [0, 5, 1, 4], [20, 9, 13, 8], [16, 7, 8, 12]], np.float32)
    ours = quick(geometry.crop_and_resize, images, top, left, height, width)
    for i in range(4):
        box = (left[i], top[i], left[i] + width[i], top[i] + height[i])
        cropped = Image.fromarray(images[i]).crop(tuple(map(int, box)))
        expected = np.asarray(cropped.resize((16, 20), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(ours[i], expected, atol=1.01)  # Pillow rounds after each axis


def test_cutout_covers_one_square_evenly_placed() -> None:
    images = np.tile(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1) * 4, (900, 1, 1, 1))
    covered = np.asarray(quick(erase.cutout, images, keys(900), 3))
    assert ((covered != images) | (images == 126)).sum((1, 2, 3)).min() >= 9 - 1
    mask = covered == 126  # the mean
    assert (mask.sum((1, 2, 3)) == 9).all()
    assert (mask.any(2).sum(1) == 3).all()
    assert (mask.any(1).sum(1) == 3).all()
    corners = [tuple(np.argwhere(one[..., 0])[0]) for one in mask]
    counts = np.unique(corners, axis=0, return_counts=True)[1]
    assert len(counts) == 36
    assert counts.min() > 9


def test_random_erasing_covers_a_rectangle_of_noise() -> None:
    images = np.full((600, 16, 16, 1), 7, np.uint8)
    covered = np.asarray(quick(erase.random_erasing, images, keys(600), 0.4))
    touched = (covered != 7)[..., 0]
    assert touched.any((1, 2)).mean() == pytest.approx(0.4, abs=0.06)
    rows, columns = touched.any(2).sum(1), touched.any(1).sum(1)
    hit = rows > 0
    share = rows[hit] * columns[hit] / 256
    assert share.max() <= 0.36
    assert share.mean() == pytest.approx(0.175, abs=0.02)
    values = covered[touched]
    assert values.mean() == pytest.approx(127.5, abs=2)
    assert values.std() == pytest.approx(73.9, abs=2)


def test_mixup_mixes_images_and_labels_alike() -> None:
    images, labels = random_images(600, 2, 2, 1).astype(np.float32), np.eye(4, dtype=np.float32)[np.arange(600) % 4]
    mixed, soft = map(np.asarray, quick(mix.mixup, images, labels, keys(600), 0.4))
    share = soft[np.arange(600), np.arange(600) % 4]
    np.testing.assert_allclose(soft.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(soft[np.arange(600), (np.arange(600) + 1) % 4], 1 - share, atol=1e-6)
    weight = share.reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(mixed, weight * images + (1 - weight) * np.roll(images, -1, axis=0), atol=1e-3)
    # Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1))
    assert share.mean() == pytest.approx(0.5, abs=0.05)
    assert share.var() == pytest.approx(1 / (4 * 1.8), rel=0.1)


def test_cutmix_labels_are_the_shares_of_pixels() -> None:
    images = np.broadcast_to((np.arange(400) % 4).reshape(-1, 1, 1, 1), (400, 10, 12, 1)).astype(np.uint8)
    labels = np.eye(4, dtype=np.float32)[np.arange(400) % 4]
    mixed, soft = map(np.asarray, quick(mix.cutmix, images, labels, keys(400), 1.0))
    shares = np.stack([(mixed == value).mean((1, 2, 3)) for value in range(4)], axis=1)
    np.testing.assert_allclose(soft, shares, atol=1e-6)
    partner = (mixed != images)[..., 0]
    assert (partner.any(2).sum(1) * partner.any(1).sum(1) == partner.sum((1, 2))).all()  # rectangles
    assert 0.25 < 1 - shares[np.arange(400), np.arange(400) % 4].mean() < 0.5  # below 1/2: boxes end at the border
