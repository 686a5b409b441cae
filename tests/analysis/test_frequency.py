"""Spectra, passes of bands, Fourier heat maps: their laws, and what the authors' own code gives."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis.frequency.band_pass import EVERYTHING, band_pass, count_correct, high_pass, low_pass
from cnn_jax.analysis.frequency.heat_map import fourier_heat_map, fourier_wave, frequency_grid, published_norm
from cnn_jax.analysis.frequency.spectrum import frequency_radius, measure_spectrum, share_beyond, spectral_slope
from cnn_jax.analysis.frequency.strides import find_strides, share_folded
from tests.support.helpers import ROOT

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def published() -> Arrays:
    """What the authors' code computed; see tests/tools/record_frequency_references.py."""
    with np.load(ROOT / "tests/fixtures/frequency_references.npz", allow_pickle=False) as stored:
        return dict(stored)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).uniform(size=shape).astype(np.float32)


def waves(height: int, width: int) -> np.ndarray:
    """All of a size, [H, W, H, W]."""
    of_row = jax.vmap(functools.partial(fourier_wave, height, width), in_axes=(None, 0))
    every = jax.jit(jax.vmap(of_row, in_axes=(0, None)))
    return np.asarray(every(frequency_grid(height), frequency_grid(width)))


def wave(size: int, down: int, across: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size
    return np.cos(2 * np.pi * (down * y + across * x) + 0.3).astype(np.float32)[None, :, :, None]


@pytest.mark.parametrize("radius", [0, 1, 2.5, 4, 20])
@pytest.mark.parametrize("shape", [(2, 8, 8, 1), (2, 9, 12, 3)])
def test_low_and_high_make_the_image(shape: tuple[int, ...], radius: float) -> None:
    images = noise(*shape)
    np.testing.assert_allclose(low_pass(images, radius) + high_pass(images, radius), images, rtol=0, atol=1e-5)


def test_limits_of_the_low_pass() -> None:
    """Nothing at 0, as the comparison is strict; the mean up to the first wave; everything at infinity."""
    images = noise(2, 8, 8, 3)
    np.testing.assert_array_equal(low_pass(images, 0), 0)
    mean = np.broadcast_to(images.mean((1, 2), keepdims=True), images.shape)
    np.testing.assert_allclose(low_pass(images, 1), mean, rtol=0, atol=1e-6)
    np.testing.assert_allclose(low_pass(images, EVERYTHING), images, rtol=0, atol=1e-6)
    assert np.abs(np.asarray(low_pass(images, 1.001)) - mean).max() > 0.01


def test_bands_add_up() -> None:
    images = noise(2, 8, 8, 1)
    parts = [band_pass(images, low, high) for low, high in itertools.pairwise((0, 1, 2.5, 4, EVERYTHING))]
    np.testing.assert_allclose(sum(parts), images, rtol=0, atol=1e-6)


@pytest.mark.parametrize("radius", [1, 2, 3, 5])
def test_passes_equal_the_authors(published: Arrays, radius: int) -> None:
    images = published["photographs"]
    np.testing.assert_allclose(low_pass(images, radius), published[f"low/{radius}"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(high_pass(images, radius), published[f"high/{radius}"], rtol=0, atol=1e-6)


def test_correct_answers_are_counted_by_band() -> None:
    """A network that looks for one wave finds it where the band holds it, in batches that do not divide the images."""
    pattern = wave(8, 0, 3)
    images = np.concatenate([100 + 50 * pattern * (number % 2) for number in range(7)])
    labels = np.arange(7) % 2

    def apply(variables: object, pixels: jax.Array) -> jax.Array:
        found = jnp.abs((pixels * pattern).mean((1, 2, 3)))
        return jnp.stack([10 - found, found], 1)

    bands = [(0, EVERYTHING), (0, 3), (0, 3.1), (3, 4), (3.1, EVERYTHING)]
    counts = count_correct(apply, {}, images, labels, bands, 3)
    assert counts.tolist() == [7, 4, 7, 7, 4]


@pytest.mark.parametrize("shape", [(8, 8, 1), (7, 10, 3)])
def test_power_is_energy(shape: tuple[int, ...]) -> None:
    """Parseval; and the profile is the mean on each ring."""
    images = noise(6, *shape)
    spectrum = measure_spectrum([images[:4], images[4:]])
    energy = (images.astype(np.float64) ** 2).mean((0, 3)).sum()
    assert spectrum.power.sum() == pytest.approx(energy, rel=1e-5)
    radius = frequency_radius(*shape[:2])
    for ring, value in zip(spectrum.radii, spectrum.radial, strict=True):
        wanted = spectrum.power[(radius >= ring - 0.5) & (radius < ring + 0.5)].mean()
        assert value == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("exponent", [0.0, -2.0, -3.0])
def test_slope_of_made_spectra(exponent: float) -> None:
    """Random phases under a power of radius^exponent: the slope is found, and its interval holds it."""
    random = np.random.RandomState(1)
    amplitude = np.fft.ifftshift(np.maximum(frequency_radius(32, 32), 1) ** (exponent / 2))
    images = np.fft.ifft2(np.fft.fft2(random.standard_normal((60, 32, 32))) * amplitude).real[..., None]
    slope, (low, high), first = spectral_slope(measure_spectrum([images]).profiles)
    assert slope == pytest.approx(exponent, abs=0.15)
    assert low < slope < high < low + 0.2
    assert first == pytest.approx(1, rel=0.5)


def test_share_beyond_the_nyquist_square() -> None:
    """On every second of 16 pixels up to 4 waves hold, in both directions at once, too."""
    held, folds = (measure_spectrum([5 + wave(16, *each)]).power for each in ((4, -4), (1, 5)))
    assert share_beyond(held, 2) == pytest.approx(0, abs=1e-6)
    assert share_beyond(folds, 2) == pytest.approx(1, abs=1e-6)
    assert share_beyond(held + folds, 2) == pytest.approx(0.5, abs=1e-6)
    assert share_beyond(measure_spectrum([np.full((1, 8, 8, 1), 3.0)]).power, 2) == 0


@pytest.mark.parametrize("size", [(8, 8), (6, 7), (5, 4)])
def test_waves_equal_the_authors(published: Arrays, size: tuple[int, int]) -> None:
    height, width = size
    ours = waves(height, width)
    np.testing.assert_allclose(ours, published[f"basis/{height}x{width}"], rtol=0, atol=1e-6)


def test_waves_are_orthonormal() -> None:
    """Those of one of each pair of opposite frequencies; opposite ones are the same."""
    made = waves(6, 8)
    opposite = np.roll(made[::-1, ::-1], (1, 1), (0, 1))
    np.testing.assert_allclose(made, opposite, rtol=0, atol=1e-6)
    distinct = np.stack(list({(each + 1).round(4).tobytes(): each for each in made.reshape(48, 48)}.values()))
    assert len(distinct) == 26
    np.testing.assert_allclose(distinct @ distinct.T, np.eye(26), rtol=0, atol=1e-5)


def test_published_norms() -> None:
    assert published_norm(32, 32) == 4.0
    assert published_norm(224, 224) == pytest.approx(15.7)
    assert published_norm(8, 8) == 1.0


@pytest.fixture(scope="module")
def small(published: Arrays) -> tuple[object, np.ndarray, np.ndarray]:
    """The network of the records, with layers that have names."""
    import flax.linen as nn

    class Network(nn.Module):
        @nn.compact
        def __call__(self, pixels: jax.Array) -> jax.Array:
            hidden = nn.Dense(16, use_bias=False, name="first")((pixels / 255).reshape(len(pixels), -1))
            return nn.Dense(3, use_bias=False, name="second")(nn.relu(hidden))

    weights = {"params": {name: {"kernel": published[name]} for name in ("first", "second")}}
    return (lambda variables, pixels: Network().apply(variables, pixels)), weights, published["images"] * 255


def test_heat_map_equals_the_authors(published: Arrays, small: tuple) -> None:
    """Without flips, whose code of theirs forgets the factor; in batches that do not divide the images."""
    apply, weights, images = small
    labels = published["labels"].astype(int)
    found = fourier_heat_map(apply, weights, images, labels, 0.8, ["second"], batch_size=7)
    np.testing.assert_array_equal(found.wrong, np.round(20 * published["errors"]))
    assert 0 < found.wrong.max() < 20
    assert found.wrong_without == 0
    np.testing.assert_allclose(found.changes["second"], published["logits"], rtol=1e-4, atol=1e-6)
    logits = np.asarray(apply(weights, images))
    assert found.lengths["second"] == pytest.approx(np.linalg.norm(logits, axis=1).mean(), rel=1e-5)


def test_flips_keep_the_norm(published: Arrays, small: tuple) -> None:
    """The identity's change is 255 * norm * sqrt(channels), and signs differ between images; a key repeats itself."""
    import flax.linen as nn

    class Same(nn.Module):
        def __call__(self, pixels: jax.Array) -> jax.Array:
            return pixels

    class Network(nn.Module):
        @nn.compact
        def __call__(self, pixels: jax.Array) -> jax.Array:
            return Same(name="same")(pixels).reshape(len(pixels), -1)[:, :3]

    images, labels = np.full((6, 4, 4, 2), 128, np.uint8), np.zeros(6, int)
    draw = functools.partial(
        fourier_heat_map, lambda _, pixels: Network().apply({}, pixels), {}, images, labels, 3.0, ["same"]
    )
    found, whole = draw(key=jax.random.key(0), step=2), draw(key=jax.random.key(0), batch_size=4)
    assert found.rows.tolist() == found.columns.tolist() == [-2, 0]
    np.testing.assert_allclose(whole.changes["same"], 255 * 3 * 2**0.5, rtol=1e-5)
    np.testing.assert_array_equal(found.wrong, whole.wrong[::2, ::2])
    assert ((whole.wrong > 0) & (whole.wrong < 6)).any()
    assert draw(clip=True, step=2).changes["same"].max() <= 128 * 32**0.5 + 1e-3


def test_strides_are_read_off_shapes() -> None:
    layers = {
        "conv1": (28, 28, 6), "pool1": (14, 14, 6), "conv2": (10, 10, 16), "side": (5, 5, 16),
        "squeeze": (1, 1, 16), "conv3": (10, 10, 16), "pool2": (5, 5, 16), "mean": (1, 1, 16), "head": (10,),
    }  # fmt: skip
    found = find_strides(layers, (28, 28, 1))
    assert [(each.layer, each.before, each.step, each.total) for each in found] == [
        ("pool1", "conv1", 2, 2), ("pool2", "conv3", 2, 4),
    ]  # fmt: skip
    assert [(each.step, each.before) for each in find_strides({"patches": (14, 14, 9)}, (224, 224, 3))] == [(16, None)]


def test_what_enters_a_stride_folds() -> None:
    """The power of a layer's output beyond the grid of the next; the image's where the first layer has the stride."""
    import flax.linen as nn

    class Network(nn.Module):
        @nn.compact
        def __call__(self, images: jax.Array) -> jax.Array:
            flat = nn.avg_pool(images, (2, 2), (2, 2))
            return nn.Conv(1, (2, 2), (2, 2), name="next")(Mean(name="mean")(flat))

    class Mean(nn.Module):
        def __call__(self, maps: jax.Array) -> jax.Array:
            return maps

    images = wave(16, 0, 6) + wave(16, 1, 0)
    layers = {"mean": (8, 8, 1), "next": (4, 4, 1)}
    strides = find_strides(layers, (16, 16, 1))
    variables = Network().init(jax.random.key(0), images)
    shares = share_folded(lambda v, x: Network().apply(v, x), variables, lambda: [images], strides)
    assert shares[0] == pytest.approx(0.5, abs=1e-5)
    # Six waves look like two on the coarser grid, so that nothing more folds at the second step.
    assert shares[1] == pytest.approx(0, abs=1e-5)
