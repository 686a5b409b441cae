"""Augmentation that moves pixels: distributions against closed forms, images against SciPy."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from cnn_jax.data.augment import geometry, pipeline, resample
from tests.support.augmentation import augment, keys, make_draws, quick, random_images

# SciPy's names; its "reflect" repeats the border pixel, its "constant" and "wrap" interpolate nothing at the border.
SCIPY = {"zero": "grid-constant", "extend": "nearest", "reflect": "mirror", "wrap": "grid-wrap"}


def test_translate_shifts_evenly_in_both_directions() -> None:
    images = np.zeros((900, 5, 5, 1), np.uint8)
    images[:, 2, 2] = 255
    moved = np.asarray(quick(geometry.translate, images, keys(900), 1))[..., 0]
    rows, columns = np.argwhere(moved == 255)[:, 1:].T
    counts = np.zeros((3, 3))
    np.add.at(counts, (rows - 1, columns - 1), 1)
    assert counts.sum() == 900
    assert counts.min() > 60
    edge = quick(geometry.translate, np.full((900, 4, 4, 1), 9, np.uint8), keys(900), 2)
    assert set(np.unique(edge)) == {0, 9}


def test_distributions_of_the_affine_draws() -> None:
    """2,000 draws against closed forms: an even distribution on [-a, a] has the mean 0 and the deviation a / sqrt 3."""
    rotation = np.asarray(quick(geometry.rotation, keys(2000), 40.0))
    angle = np.rad2deg(np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0]))
    scale = -np.log(np.asarray(quick(geometry.scaling, keys(2000), 0.5))[:, 0, 0])
    shears = np.asarray(quick(geometry.shearing, keys(2000), 30.0))
    shear = np.rad2deg(np.arctan(shears[:, 0, 1]))
    for values, most in ((angle, 40.0), (scale, np.log(1.5)), (shear, 30.0)):
        assert 0.97 * most < np.abs(values).max() <= most * (1 + 1e-5)
        assert values.mean() == pytest.approx(0, abs=0.05 * most)
        assert values.std() == pytest.approx(most / np.sqrt(3), rel=0.05)
    for made in (rotation, shears):
        np.testing.assert_allclose(np.linalg.det(made), 1, atol=1e-5)  # both keep areas


def test_displacements_are_normal_and_smooth() -> None:
    """4,000 fields against closed forms: deviation and correlations are the same at borders and in the middle."""
    fields = np.asarray(quick(geometry.elastic, keys(4000), (9, 7), (1.5, 2.0)))
    assert fields.shape == (4000, 2, 9, 7)
    np.testing.assert_allclose(fields.std(0), 1.5, rtol=0.05)
    np.testing.assert_allclose(fields.mean(0), 0, atol=0.1)
    np.testing.assert_allclose((np.abs(fields) < 1.5).mean(0), 0.6827, atol=0.03)
    rows, columns = np.mgrid[:9, :7].reshape(2, -1)
    distances = np.hypot(rows[:, None] - rows, columns[:, None] - columns)
    along_rows, along_columns = fields.reshape(4000, 2, -1).transpose(1, 2, 0)
    for field in (along_rows, along_columns):
        np.testing.assert_allclose(np.corrcoef(field), np.exp(-(distances**2) / 16), atol=0.07)
    assert np.abs(np.corrcoef(along_rows, along_columns)[63:, :63]).max() < 0.07


@pytest.mark.parametrize("sigma", [1.0, 2.5, 7.7, 1024.0])
def test_displacements_have_the_correlation_they_should(sigma: float) -> None:
    for length in (1, 2, 9, 28, 224):
        weights, places = geometry._waves(length, sigma), np.arange(length) / sigma
        expected = np.exp(-np.square(places[:, None] - places) / 4)
        np.testing.assert_allclose(weights @ weights.T, expected, atol=3e-4)


def by_scipy(images: np.ndarray, matrices: np.ndarray, edges: str) -> np.ndarray:
    middle = (np.array(images.shape[1:3]) - 1) / 2
    planes = [
        [
            ndimage.affine_transform(
                image[..., c].astype(np.float64), m[:2, :2], m[:2, 2] + middle - m[:2, :2] @ middle,
                order=1, mode=SCIPY[edges],
            )
            for c in range(images.shape[-1])
        ]
        for image, m in zip(images, matrices.astype(np.float64), strict=True)
    ]  # fmt: skip
    return np.array(planes).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("edges", SCIPY)
def test_affine_is_scipys(edges: str) -> None:
    images, random = random_images(6), np.random.default_rng(2)
    matrices = np.tile(np.eye(3, dtype=np.float32), (6, 1, 1))
    matrices[:, :2] += random.normal(0, 0.6, (6, 2, 3)).astype(np.float32)
    matrices[:, :2, 2] *= 12  # far beyond the border too
    ours = quick(resample.affine, images, matrices, edges)
    np.testing.assert_allclose(ours, by_scipy(images, matrices, edges), atol=0.02)


@pytest.mark.parametrize("edges", SCIPY)
def test_translate_obeys_the_edges(edges: str) -> None:
    images = random_images(8)
    moved = augment([("translate", 5)], images, make_draws(np.arange(8)), edges)[0]
    matrices = np.asarray(geometry.translation(make_draws(np.arange(8)).keys(0), 5))
    np.testing.assert_array_equal(moved, np.round(by_scipy(images, matrices, edges)))
    cropped = augment([("crop", 5)], images, make_draws(np.arange(8)), edges)[0]
    assert np.array_equal(cropped, moved)


def test_neighbours_are_one_interpolation_with_the_product_of_their_matrices() -> None:
    images, these = random_images(8), make_draws(np.arange(8))
    pairs = [("rotate", 30.0), ("translate", 2), ("scale", 0.5), ("shear", 20.0)]
    maps = [geometry.rotation, geometry.translation, geometry.scaling, geometry.shearing]
    matrices = [
        np.asarray(quick(make, these.keys(i), strength), np.float64)
        for i, (make, (_, strength)) in enumerate(zip(maps, pairs, strict=True))  # type: ignore[operator]
    ]
    product = functools.reduce(np.matmul, matrices)
    composed = augment(pairs, images, these, "reflect")[0]
    np.testing.assert_allclose(composed, by_scipy(images, product, "reflect"), atol=0.05)
    swapped = functools.reduce(np.matmul, matrices[::-1])
    assert np.abs(composed - by_scipy(images, swapped, "reflect")).max() > 20
    one_by_one = images
    for matrix in matrices:
        one_by_one = by_scipy(one_by_one, matrix[:, :3], "reflect")
    assert np.abs(composed - one_by_one).mean() > 5  # which blurs four times


def displaced_by_scipy(images: np.ndarray, matrices: np.ndarray, moved: np.ndarray, edges: str) -> np.ndarray:
    height, width = images.shape[1:3]
    middle = np.array([[(height - 1) / 2], [(width - 1) / 2]])
    results = []
    for image, m, d in zip(images.astype(np.float64), matrices.astype(np.float64), moved, strict=True):
        places = np.mgrid[:height, :width].reshape(2, -1) - middle + d.reshape(2, -1)
        places = m[:2, :2] @ places + m[:2, 2:] + middle
        planes = [
            ndimage.map_coordinates(plane, places, order=1, mode=SCIPY[edges]) for plane in image.transpose(2, 0, 1)
        ]
        results.append(np.reshape(planes, (-1, height, width)).transpose(1, 2, 0))
    return np.array(results)


@pytest.mark.parametrize("edges", SCIPY)
def test_elastic_ends_a_run_and_is_scipys(edges: str) -> None:
    images, these, waves = random_images(8), make_draws(np.arange(8)), (2.0, 2.5)
    turns = np.asarray(geometry.rotation(these.keys(0), 60.0))
    moved = np.asarray(geometry.elastic(these.keys(1), (9, 7), waves))
    together = augment([("rotate", 60.0), ("elastic", waves)], images, these, edges)[0]
    np.testing.assert_allclose(together, displaced_by_scipy(images, turns, moved, edges), atol=0.05)

    first, still = np.asarray(geometry.elastic(these.keys(0), (9, 7), waves)), np.tile(np.eye(3), (8, 1, 1))
    later = np.asarray(geometry.rotation(these.keys(1), 60.0))
    apart = augment([("elastic", waves), ("rotate", 60.0)], images, these, edges)[0]
    bent = displaced_by_scipy(images, still, first, edges)
    np.testing.assert_allclose(apart, by_scipy(bent, later, edges), atol=0.05)


def test_a_run_goes_in_the_order_of_the_list() -> None:
    """A dot right of the centre, turned by 90 degrees and then moved, is not the dot that is moved and then turned."""
    image = np.zeros((1, 9, 9, 1), np.float32)
    image[0, 4, 6] = 255
    quarter = geometry.matrix([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
    shift = geometry.matrix([[1.0, 0.0, 0.0], [0.0, 1.0, -1.0]])  # to the right by one pixel
    turned = quick(resample.affine, image, quarter, "zero")
    steps = quick(resample.affine, turned, shift, "zero")
    both = quick(resample.affine, image, pipeline._product([quarter, shift]), "zero")
    assert np.argmax(both) == np.argmax(steps)
    assert np.argmax(both) != np.argmax(
        resample.affine(jnp.asarray(image), pipeline._product([shift, quarter]), "zero")
    )
