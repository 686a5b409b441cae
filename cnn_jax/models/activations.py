"""Nonlinearities by name."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

Activation = Callable[[jax.Array], jax.Array]


def gelu(x: jax.Array) -> jax.Array:
    """x times the normal distribution function of x (Hendrycks & Gimpel 2016), exactly, as PyTorch's default."""
    return nn.gelu(x, approximate=False)


@jax.custom_jvp
def relu6(x: jax.Array) -> jax.Array:
    """min(max(x, 0), 6); at 0 and 6 the gradient is 0, as in PyTorch (`jax.nn.relu6` has 0.5 there)."""
    return jnp.clip(x, 0, 6)


# From the result, which the next layer keeps anyway.
relu6.defjvps(lambda tangent, y, x: jnp.where((y > 0) & (y < 6), tangent, 0))


def hard_sigmoid(x: jax.Array) -> jax.Array:
    """A sigmoid of three lines: relu6(x + 3) / 6 (Howard et al. 2019, "Searching for MobileNetV3", section 5.2)."""
    return relu6(x + 3) / 6


def hard_swish(x: jax.Array) -> jax.Array:
    """x times the hard sigmoid of x (there, too)."""
    return x * hard_sigmoid(x)


ACTIVATIONS: dict[str, Activation] = {
    "relu": nn.relu,
    "gelu": gelu,
    "silu": nn.silu,
    "tanh": jnp.tanh,
    "sigmoid": nn.sigmoid,
    "leaky_relu": nn.leaky_relu,
    "relu6": relu6,
    "hard_swish": hard_swish,
    "hard_sigmoid": hard_sigmoid,
}
MONOTONE = (nn.relu, nn.leaky_relu, relu6)  # which round as they rise, too: a maximum and they commute to the bit
