"""Augmentation: randomness, the pipeline, what all operations keep to; geometry against SciPy."""

import functools
import re
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from cnn_jax.config.keys import AUGMENTATIONS
from cnn_jax.data.augment import boxes, erase, geometry, mix, pipeline, resample
from cnn_jax.data.augment.draws import Draws, uniform
from cnn_jax.data.augment.pipeline import make_augment
from cnn_jax.errors import InputError
from cnn_jax.experiment.fitting import build
from cnn_jax.random.keys import example_keys, stream_key
from tests.support.helpers import tiny_config

# SciPy's names; its "reflect" repeats the border pixel, its "constant" and "wrap" interpolate nothing at the border.
SCIPY = {"zero": "grid-constant", "extend": "nearest", "reflect": "mirror", "wrap": "grid-wrap"}
QUICK = {
    "xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True, "xla_cpu_use_fusion_emitters": False
}  # fmt: skip


def pictures(count: int, height: int = 9, width: int = 7, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), np.uint8)


@functools.cache
def keys(count: int) -> jax.Array:
    return quick(lambda index: example_keys(stream_key(0, "augment", 0), index), np.arange(count))


def quick(function: Any, *arguments: Any) -> Any:
    """The function's result, compiled in a hurry; what is no array is part of the program."""
    static = [i for i, value in enumerate(arguments) if isinstance(value, int | float | str | tuple)]
    return jax.jit(function, static_argnums=static, compiler_options=QUICK)(*arguments)


def draws(index: Any, step: int = 5, epoch: int = 0, seed: int = 3) -> Draws:
    return Draws(jnp.uint32(seed), jnp.int32(step), jnp.int32(epoch), jnp.asarray(index))


@functools.cache
def program(pairs: tuple[tuple[str, Any], ...], shape: tuple[int, int, int] = (9, 7, 3), edges: str = "zero") -> Any:
    return jax.jit(make_augment(pairs, shape, 4, edges), compiler_options=QUICK)


def run(pairs: Any, images: np.ndarray, these: Draws, edges: str = "zero") -> tuple[np.ndarray, np.ndarray]:
    labels = np.asarray(these.index) % 4
    result = program(tuple(pairs), images.shape[1:], edges)(jnp.asarray(images), jnp.asarray(labels), these)
    return np.asarray(result[0]), np.asarray(result[1])


# Every operation

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
    images = pictures(12)
    changed, labels = run([(name, strength)], images, draws(np.arange(12)))
    assert changed.shape == images.shape
    assert np.isfinite(changed).all()
    assert 0 <= changed.min() <= changed.max() <= 255
    assert np.abs(changed.astype(float) - images).max() > 1
    mixing = AUGMENTATIONS[name].form == "mix"
    assert labels.shape == ((12, 4) if mixing else (12,))

    order = np.random.default_rng(1).permutation(12)
    if mixing:  # the partner is the next example of the batch, so the batch may only be rotated
        order = np.roll(np.arange(12), 5)
    shuffled, their_labels = run([(name, strength)], images[order], draws(order))
    np.testing.assert_allclose(shuffled, changed[order], atol=1e-3)
    np.testing.assert_allclose(their_labels, labels[order], atol=1e-6)
    if name != "alternating_flip":
        later, _ = run([(name, strength)], images, draws(np.arange(12), step=6))
        reseeded, _ = run([(name, strength)], images, draws(np.arange(12), seed=4))
        assert not np.array_equal(later, changed)
        assert not np.array_equal(reseeded, changed)


def test_no_strength_no_change() -> None:
    images = pictures(12, height=8, width=8)
    changed, labels = run(NOTHING.items(), images, draws(np.arange(12)))
    np.testing.assert_allclose(changed, images, atol=2e-3)
    np.testing.assert_array_equal(labels, np.eye(4)[np.arange(12) % 4])


def test_all_operations_in_a_row_on_floats_of_one_channel() -> None:
    images = pictures(12, channels=1).astype(np.float32)
    changed, soft = run(USUAL, images, draws(np.arange(12)), "reflect")
    assert changed.shape == images.shape
    assert np.isfinite(changed).all()
    assert 0 <= changed.min() < changed.max() <= 255
    np.testing.assert_allclose(soft.sum(1), 1, atol=1e-5)


def test_nothing_is_forgotten() -> None:
    assert set(NOTHING) | {"randaugment", "trivial_augment"} == set(AUGMENTATIONS)


def test_whole_pixels_stay_integers_and_floats_are_not_rounded() -> None:
    whole = [("flip", 0.5), ("translate", 2), ("crop", 1), ("vertical_flip", 0.5), ("cutout", 2), ("cutmix", 1.0)]
    assert run(whole, pictures(12), draws(np.arange(12)))[0].dtype == np.uint8
    changed, _ = run([("brightness", 0.4)], pictures(12), draws(np.arange(12)))
    assert changed.dtype == np.float32
    assert np.abs(changed - np.round(changed)).max() > 0.2


# Randomness


def test_each_operation_draws_for_itself() -> None:
    images = pictures(64)
    twice, _ = run([("flip", 0.5), ("flip", 0.5)], images, draws(np.arange(64)))
    assert not np.array_equal(twice, images)


def test_draws_are_the_documented_keys() -> None:
    key = jax.random.fold_in(jax.random.fold_in(stream_key(3, "augment", 5), 7), 2)
    expected = jax.random.uniform(key, (10, 4))
    np.testing.assert_array_equal(uniform(draws([4, 7]).keys(2), shape=(10, 4))[1], expected)


