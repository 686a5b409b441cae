"""The layers that all models are made of."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.initializers import INITIALIZATIONS, Initialization


class Dense(nn.Module):
    """[..., in] -> [..., features]."""

    features: int
    use_bias: bool = True
    initialization: Initialization = INITIALIZATIONS["he_normal"]
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dtype, param_dtype = self.compute.dtype, self.compute.param_dtype
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", self.initialization.kernel, shape, param_dtype)
        y = x.astype(dtype) @ kernel.astype(dtype)
        if self.use_bias:
            bias = self.param("bias", self.initialization.bias(shape[0]), (self.features,), param_dtype)
            y = y + bias.astype(dtype).reshape((1,) * (y.ndim - 1) + (-1,))
        return y


class Pool(nn.Module):
    """Maximum or mean over windows: [B, H, W, C] -> [B, H', W', C]; no parameters, and in training the same.

    Attributes:
      kind: "max"; "mean"; "blur_max": `ops.blur_max_pool`; "blur": `ops.blur_pool`, with neither window nor padding.
      blur_filter_size: side of the filter of the last two.
    """

    kind: str = "max"
    window: int = 2
    stride: int = 2
    padding: int = 0
    blur_filter_size: int = 4

    @property
    def is_tiling(self) -> bool:
        """Whether it is the maximum of small windows side by side, for which there are faster ways."""
        sizes = ((self.window,) * 2, (self.stride,) * 2, (self.padding,) * 2)
        return self.kind == "max" and ops.is_tiling(*sizes)

    def __call__(self, x: jax.Array) -> jax.Array:
        window, strides, padding = (self.window,) * 2, (self.stride,) * 2, (self.padding,) * 2
        try:
            if self.kind == "blur":
                return ops.blur_pool(x, self.blur_filter_size, strides)
            if self.kind == "blur_max":
                return ops.blur_max_pool(x, window, strides, padding, self.blur_filter_size)
            return (ops.max_pool if self.kind == "max" else ops.mean_pool)(x, window, strides, padding)
        except ValueError as error:
            raise ValueError(f"{_name(self)}: {error}") from error


class Conv(nn.Module):
    """`ops.conv` with its parameters: [B, H, W, in] -> [B, H', W', features]; depthwise with as many groups as in."""

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    stride: int = 1
    padding_mode: str = "zero"
    groups: int = 1
    use_bias: bool = True
    initialization: Initialization = INITIALIZATIONS["he_normal"]
    compute: ComputeConfig = ComputeConfig()

    @nn.compact
    def __call__(self, x: jax.Array, *, before: Pool | None = None) -> jax.Array:
        """`before` is for `conv_norm_act` alone: the pool that follows; the bias is then left to `add_bias`."""
        dtype, param_dtype = self.compute.dtype, self.compute.param_dtype
        if x.shape[-1] % self.groups or self.features % self.groups:
            raise ValueError(f"{_name(self)}: {x.shape[-1]} channels to {self.features} in {self.groups} groups")
        shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.initialization.kernel, shape, param_dtype)
        if self.use_bias:
            self.param("bias", self.initialization.bias(math.prod(shape[:3])), (self.features,), param_dtype)
        pooled = before is not None and before.is_tiling
        try:
            y = ops.conv(
                x.astype(dtype), kernel.astype(dtype), (self.stride,) * 2, self.padding_mode, groups=self.groups,
                pooled=pooled,
            )  # fmt: skip
        except ValueError as error:
            raise ValueError(f"{_name(self)}: {error}") from error
        return y if before is not None else self.add_bias(y)

    def add_bias(self, y: jax.Array) -> jax.Array:
        """y plus the bias that the call has made; y where there is none."""
        if not self.use_bias:
            return y
        bias: jax.Array = self.get_variable("params", "bias")
        return y + bias.astype(self.compute.dtype).reshape(1, 1, 1, -1)


class BatchNorm(nn.Module):
    """`ops.batch_norm` over B, H, W (Ioffe & Szegedy 2015) and over the devices of `compute.axis`.

    Parameters and running statistics are named as Flax names them, and float32 (float64 in a network of float64). A
    running statistic keeps `momentum` of the old value: 0.9, which PyTorch calls momentum 0.1. The running variance is
    the biased one; PyTorch's is larger by n / (n - 1). Without `use_scale` the scale is 1 and no parameter.
    """

    epsilon: float = 1e-5
    momentum: float = 0.9
    use_scale: bool = True
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    compute: ComputeConfig = ComputeConfig()

    @property
    def is_frozen(self) -> bool:
        """Whether scale and bias are both frozen: then the running statistics are used and kept, as in Keras.

        PyTorch's requires_grad=False goes on updating them: new data change a network that was to stay as it is.
        """
        return self.compute.freezes_norm(self.path)

    @nn.compact
    def __call__(self, x: jax.Array, use_running_average: bool, window: tuple[int, int] | None = None) -> jax.Array:
        """[B, H, W, C] -> the same; in training, with a `window`, the maximum over each: see `ops.batch_norm`."""
        kind, features = self.compute.param_dtype, (x.shape[-1],)
        mean = self.variable("batch_stats", "mean", jnp.zeros, features, kind)
        variance = self.variable("batch_stats", "var", jnp.ones, features, kind)
        scale = self.param("scale", self.scale_init, features, kind) if self.use_scale else jnp.ones(features, kind)
        bias = self.param("bias", nn.initializers.zeros, features, kind)
        x = jnp.asarray(x, self.compute.dtype)
        if use_running_average or self.is_frozen:
            return ops.normalized(x, scale, bias, self.epsilon, (mean.value, variance.value))
        # Parameters are made on one device, where no axis has a name.
        axis = None if self.is_initializing() else self.compute.axis
        y, statistics = ops.batch_norm(x, scale, bias, self.epsilon, axis, window)
        if not self.is_initializing():
            kept = self.momentum if self.compute.norm_momentum is None else self.compute.norm_momentum
            for running, new in zip((mean, variance), statistics, strict=True):
                running.value = kept * running.value + (1 - kept) * jax.lax.stop_gradient(new)
        return y


def make_norm(kind: str, compute: ComputeConfig, groups: int = 8, **kwargs: Any) -> nn.Module | None:
    """A normalisation of [B, H, W, C] with a scale and a bias per channel, epsilon 1e-5; of kind "none" None.

    batch: `BatchNorm`; group: over H, W and the channels of a group; layer: over H, W and all channels (Wu & He 2018,
    eq. 3 to 7).
    """
    if kind == "none":
        return None
    if kind == "batch":
        return BatchNorm(compute=compute, **kwargs)
    return nn.GroupNorm(
        num_groups=1 if kind == "layer" else groups,
        epsilon=1e-5,
        dtype=compute.dtype,
        param_dtype=compute.param_dtype,
        # Flax would take statistics in float32 even where everything else is float64.
        force_float32_reductions=compute.param_dtype == jnp.float32,
        **kwargs,
    )


def maybe_remat(kind: Any, compute: ComputeConfig, static_argnums: tuple[int, ...] = (2,)) -> Any:
    """The module class in `nn.remat` where `compute.remat` is "stage"; otherwise the class itself.

    Names of parameters and what is computed are the same (Chen et al. 2016, "Training deep nets with sublinear memory
    cost", section 4). On CPU, XLA forgets what keeps the second computation late and so saves nothing.

    Args:
      static_argnums: of its call; self is 0, and 2 is `train` of a call with (x, train).
    """
    return nn.remat(kind, static_argnums=static_argnums) if compute.remat == "stage" else kind


def flatten(x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, H * W * C]."""
    return x.reshape(x.shape[0], -1)


def _name(module: nn.Module) -> str:
    return "/".join(module.path) or type(module).__name__
