"""Learned kernels beside classic ones: planted filters are found, chance is measured, responses have closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis import filters
from cnn_jax.analysis.kernels import classic_kernels, first_kernels, frequency_response, match_classic
from cnn_jax.analysis.layers import list_layers
from cnn_jax.config.tree import default_config
from cnn_jax.models import make_model


def test_planted_filters_are_found() -> None:
    """Times a color and a factor, with some noise; a Gabor by its phase, waves and direction."""
    random = np.random.RandomState(0)
    turned = np.cos(np.pi / 4) * filters.sobel(1) + np.sin(np.pi / 4) * filters.sobel(0)
    color = np.array([0.3, -1.0, 0.5])
    small = np.stack([turned, filters.laplacian(), np.rot90(filters.emboss(), -1), np.zeros((3, 3))], -1)
    kernels = -0.2 * color[:, None] * small[:, :, None, :]
    kernels[..., :3] += 0.01 * random.standard_normal(kernels[..., :3].shape)
    found = match_classic(kernels)
    assert found is not None
    assert found.names == ("Sobel 45", "Laplacian", "emboss 135", None)
    assert found.is_close.tolist() == [True, True, True, False]
    assert (found.similarities[:3] > 0.95).all()
    y, x = np.mgrid[-3:4, -3:4]
    gabor = filters.gabor_at(y, x, 2 / 7, np.pi / 3, 7 / 4, np.pi / 2)[:, :, None, None]
    wanted = match_classic(gabor)
    assert wanted is not None
    assert wanted.names == ("Gabor odd, 2 waves, 60",)
    assert wanted.similarities[0] == pytest.approx(1)


@pytest.mark.parametrize("shape", [(3, 3, 1), (5, 5, 3), (2, 2, 3), (3, 5, 1)])
def test_chance_is_five_in_a_hundred(shape: tuple[int, ...]) -> None:
    """Of random kernels other than those that it was measured with."""
    found = match_classic(np.random.RandomState(7).standard_normal((*shape, 2000)))
    assert found is not None
    assert found.is_close.mean() == pytest.approx(0.05, abs=0.025)


def test_classic_kernels_are_of_one_length() -> None:
    for kernel in classic_kernels(5, 7).values():
        assert kernel.shape == (5, 7)
        assert np.linalg.norm(kernel) == pytest.approx(1)
    assert not {name for name in classic_kernels(4, 4) if name.startswith(("Sobel", "Laplacian"))}
    assert "Farid 30" in classic_kernels(5, 5)
    assert "Farid 30" not in classic_kernels(3, 3)


def test_one_pixel_has_no_shape() -> None:
    assert match_classic(np.ones((1, 1, 3, 4))) is None


def test_responses_have_their_closed_form() -> None:
    """A central difference passes 2 |sin(2 pi f)|, one pixel everything, and channels add as squares."""
    difference = np.zeros((3, 3, 2, 2))
    difference[1, [0, 2], 0, 0] = -1, 1
    difference[1, 1, :, 1] = 3, 4
    response = frequency_response(difference, 16)
    waves = (np.arange(16) - 8) / 16
    wanted = np.broadcast_to(2 * np.abs(np.sin(2 * np.pi * waves)), (16, 16))
    np.testing.assert_allclose(response[..., 0], wanted, rtol=0, atol=1e-6)
    np.testing.assert_allclose(response[..., 1], 5, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "layer"), [("cnn", "block1/conv1"), ("mlp", None), ("resnet18", "stem/conv")])
def test_first_kernels_are_found(name: str, layer: str | None) -> None:
    model = make_model(default_config(model=name).model, 3, in_order=True)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3))))
    variables = jax.tree.map(lambda each: np.zeros(each.shape, np.float32), shapes)
    layers = list_layers(lambda v, x: model.apply(v, x, train=False), variables, (32, 32, 3))  # type: ignore[arg-type]
    found = first_kernels(variables, list(layers))
    assert (found and found[0]) == layer
    assert found is None or found[1].shape[2] == 3
