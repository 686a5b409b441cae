"""Weight initialisation by name: initializers of (key, shape, dtype), for kernels [..., in, out].

He and LeCun draw from the full normal distribution, as the papers and PyTorch do (`jax.nn.initializers.he_normal`
truncates it).
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer, orthogonal, truncated_normal, variance_scaling

_torch = variance_scaling(1.0 / 3.0, "fan_in", "uniform")


def _dirac(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32, out_sharding: Any = None) -> jax.Array:
    """PyTorch's default, but the first `in` filters of a convolution [..., in, out] hand on one channel each.

    What enters a wide layer so comes out of it unchanged, whatever the other filters make of it (Zagoruyko & Komodakis
    2017, "DiracNets"; `torch.nn.init.dirac_` on the first filters alone). Dense layers, too, begin as PyTorch's do.
    """
    kernel = _torch(key, shape, dtype)
    if len(shape) < 3:
        return kernel
    *window, channels, features = shape
    handed = min(channels, features)
    one = jnp.zeros((*window, channels, handed), dtype)
    centre = tuple(size // 2 for size in window)
    return kernel.at[..., :handed].set(one.at[centre].set(jnp.eye(channels, handed, dtype=dtype)))


INITIALIZERS: dict[str, Initializer] = {
    "he_normal": variance_scaling(2.0, "fan_in", "normal"),  # He et al. 2015, eq. 10
    "he_uniform": variance_scaling(2.0, "fan_in", "uniform"),
    "glorot_normal": variance_scaling(1.0, "fan_avg", "normal"),  # Glorot & Bengio 2010, eq. 12
    "glorot_uniform": variance_scaling(1.0, "fan_avg", "uniform"),  # eq. 16
    "lecun_normal": variance_scaling(1.0, "fan_in", "normal"),  # LeCun et al. 1998, "Efficient BackProp", eq. 16
    "lecun_uniform": variance_scaling(1.0, "fan_in", "uniform"),
    "orthogonal": orthogonal(),  # Saxe et al. 2014
    "truncated_normal": truncated_normal(stddev=0.02),
    # PyTorch's Conv2d and Linear: kaiming_uniform_(a=sqrt(5)), which is U(-1/sqrt(fan_in), 1/sqrt(fan_in))
    "torch": _torch,
    "dirac": _dirac,
}


def bias_initializer(name: str, fan_in: int) -> Initializer:
    """Zeros; for `torch`, PyTorch's U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
    if name != "torch":
        return jax.nn.initializers.zeros
    bound = 1.0 / math.sqrt(fan_in)
    return lambda key, shape, dtype=jnp.float32, out_sharding=None: jax.random.uniform(key, shape, dtype, -bound, bound)
