"""The layers that all models are made of, and the frame that makes a classifier a backbone and a head."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models.initializers import INITIALIZERS, bias_initializer
from cnn_jax.models.setting import Setting

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "silu": nn.silu,
    "tanh": jnp.tanh,
    "sigmoid": nn.sigmoid,
    "leaky_relu": nn.leaky_relu,
}
_RISING = ("relu", "leaky_relu")  # which round as they rise, too: a maximum and they commute to the bit


class Dense(nn.Module):
    """[B, in] -> [B, features]."""

    features: int
    initialization: str = "he_normal"
    setting: Setting = Setting()
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dtype, param_dtype = self.setting.dtype, self.setting.param_dtype
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", INITIALIZERS[self.initialization], shape, param_dtype)
        y = x.astype(dtype) @ kernel.astype(dtype)
        if self.use_bias:
            bias = self.param("bias", bias_initializer(self.initialization, shape[0]), (self.features,), param_dtype)
            y = y + bias.astype(dtype).reshape(1, -1)
        return y


class Pool(nn.Module):
    """Maximum or mean over windows: [B, H, W, C] -> [B, H', W', C]; no parameters, and in training the same."""

    kind: str = "max"
    window: int = 2
    stride: int = 2
    padding: int = 0

    @property
    def is_tiling(self) -> bool:
        """Whether it is the maximum of small windows side by side, for which there are faster ways."""
        sizes = ((self.window,) * 2, (self.stride,) * 2, (self.padding,) * 2)
        return self.kind == "max" and ops.is_tiling(*sizes)

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        pool = ops.max_pool if self.kind == "max" else ops.mean_pool
        try:
            return pool(x, (self.window,) * 2, (self.stride,) * 2, (self.padding,) * 2)
        except ValueError as error:
            raise ValueError(f"{_name(self)}: {error}") from error


class Conv(nn.Module):
    """`ops.conv` with its parameters: [B, H, W, in] -> [B, H', W', features]; with a `pool`, what that makes of it.

    `pooled` says that later a pool follows that `is_tiling`; see `ops.conv`.
    """

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    stride: int = 1
    edges: str = "zero"
    use_bias: bool = True
    initialization: str = "he_normal"
    kernel_init: nn.initializers.Initializer | None = None
    setting: Setting = Setting()

    @nn.compact
    def __call__(self, x: jax.Array, *, pool: Pool | None = None, pooled: bool = False) -> jax.Array:
        dtype, param_dtype = self.setting.dtype, self.setting.param_dtype
        pooled = pooled or (pool is not None and pool.is_tiling)
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init or INITIALIZERS[self.initialization], shape, param_dtype)
        try:
            y = ops.conv(x.astype(dtype), kernel.astype(dtype), (self.stride,) * 2, self.edges, pooled=pooled)
        except ValueError as error:
            raise ValueError(f"{_name(self)}: {error}") from error
        if pool is not None and pool.kind == "max":  # it and the bias commute, to the bit
            y, pool = pool(y), None
        if self.use_bias:
            init = bias_initializer(self.initialization, math.prod(shape[:3]))
            y = y + self.param("bias", init, (self.features,), param_dtype).astype(dtype).reshape(1, 1, 1, -1)
        return y if pool is None else pool(y)


class BatchNorm(nn.Module):
    """`ops.batch_norm` with its parameters and running statistics, named as Flax names them.

    Without `use_scale` its scale is 1 and no parameter. In training it takes the maximum of each `window`, too.
    """

    train: bool
    epsilon: float = 1e-5
    momentum: float = 0.9
    use_scale: bool = True
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    setting: Setting = Setting()

    @nn.compact
    def __call__(self, x: jax.Array, window: tuple[int, int] | None = None) -> jax.Array:
        kind, features = self.setting.param_dtype, (x.shape[-1],)
        mean = self.variable("batch_stats", "mean", jnp.zeros, features, kind)
        variance = self.variable("batch_stats", "var", jnp.ones, features, kind)
        scale = self.param("scale", self.scale_init, features, kind) if self.use_scale else jnp.ones(features, kind)
        bias = self.param("bias", nn.initializers.zeros, features, kind)
        x = jnp.asarray(x, self.setting.dtype)
        if not self.train:
            return ops.normalized(x, scale, bias, self.epsilon, (mean.value, variance.value))
        # Parameters are made on one device, where no axis has a name.
        axis = None if self.is_initializing() else self.setting.axis
        y, statistics = ops.batch_norm(x, scale, bias, self.epsilon, axis, window)
        if not self.is_initializing():
            kept = self.momentum if self.setting.norm_momentum is None else self.setting.norm_momentum
            for running, new in zip((mean, variance), statistics, strict=True):
                running.value = kept * running.value + (1 - kept) * jax.lax.stop_gradient(new)
        return y


def maximum_first(pool: Pool, activation: str) -> bool:
    """Whether pool(activation(x)) is activation(pool(x)): behind a maximum there is less to do."""
    return pool.kind == "max" and activation in _RISING


def norm_and_pool(norm: Callable[..., jax.Array], pool: Pool, x: jax.Array) -> jax.Array:
    """pool(norm(x)); as one operation, which takes half the time, where there is one."""
    fits = x.shape[1] >= pool.window and x.shape[2] >= pool.window
    if isinstance(norm, BatchNorm) and norm.train and pool.is_tiling and fits:
        return norm(x, (pool.window, pool.window))
    return pool(norm(x))


def make_norm(
    kind: str, train: bool, setting: Setting, groups: int = 8, path: tuple[str, ...] = (), **kwargs: Any
) -> nn.Module:
    """A normalisation of [B, H, W, C] with a scale and a bias per channel, epsilon 1e-5; `path` is its module's.

    Its statistics are computed and kept in float32 (float64 in a network of float64).

    batch: over B, H, W (Ioffe & Szegedy 2015), and over the devices of `setting.axis`. Its running statistics keep
      `momentum` of the old value, 0.9, which PyTorch calls momentum 0.1; the running variance is the biased one,
      PyTorch's is larger by n / (n - 1). Where its scale and its bias are both frozen it is frozen as a whole, as in
      Keras: also in training it normalises with its running statistics and leaves them as they are.
      (PyTorch's requires_grad=False does not: there new data change a network that was to stay as it is.)
    group: over H, W and the channels of a group; layer: over H, W and all channels (Wu & He 2018, eq. 3 to 7).
    """
    param_dtype = setting.param_dtype
    types = {
        "dtype": setting.dtype,
        "param_dtype": param_dtype,
        # Flax would keep running statistics in float32 even where everything else is float64.
        "force_float32_reductions": param_dtype == jnp.float32,
    }
    if kind == "batch":
        train = train and not setting.freezes_norm((*path, kwargs.get("name") or ""))
        return BatchNorm(train, setting=setting, **kwargs)
    return nn.GroupNorm(num_groups=1 if kind == "layer" else groups, epsilon=1e-5, **types, **kwargs)


class Head(nn.Module):
    """The MLP that turns a feature vector [B, D] into logits [B, num_classes], with dropout before each layer.

    Without `use_bias` the last layer has none.
    """

    num_classes: int
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    activation: str = "relu"
    initialization: str = "he_normal"
    setting: Setting = Setting()
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for i, units in enumerate(self.hidden, start=1):
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
            x = Dense(units, self.initialization, self.setting, name=f"hidden{i}")(x)
            x = ACTIVATIONS[self.activation](x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Dense(self.num_classes, self.initialization, self.setting, self.use_bias, name="logits")(x)


class Classifier(nn.Module):
    """A backbone and a head; subclasses say what these are.

    `apply(variables, images [B, H, W, C], train=bool)` gives logits [B, num_classes];
    `apply(variables, images, method="embed")` the feature vector [B, D] that the head sees.
    Both are float32 (float64 in a network of float64).
    """

    num_classes: int = 10
    setting: Setting = Setting()

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        raise NotImplementedError(f"{type(self).__name__} must define backbone()")

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        raise NotImplementedError(f"{type(self).__name__} must define head()")

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False, features_only: bool = False) -> jax.Array:
        features = self.backbone(images.astype(self.setting.dtype), train)
        return (features if features_only else self.head(features, train)).astype(self.setting.param_dtype)

    def from_data(self, batches: Iterable[jax.Array]) -> dict[str, Any]:
        """The part of the first parameters that the data give, nested as in "params"; {} for most networks.

        Args:
          batches: of training images as the network takes them, normalised and not augmented: [B, H, W, C].
        """
        return {}

    def embed(self, images: jax.Array, train: bool = False) -> jax.Array:
        """The feature vector [B, D]."""
        return self(images, train, features_only=True)


def stage(kind: Any, setting: Setting) -> Any:
    """The class of a stage, called with (x, train), or what stands for it where stages are computed again.

    Names of parameters and what is computed are the same (Chen et al. 2016, "Training deep nets with sublinear memory
    cost", section 4). On CPU, XLA forgets what keeps the second computation late and so saves nothing.
    """
    return nn.remat(kind, static_argnums=(2,)) if setting.remat == "stage" else kind


def flatten(x: jax.Array) -> jax.Array:
    """[B, H, W, C] -> [B, H * W * C]."""
    return x.reshape(x.shape[0], -1)


def _name(module: nn.Module) -> str:
    return "/".join(module.path) or type(module).__name__
