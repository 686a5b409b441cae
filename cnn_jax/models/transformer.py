"""The parts of transformers for images (Vaswani et al. 2017; Dosovitskiy et al. 2021)."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import constant, truncated_normal

from cnn_jax.models.activations import gelu
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.initializers import INITIALIZATIONS, Initialization
from cnn_jax.models.layers import Dense

SMALL_NORMAL = INITIALIZATIONS["truncated_normal"]  # a standard deviation of 0.02, as in timm and torchvision
EPSILON = 1e-6  # PyTorch's default is 1e-5; no published file of these networks has it


def layer_norm(compute: ComputeConfig, name: str) -> nn.LayerNorm:
    """Over the channels of each position (Ba, Kiros & Hinton 2016): [..., C] -> the same."""
    return nn.LayerNorm(
        epsilon=EPSILON,
        dtype=compute.dtype,
        param_dtype=compute.param_dtype,
        use_fast_variance=False,  # the mean of squares less the squared mean loses digits
        # Flax would take statistics in float32 even where everything else is float64.
        force_float32_reductions=compute.param_dtype == jnp.float32,
        name=name,
    )


def stochastic_depth(y: jax.Array, rate: float, train: bool) -> jax.Array:
    """A branch that a share of the examples goes without in training; the rest is scaled up (Huang et al. 2016).

    To be called inside a compact module; it draws from the stream "dropout".
    """
    return nn.Dropout(rate, broadcast_dims=tuple(range(1, y.ndim)), deterministic=not train)(y)


class LayerScale(nn.Module):
    """A factor for each channel (Touvron et al. 2021, "Going deeper with image transformers"): [..., C] -> the same."""

    initial: float
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", constant(self.initial), (x.shape[-1],), self.compute.param_dtype)
        return x * scale.astype(self.compute.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


class FeedForward(nn.Module):
    """To `expansion` times the channels, exact GELU, and back: [..., C] -> the same."""

    expansion: int = 4
    initialization: Initialization = SMALL_NORMAL
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        def dense(features: int, name: str) -> Dense:
            return Dense(features, initialization=self.initialization, compute=self.compute, name=name)

        channels = x.shape[-1]
        return dense(channels, "project")(gelu(dense(self.expansion * channels, "expand")(x)))


class DotProduct(nn.Module):
    """softmax(q k^T / sqrt(D) + bias) v of queries, keys and values [B, T, heads, D]; the softmax is at least float32.

    A module without parameters, for the table of layers, which counts its two products.
    """

    @nn.compact
    def __call__(self, query: jax.Array, key: jax.Array, value: jax.Array, bias: jax.Array | None = None) -> jax.Array:
        # `jax.nn.dot_product_attention` has no float16 on CPUs.
        wide = jnp.promote_types(query.dtype, jnp.float32)
        scores = jnp.einsum("bthd,bshd->bhts", query, key, preferred_element_type=wide) / math.sqrt(query.shape[-1])
        weights = jax.nn.softmax(scores if bias is None else scores + bias, axis=-1)
        return jnp.einsum("bhts,bshd->bthd", weights.astype(value.dtype), value)

    @staticmethod
    def multiply_adds(output_shape: tuple[int, ...]) -> int:
        """Of one image, whose output is [T, heads, D]: T * T * heads * D for each of the two products."""
        return 2 * output_shape[0] * math.prod(output_shape)


class Attention(nn.Module):
    """Self-attention with several heads (Vaswani et al. 2017, section 3.2): [B, T, C] -> [B, T, features].

    Attributes:
      heads, head_size: of queries, keys and values.
      grid: (height, width) of the map whose positions the tokens are, row by row: then a learnt number for each offset
        between two positions is added to what is before the softmax, for each head (Dai et al. 2021, eq. 4).
    """

    features: int
    heads: int
    head_size: int
    grid: tuple[int, int] | None = None
    initialization: Initialization = SMALL_NORMAL
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        def dense(features: int, name: str) -> Dense:
            return Dense(features, initialization=self.initialization, compute=self.compute, name=name)

        def of_heads(name: str) -> jax.Array:
            return dense(self.heads * self.head_size, name)(x).reshape(*x.shape[:2], self.heads, self.head_size)

        bias = None if self.grid is None else self._bias(self.grid)
        y = DotProduct(name="products")(of_heads("query"), of_heads("key"), of_heads("value"), bias)
        return dense(self.features, "out")(y.reshape(*x.shape[:2], -1))

    def _bias(self, grid: tuple[int, int]) -> jax.Array:
        """[1, heads, T, T], from a table [2 * height - 1, 2 * width - 1, heads]."""
        height, width = grid
        table = self.param(
            "relative_position_bias",
            truncated_normal(0.02),
            (2 * height - 1, 2 * width - 1, self.heads),
            self.compute.param_dtype,
        )
        rows, columns = np.divmod(np.arange(height * width), width)
        down, right = (place[:, None] - place[None, :] for place in (rows, columns))
        bias = table[down + height - 1, right + width - 1]
        return bias.transpose(2, 0, 1)[None].astype(self.compute.dtype)
