"""Augmentation: the pipeline, its randomness, and what all operations keep to."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.config.keys import AUGMENTATIONS
from cnn_jax.data.augment import geometry
from cnn_jax.data.augment.draws import uniform
from cnn_jax.errors import InputError
from cnn_jax.experiment.fitting import build
from cnn_jax.random.keys import stream_key
from tests.support.augmentation import augment, keys, make_draws, random_images
from tests.support.helpers import tiny_config

SMALL = {"translate": 2, "crop": 2, "cutout": 3, "randaugment": (1, 9.0)}
USUAL = [(name, SMALL.get(name, entry.default)) for name, entry in AUGMENTATIONS.items()]
NOTHING = {
    "rotate": 0.0, "translate": 0, "scale": 0.0, "shear": 0.0, "flip": 0.0, "vertical_flip": 0.0,
    "alternating_flip": False, "crop": 0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0,
    "grayscale": 0.0, "noise": 0.0, "blur": 0.0, "cutout": 0, "random_erasing": 0.0, "mixup": 0.0, "cutmix": 0.0,
    "random_resized_crop": (1.0, 1.0), "elastic": (0.0, 4.0),
}  # fmt: skip


@pytest.mark.parametrize(("name", "strength"), USUAL)
def test_every_operation(name: str, strength: Any) -> None:
    """Shape, type and range; the same whatever the order and the rest of the batch."""
    images = random_images(12)
    changed, labels = augment([(name, strength)], images, make_draws(np.arange(12)))
    assert changed.shape == images.shape
    assert np.isfinite(changed).all()
    assert 0 <= changed.min() <= changed.max() <= 255
    assert np.abs(changed.astype(float) - images).max() > 1
    mixing = AUGMENTATIONS[name].form == "mix"
    assert labels.shape == ((12, 4) if mixing else (12,))

    order = np.random.default_rng(1).permutation(12)
    if mixing:  # the partner is the next example of the batch, so the batch may only be rotated
        order = np.roll(np.arange(12), 5)
    shuffled, their_labels = augment([(name, strength)], images[order], make_draws(order))
    np.testing.assert_allclose(shuffled, changed[order], atol=1e-3)
    np.testing.assert_allclose(their_labels, labels[order], atol=1e-6)
    if name != "alternating_flip":
        later, _ = augment([(name, strength)], images, make_draws(np.arange(12), step=6))
        reseeded, _ = augment([(name, strength)], images, make_draws(np.arange(12), seed=4))
        assert not np.array_equal(later, changed)
        assert not np.array_equal(reseeded, changed)


def test_no_strength_no_change() -> None:
    images = random_images(12, height=8, width=8)
    changed, labels = augment(NOTHING.items(), images, make_draws(np.arange(12)))
    np.testing.assert_allclose(changed, images, atol=2e-3)
    np.testing.assert_array_equal(labels, np.eye(4)[np.arange(12) % 4])


def test_all_operations_in_a_row_on_floats_of_one_channel() -> None:
    images = random_images(12, channels=1).astype(np.float32)
    changed, soft = augment(USUAL, images, make_draws(np.arange(12)), "reflect")
    assert changed.shape == images.shape
    assert np.isfinite(changed).all()
    assert 0 <= changed.min() < changed.max() <= 255
    np.testing.assert_allclose(soft.sum(1), 1, atol=1e-5)


def test_nothing_is_forgotten() -> None:
    assert set(NOTHING) | {"randaugment", "trivial_augment"} == set(AUGMENTATIONS)


def test_whole_pixels_stay_integers_and_floats_are_not_rounded() -> None:
    whole = [("flip", 0.5), ("translate", 2), ("crop", 1), ("vertical_flip", 0.5), ("cutout", 2), ("cutmix", 1.0)]
    assert augment(whole, random_images(12), make_draws(np.arange(12)))[0].dtype == np.uint8
    changed, _ = augment([("brightness", 0.4)], random_images(12), make_draws(np.arange(12)))
    assert changed.dtype == np.float32
    assert np.abs(changed - np.round(changed)).max() > 0.2


def test_each_operation_draws_for_itself() -> None:
    images = random_images(64)
    twice, _ = augment([("flip", 0.5), ("flip", 0.5)], images, make_draws(np.arange(64)))
    assert not np.array_equal(twice, images)


def test_draws_are_the_documented_keys() -> None:
    key = jax.random.fold_in(jax.random.fold_in(stream_key(3, "augment", 5), 7), 2)
    expected = jax.random.uniform(key, (10, 4))
    np.testing.assert_array_equal(uniform(make_draws([4, 7]).keys(2), shape=(10, 4))[1], expected)


def test_flip_mirrors_the_given_share() -> None:
    images = jnp.asarray(random_images(1000, 3, 4, 2))
    flipped = np.asarray(geometry.flip(images, keys(1000), 0.3))
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(flipped, np.asarray(images), strict=True)])
    kept = np.array([np.array_equal(a, b) for a, b in zip(flipped, np.asarray(images), strict=True)])
    assert (mirrored | kept).all()
    assert mirrored.mean() == pytest.approx(0.3, abs=0.05)
    assert np.array_equal(geometry.flip(images, keys(1000), 1.0), images[:, :, ::-1])
    assert np.array_equal(geometry.vertical_flip(images, keys(1000), 1.0), images[:, ::-1])


def test_alternating_flip_shows_both_sides_in_two_epochs() -> None:
    images = random_images(400)
    even, odd, later = (
        augment([("alternating_flip", True)], images, make_draws(np.arange(400), step=9 * epoch, epoch=epoch))[0]
        for epoch in (0, 1, 2)
    )
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(even, images, strict=True)])
    assert mirrored.mean() == pytest.approx(0.5, abs=0.08)
    assert np.array_equal(even[~mirrored], images[~mirrored])
    assert np.array_equal(odd, even[:, :, ::-1])
    assert np.array_equal(later, even)


def test_mixing_twice_keeps_probabilities() -> None:
    soft = augment([("mixup", 1.0), ("mixup", 1.0)], random_images(12), make_draws(np.arange(12)))[1]
    np.testing.assert_allclose(soft.sum(1), 1, atol=1e-6)
    assert ((soft > 0.01).sum(1) > 2).any()


@pytest.mark.parametrize(
    ("name", "strength", "most"),
    [("translate", 9, "7"), ("crop", 8, "7"), ("cutout", 8, "7"), ("elastic", (4.0, 8.0), "3.5")],
)
def test_too_much_for_the_image_is_said_before_anything_is_built(name: str, strength: Any, most: str) -> None:
    said = re.escape(f"('{name}', {strength}) is too much for images of 8x8; choose at most {most} pixels")
    with pytest.raises(InputError, match=said):
        build(tiny_config(augment=((name, strength),)))
