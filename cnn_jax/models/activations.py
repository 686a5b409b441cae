"""Nonlinearities by name."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

Activation = Callable[[jax.Array], jax.Array]


def gelu(x: jax.Array) -> jax.Array:
    """x times the normal distribution function of x (Hendrycks & Gimpel 2016), exactly, as PyTorch's default."""
    return nn.gelu(x, approximate=False)


ACTIVATIONS: dict[str, Activation] = {
    "relu": nn.relu,
    "gelu": gelu,
    "silu": nn.silu,
    "tanh": jnp.tanh,
    "sigmoid": nn.sigmoid,
    "leaky_relu": nn.leaky_relu,
}
MONOTONE = (nn.relu, nn.leaky_relu)  # which round as they rise, too: a maximum and they commute to the bit
