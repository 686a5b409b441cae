"""Shifts, rotations and scales, and what a network makes of them, where the answer is known."""

import numpy as np
import pytest

from cnn_jax.analysis import views
from cnn_jax.analysis.invariance import (
    compare_views,
    measure_consistency,
    measure_rotations,
    measure_scales,
    measure_shifts,
)
from cnn_jax.runs.noise import wilson_interval

RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.randint(0, 256, (60, 9, 9, 1)).astype(np.uint8)
LABELS = RANDOM.randint(0, 2, 60)


def by_mean(images: np.ndarray) -> np.ndarray:
    """A network that a circular shift cannot disturb."""
    share = np.round(images.reshape(len(images), -1).mean(axis=1) / 255, 12)
    return np.stack([share, 1 - share], axis=1)


def by_corner(images: np.ndarray) -> np.ndarray:
    """A network that looks at the first pixel alone."""
    share = images[:, 0, 0, 0] / 255
    return np.stack([share, 1 - share], axis=1)


def test_shift_by_each_protocol() -> None:
    image = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3, 1)
    down_left = np.array([[1, -1]])
    zero, circular = (views.shift(image, down_left, name)[0, :, :, 0] for name in ("zero", "circular"))
    assert zero.tolist() == [[0, 0, 0], [2, 3, 0], [5, 6, 0]]
    assert circular.tolist() == [[8, 9, 7], [2, 3, 1], [5, 6, 4]]
    window = views.cut(np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1), np.array([[1, 0]]), (3, 3))
    assert window[0, :, :, 0].tolist() == [[4, 5, 6], [8, 9, 10], [12, 13, 14]]


def test_each_image_moves_by_its_own() -> None:
    offsets = RANDOM.randint(-8, 9, (60, 2))
    moved = views.shift(IMAGES, offsets, "circular")
    expected = [np.roll(image, offset, (0, 1)) for image, offset in zip(IMAGES, offsets, strict=True)]
    np.testing.assert_array_equal(moved, expected)


def test_rotation_and_scale_by_known_amounts() -> None:
    turned = views.rotate(IMAGES, np.full(60, 90.0))
    np.testing.assert_array_equal(turned, np.rot90(IMAGES, axes=(1, 2)))
    np.testing.assert_array_equal(views.scale(IMAGES, 1.0), IMAGES)
    half = views.scale(np.full((1, 9, 9, 1), 200, np.uint8), 0.5)[0, :, :, 0]
    assert (half[:2] == 0).all()
    assert (half[3:6, 3:6] == 200).all()
    double = views.scale(IMAGES, 2.0)
    np.testing.assert_array_equal(double[:, ::2, ::2], IMAGES[:, 2:7, 2:7])


def test_enlarging_is_bilinear() -> None:
    ramp = np.tile(np.arange(0, 160, 20, dtype=np.uint8)[None, :, None, None], (1, 1, 8, 1))
    larger = views.enlarge(ramp, 8)[0, :, 5, 0].astype(int)
    assert larger.shape == (16,)
    assert larger[2:-2].tolist() == list(range(15, 130, 10))[:12]


@pytest.mark.parametrize("protocol", views.PROTOCOLS)
def test_an_invariant_network_is_consistent(protocol: str) -> None:
    """The mean stays under circular shifts; under the other protocols it does not."""
    found = measure_consistency(by_mean, IMAGES, LABELS, protocol, most=4, seed=0)
    change = [moved.top1_change.value for moved in measure_shifts(by_mean, IMAGES, LABELS, (0, 2), protocol, 0)]
    assert change[0] == 0
    assert (found.consistency.value == 1) == (protocol == "circular")
    assert (change[1] == 0) == (protocol == "circular")


def test_moved_figures_are_their_formulas() -> None:
    """Of a network that reads one pixel, with the shift that was drawn for each image."""
    (moved,) = measure_shifts(by_corner, IMAGES, LABELS, (2,), "circular", seed=3)
    directions = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])[np.random.default_rng(3).integers(4, size=60)]
    before = IMAGES[:, 0, 0, 0].astype(int)
    after = np.array([IMAGES[i, -2 * d, -2 * r, 0] for i, (d, r) in enumerate(directions)]).astype(int)
    classes = (after < 128).astype(int)
    changed = int(((before < 128) != (after < 128)).sum())
    assert moved.top1_change == (changed / 60, *wilson_interval(changed, 60))
    assert moved.accuracy.value == np.mean(classes == LABELS)
    np.testing.assert_allclose(moved.mean_absolute_change, np.abs(before - after).mean() / 255, rtol=1e-6)


def test_views_are_compared_by_hand() -> None:
    """Five right twice, one right first, two wrong twice alike, two wrong twice otherwise."""
    labels = np.zeros(10, int)
    first = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
    second = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 1])
    found = compare_views(first, second, labels)
    assert found.consistency == (0.7, *wilson_interval(7, 10))
    assert found.of_correct == (5 / 6, *wilson_interval(5, 6))
    np.testing.assert_allclose(
        [found.accuracy, found.forced, found.excess, found.chance],
        [0.55, 0.1, 0.6 / 0.9, 0.6 * 0.5 + 0.3 * 0.4 + 0.1 * 0.1],
    )
    expected = 0.6 * 0.5 + 0.4 * 0.5
    np.testing.assert_allclose(found.error_consistency, (0.9 - expected) / (1 - expected))


def test_views_that_are_always_right() -> None:
    """What nothing is left of is None: all agreement is forced."""
    labels = np.array([0, 1, 1])
    found = compare_views(labels, labels, labels)
    assert (found.consistency.value, found.forced, found.excess, found.error_consistency) == (1, 1, None, None)
    assert compare_views(1 - labels, labels, labels).of_correct is None


def test_turns_and_scales_keep_what_is_round() -> None:
    disc = np.hypot(*(np.indices((9, 9)) - 4)) < 3
    images = np.repeat((255 * disc).astype(np.uint8)[None, :, :, None], 5, axis=0)
    labels = by_corner(images).argmax(axis=1)
    turned = measure_rotations(by_corner, images, labels, (0, 45, 180), seed=0)
    assert [each.accuracy.value for each in turned] == [1, 1, 1]
    grown = measure_scales(by_corner, images, labels, (0.5, 1.0, 3.0))
    assert [each.accuracy.value for each in grown] == [1, 1, 0]
    assert [each.top1_change.value for each in grown] == [0, 0, 1]
