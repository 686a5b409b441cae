"""Weight initialisation by name, for kernels [..., in, out].

He and LeCun draw from the full normal distribution, as the papers and PyTorch do (`jax.nn.initializers.he_normal`
truncates it).
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
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


def _zeros(fan_in: int) -> Initializer:
    return jax.nn.initializers.zeros


def _torch_bias(fan_in: int) -> Initializer:
    """PyTorch's U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
    bound = 1.0 / math.sqrt(fan_in)
    return lambda key, shape, dtype=jnp.float32, out_sharding=None: jax.random.uniform(key, shape, dtype, -bound, bound)


@dataclasses.dataclass(frozen=True)
class Initialization:
    """What a layer starts from: initializers of its kernel, and of its bias given the kernel's fan-in."""

    kernel: Initializer
    bias: Callable[[int], Initializer] = _zeros


INITIALIZATIONS: dict[str, Initialization] = {
    "he_normal": Initialization(variance_scaling(2.0, "fan_in", "normal")),  # He et al. 2015, eq. 10
    "he_uniform": Initialization(variance_scaling(2.0, "fan_in", "uniform")),
    "glorot_normal": Initialization(variance_scaling(1.0, "fan_avg", "normal")),  # Glorot & Bengio 2010, eq. 12
    "glorot_uniform": Initialization(variance_scaling(1.0, "fan_avg", "uniform")),  # eq. 16
    "lecun_normal": Initialization(variance_scaling(1.0, "fan_in", "normal")),  # LeCun et al. 1998, eq. 16
    "lecun_uniform": Initialization(variance_scaling(1.0, "fan_in", "uniform")),
    "orthogonal": Initialization(orthogonal()),  # Saxe et al. 2014
    "truncated_normal": Initialization(truncated_normal(stddev=0.02)),
    # PyTorch's Conv2d and Linear: kaiming_uniform_(a=sqrt(5)), which is U(-1/sqrt(fan_in), 1/sqrt(fan_in))
    "torch": Initialization(_torch, _torch_bias),
    "dirac": Initialization(_dirac),
}
