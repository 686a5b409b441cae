"""First weights have the published spread."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.models.initializers import INITIALIZATIONS


@pytest.mark.parametrize("name", [name for name in INITIALIZATIONS if name != "dirac"])
def test_initialization_has_the_published_spread(name: str) -> None:
    shape = (3, 3, 64, 128)
    fan_in, fan_out = 9 * 64, 9 * 128
    deviation = {
        "he": np.sqrt(2 / fan_in), "glorot": np.sqrt(2 / (fan_in + fan_out)), "lecun": np.sqrt(1 / fan_in),
        "truncated": 0.02 * 0.8796, "torch": np.sqrt(1 / (3 * fan_in)),
    }.get(name.split("_")[0])  # fmt: skip
    weights = np.asarray(INITIALIZATIONS[name].kernel(jax.random.key(0), shape, jnp.float32))
    if deviation is None:
        matrix = weights.reshape(-1, 128)
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(128), atol=1e-4)
        return
    assert weights.std() == pytest.approx(deviation, rel=0.02)
    if name.endswith("uniform") or name == "torch":
        assert np.abs(weights).max() <= deviation * np.sqrt(3) * 1.0001
    elif name.endswith("_normal") and name != "truncated_normal":
        assert np.abs(weights).max() > 3 * deviation  # not truncated
    else:
        assert np.abs(weights).max() <= 2 * 0.02 + 1e-6


def test_torch_initialization_draws_biases() -> None:
    bias = np.asarray(INITIALIZATIONS["torch"].bias(100)(jax.random.key(0), (10_000,)))
    assert np.abs(bias).max() <= 0.1
    assert bias.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.03)
    assert not np.asarray(INITIALIZATIONS["he_normal"].bias(100)(jax.random.key(0), (10,))).any()
