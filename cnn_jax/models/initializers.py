"""Weight initialisation by name: initializers of (key, shape, dtype), for kernels [..., in, out].

He and LeCun draw from the full normal distribution, as the papers and PyTorch do (`jax.nn.initializers.he_normal`
truncates it).
"""

import math

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer, orthogonal, truncated_normal, variance_scaling

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
    "torch": variance_scaling(1.0 / 3.0, "fan_in", "uniform"),
}


def bias_initializer(name: str, fan_in: int) -> Initializer:
    """Zeros; for `torch`, PyTorch's U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
    if name != "torch":
        return jax.nn.initializers.zeros
    bound = 1.0 / math.sqrt(fan_in)
    return lambda key, shape, dtype=jnp.float32, out_sharding=None: jax.random.uniform(key, shape, dtype, -bound, bound)
