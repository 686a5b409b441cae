"""Flip and translate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.augment import augment, flip, translate
from cnn_jax.random import example_keys, stream_key


def keys(count: int, step: int = 0) -> jax.Array:
    return example_keys(stream_key(0, "augment", step), jnp.arange(count))


def test_flip_mirrors_the_given_share() -> None:
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (1000, 3, 4, 2)), jnp.uint8)
    flipped = np.asarray(flip(images, keys(1000), 0.3))
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(flipped, np.asarray(images), strict=True)])
    kept = np.array([np.array_equal(a, b) for a, b in zip(flipped, np.asarray(images), strict=True)])
    assert (mirrored | kept).all()
    assert mirrored.mean() == pytest.approx(0.3, abs=0.05)
    assert np.array_equal(flip(images, keys(1000), 1.0), images[:, :, ::-1])
    assert np.array_equal(flip(images, keys(1000), 0.0), images)


def test_translate_shifts_evenly_in_both_directions() -> None:
    images = jnp.zeros((900, 5, 5, 1), jnp.uint8).at[:, 2, 2].set(255)
    moved = np.asarray(translate(images, keys(900), 1))[..., 0]
    rows, columns = np.argwhere(moved == 255)[:, 1:].T
    counts = np.zeros((3, 3))
    np.add.at(counts, (rows - 1, columns - 1), 1)
    assert counts.sum() == 900
    assert counts.min() > 60
    edge = translate(jnp.full((900, 4, 4, 1), 9, jnp.uint8), keys(900), 2)
    assert set(np.unique(edge)) == {0, 9}
    assert np.array_equal(translate(images, keys(900), 0), images)


def test_randomness_belongs_to_the_example_not_to_its_place() -> None:
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (64, 6, 6, 1)), jnp.uint8)
    pipeline = (("flip", 0.5), ("translate", 2))
    order = np.random.default_rng(1).permutation(64)
    key = stream_key(3, "augment", 5)
    whole = augment(images, example_keys(key, jnp.arange(64)), pipeline)
    shuffled = augment(images[order], example_keys(key, jnp.asarray(order)), pipeline)
    assert np.array_equal(np.asarray(whole)[order], shuffled)
    later = augment(images, example_keys(stream_key(3, "augment", 6), jnp.arange(64)), pipeline)
    assert not np.array_equal(whole, later)
    twice = augment(images, example_keys(key, jnp.arange(64)), (("flip", 0.5), ("flip", 0.5)))
    assert not np.array_equal(twice, images)  # the second flip draws for itself
