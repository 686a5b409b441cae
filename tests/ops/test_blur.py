"""Blur pooling against PyTorch's, and where its result is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.ops.blur import binomial_filter
from tests.support.arrays import normal
from tests.support.helpers import ROOT


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    """What PyTorch computed; see tests/tools/make_blur_fixtures.py."""
    with np.load(ROOT / "tests/fixtures/torch_blur.npz", allow_pickle=False) as stored:
        return dict(stored)


@pytest.mark.parametrize("kind", ["blur_2", "blur_max_2", "blur_max_3"])
@pytest.mark.parametrize("size", range(2, 8))
def test_blur_is_torchs(kind: str, size: int, recorded: dict[str, np.ndarray]) -> None:
    name, stride = kind[:-2], int(kind[-1])
    x, y, c, dx = (recorded[f"{name}_{size}_{stride}/{part}"].transpose(0, 2, 3, 1) for part in ("x", "y", "c", "dx"))

    @jax.jit
    def pool_and_gradient(x: jax.Array, c: jax.Array) -> tuple[jax.Array, jax.Array]:
        if name == "blur":
            y, pull_back = jax.vjp(lambda x: ops.blur_pool(x, size, (stride, stride)), x)
        else:
            y, pull_back = jax.vjp(lambda x: ops.blur_max_pool(x, (2, 2), (stride, stride), size=size), x)
        return y, pull_back(c)[0]

    ours, gradient = pool_and_gradient(x, c)
    np.testing.assert_allclose(ours, y, rtol=0, atol=1e-6)
    np.testing.assert_allclose(gradient, dx, rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", range(2, 8))
def test_filters_are_powers_of_the_pair(size: int) -> None:
    """The sum over an image is kept but at borders, a checkerboard vanishes, and a constant stays."""
    power = np.ones(1)
    for _ in range(size - 1):
        power = np.convolve(power, [0.5, 0.5])
    np.testing.assert_array_equal(binomial_filter(size), power)
    rows, columns = np.indices((12, 12))
    checkerboard = (((rows + columns) % 2) * 2.0 - 1).reshape(1, 12, 12, 1).astype(np.float32)
    np.testing.assert_allclose(ops.blur_pool(jnp.asarray(checkerboard), size), 0, atol=1e-6)
    np.testing.assert_allclose(ops.blur_pool(jnp.full((1, 5, 7, 2), 3.0), size), 3, rtol=1e-6)


@pytest.mark.parametrize("side", range(1, 6))
def test_small_maps_are_mirrored_again(side: int) -> None:
    """As NumPy mirrors; and a map of one pixel stays as it is."""
    x = np.asarray(normal(side, 1, side, side, 1, dtype=np.float32))
    row = binomial_filter(7)
    wide = np.pad(x[0, :, :, 0], 3, mode="reflect").astype(np.float64)
    expected = [[float(row @ wide[i : i + 7, j : j + 7] @ row) for j in range(0, side, 2)] for i in range(0, side, 2)]
    np.testing.assert_allclose(ops.blur_pool(jnp.asarray(x), 7)[0, :, :, 0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("side", "size"), [(1, 4), (2, 7), (3, 7), (4, 5), (6, 2)])
def test_gradient_is_the_transpose(side: int, size: int) -> None:
    """<blur x, c> = <x, gradient>, where maps are mirrored more than once, too; strides of 2 and 3."""
    x, wide = normal(0, 1, side, side + 1, 2, dtype=np.float32), (2, 3)
    y, pull_back = jax.vjp(jax.jit(lambda x: ops.blur_pool(x, size, wide)), x)
    c = normal(1, *y.shape, dtype=np.float32)
    np.testing.assert_allclose(jnp.vdot(y, c), jnp.vdot(x, pull_back(c)[0]), rtol=1e-5, atol=1e-6)


def test_equal_pixels_share_a_maximum() -> None:
    """Of blurred maxima: each window's gradient is given away once, whatever is equal."""
    x = jnp.zeros((1, 5, 4, 1)).at[0, 2, 2].set(1.0)
    pool = jax.jit(lambda x: ops.blur_max_pool(x, (3, 2), (1, 1), size=3))
    pull = jax.jit(jax.grad(lambda x: pool(x).sum()))
    y, gradient = pool(x), pull(x)
    np.testing.assert_allclose(y, ops.blur_pool(ops.max_pool(x, (3, 2), (1, 1)), 3, (1, 1)), rtol=1e-6)
    np.testing.assert_allclose(gradient.sum(), y.size, rtol=1e-6)
    assert gradient[0, 2, 2, 0] == gradient.max()
    of_constant = pull(jnp.zeros_like(x))
    np.testing.assert_allclose(of_constant, of_constant[:, ::-1, ::-1], rtol=1e-6)


@pytest.mark.parametrize(("size", "window", "stride", "padding"), [(9, 3, 2, 1), (8, 2, 2, 0), (7, 2, 3, 0)])
def test_blurred_maxima_have_the_maximas_shape(size: int, window: int, stride: int, padding: int) -> None:
    x = jnp.zeros((1, size, size + 1, 2))
    pairs = (window,) * 2, (stride,) * 2, (padding,) * 2
    assert ops.blur_max_pool(x, *pairs).shape == ops.max_pool(x, *pairs).shape