def test_flip_mirrors_the_given_share() -> None:
    images = jnp.asarray(pictures(1000, 3, 4, 2))
    flipped = np.asarray(geometry.flip(images, keys(1000), 0.3))
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(flipped, np.asarray(images), strict=True)])
    kept = np.array([np.array_equal(a, b) for a, b in zip(flipped, np.asarray(images), strict=True)])
    assert (mirrored | kept).all()
    assert mirrored.mean() == pytest.approx(0.3, abs=0.05)
    assert np.array_equal(geometry.flip(images, keys(1000), 1.0), images[:, :, ::-1])
    assert np.array_equal(geometry.vertical_flip(images, keys(1000), 1.0), images[:, ::-1])


def test_alternating_flip_shows_both_sides_in_two_epochs() -> None:
    images = pictures(400)
    even, odd, later = (
        run([("alternating_flip", True)], images, draws(np.arange(400), step=9 * epoch, epoch=epoch))[0]
        for epoch in (0, 1, 2)
    )
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(even, images, strict=True)])
    assert mirrored.mean() == pytest.approx(0.5, abs=0.08)
    assert np.array_equal(even[~mirrored], images[~mirrored])
    assert np.array_equal(odd, even[:, :, ::-1])
    assert np.array_equal(later, even)


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


# Geometry


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
    images, random = pictures(6), np.random.default_rng(2)
    matrices = np.tile(np.eye(3, dtype=np.float32), (6, 1, 1))
    matrices[:, :2] += random.normal(0, 0.6, (6, 2, 3)).astype(np.float32)
    matrices[:, :2, 2] *= 12  # far beyond the border too
    ours = quick(resample.affine, images, matrices, edges)
    np.testing.assert_allclose(ours, by_scipy(images, matrices, edges), atol=0.02)


@pytest.mark.parametrize("edges", SCIPY)
def test_translate_obeys_the_edges(edges: str) -> None:
    images = pictures(8)
    moved = run([("translate", 5)], images, draws(np.arange(8)), edges)[0]
    matrices = np.asarray(geometry.translation(draws(np.arange(8)).keys(0), 5))
    np.testing.assert_array_equal(moved, np.round(by_scipy(images, matrices, edges)))
    cropped = run([("crop", 5)], images, draws(np.arange(8)), edges)[0]
    assert np.array_equal(cropped, moved)


def test_neighbours_are_one_interpolation_with_the_product_of_their_matrices() -> None:
    images, these = pictures(8), draws(np.arange(8))
    pairs = [("rotate", 30.0), ("translate", 2), ("scale", 0.5), ("shear", 20.0)]
    maps = [geometry.rotation, geometry.translation, geometry.scaling, geometry.shearing]
    matrices = [
        np.asarray(quick(make, these.keys(i), strength), np.float64)
        for i, (make, (_, strength)) in enumerate(zip(maps, pairs, strict=True))  # type: ignore[operator]
    ]
    product = functools.reduce(np.matmul, matrices)
    composed = run(pairs, images, these, "reflect")[0]
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
    images, these, waves = pictures(8), draws(np.arange(8)), (2.0, 2.5)
    turns = np.asarray(geometry.rotation(these.keys(0), 60.0))
    moved = np.asarray(geometry.elastic(these.keys(1), (9, 7), waves))
    together = run([("rotate", 60.0), ("elastic", waves)], images, these, edges)[0]
    np.testing.assert_allclose(together, displaced_by_scipy(images, turns, moved, edges), atol=0.05)

    first, still = np.asarray(geometry.elastic(these.keys(0), (9, 7), waves)), np.tile(np.eye(3), (8, 1, 1))
    later = np.asarray(geometry.rotation(these.keys(1), 60.0))
    apart = run([("elastic", waves), ("rotate", 60.0)], images, these, edges)[0]
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


# Boxes


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
    images = pictures(4, 20, 16)
    top, left, height, width = np.array([[0, 3, 7, 2], [0, 5, 1, 4], [20, 9, 13, 8], [16, 7, 8, 12]], np.float32)
    ours = quick(geometry.crop_and_resize, images, top, left, height, width)
    for i in range(4):
        box = (left[i], top[i], left[i] + width[i], top[i] + height[i])
        cropped = Image.fromarray(images[i]).crop(tuple(map(int, box)))
        expected = np.asarray(cropped.resize((16, 20), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(ours[i], expected, atol=1.01)  # Pillow rounds after each axis


# Covering and mixing


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
    images, labels = pictures(600, 2, 2, 1).astype(np.float32), np.eye(4, dtype=np.float32)[np.arange(600) % 4]
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


def test_mixing_twice_keeps_probabilities() -> None:
    soft = run([("mixup", 1.0), ("mixup", 1.0)], pictures(12), draws(np.arange(12)))[1]
    np.testing.assert_allclose(soft.sum(1), 1, atol=1e-6)
    assert ((soft > 0.01).sum(1) > 2).any()


# Together


@pytest.mark.parametrize(
    ("name", "strength", "most"),
    [("translate", 9, "7"), ("crop", 8, "7"), ("cutout", 8, "7"), ("elastic", (4.0, 8.0), "3.5")],
)
def test_too_much_for_the_image_is_said_before_anything_is_built(name: str, strength: Any, most: str) -> None:
    said = re.escape(f"('{name}', {strength}) is too much for images of 8x8; choose at most {most} pixels")
    with pytest.raises(InputError, match=said):
        build(tiny_config(augment=((name, strength),)))
