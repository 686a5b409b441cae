"""Arrays and references for tests of operations."""

from typing import Any

import jax
import numpy as np
from jax import lax


def normal(seed: int, *shape: int, dtype: Any = np.float64) -> Any:
    """Standard normal values, the same for a seed."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def xla_conv(x: jax.Array, k: jax.Array, padding: Any) -> jax.Array:
    """XLA's own convolution at stride 1."""
    return lax.conv_general_dilated(x, k, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
