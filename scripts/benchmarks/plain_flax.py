"""The benchmarked networks as one writes them in Flax without this package: `nn.Conv`, `nn.BatchNorm`, `nn.max_pool`.

Layer by layer the same as the ones of `cnn_jax.models`, names of parameters included.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

Step = Callable[[Any, jax.Array, jax.Array], Any]


class LeNet5(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.relu(nn.Conv(6, (5, 5), padding=2, name="conv1")(x))
        x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.relu(nn.Conv(16, (5, 5), padding="VALID", name="conv2")(x))
        x = nn.max_pool(x, (2, 2), (2, 2)).reshape(x.shape[0], -1)
        x = nn.relu(nn.Dense(120, name="dense")(x))
        return Head((84,), name="head")(x)


class Head(nn.Module):
    hidden: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i, units in enumerate(self.hidden, start=1):
            x = nn.relu(nn.Dense(units, name=f"hidden{i}")(x))
        return nn.Dense(10, name="logits")(x)


class Block(nn.Module):
    filters: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.Conv(self.filters, (3, 3), use_bias=False, name="conv1")(x)
        x = nn.BatchNorm(not train, momentum=0.9, name="norm1")(x)
        return nn.max_pool(nn.relu(x), (2, 2), (2, 2))


class CNN(nn.Module):
    filters: tuple[int, ...] = (32, 64)

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for i, filters in enumerate(self.filters, start=1):
            x = Block(filters, name=f"block{i}")(x, train)
        return Head((128,), name="head")(x.reshape(x.shape[0], -1))


class ConvNorm(nn.Module):
    features: int
    kernel: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.Conv(
            self.features, (self.kernel,) * 2, self.stride, self.kernel // 2, use_bias=False, name="conv"
        )(x)  # fmt: skip
        return nn.BatchNorm(not train, momentum=0.9, name="norm")(x)


class ResNetBlock(nn.Module):
    width: int
    stride: int
    bottleneck: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        wide = self.width * (4 if self.bottleneck else 1)
        if self.bottleneck:
            y = nn.relu(ConvNorm(self.width, 1, name="conv1")(x, train))
            y = nn.relu(ConvNorm(self.width, 3, self.stride, name="conv2")(y, train))
            y = ConvNorm(wide, 1, name="conv3")(y, train)
        else:
            y = nn.relu(ConvNorm(wide, 3, self.stride, name="conv1")(x, train))
            y = ConvNorm(wide, 3, name="conv2")(y, train)
        if x.shape != y.shape:
            x = ConvNorm(wide, 1, self.stride, name="shortcut")(x, train)
        return nn.relu(x + y)


class Stage(nn.Module):
    depth: int
    width: int
    stride: int
    bottleneck: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for i in range(self.depth):
            x = ResNetBlock(self.width, self.stride if i == 0 else 1, self.bottleneck, name=f"block{i + 1}")(x, train)
        return x


class ResNet(nn.Module):
    blocks: tuple[int, ...]
    bottleneck: bool
    small_images: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        kernel, stride = (3, 1) if self.small_images else (7, 2)
        x = nn.relu(ConvNorm(64, kernel, stride, name="stem")(x, train))
        if not self.small_images:
            x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for i, depth in enumerate(self.blocks):
            x = Stage(depth, 64 * 2**i, 1 if i == 0 else 2, self.bottleneck, name=f"stage{i + 1}")(x, train)
        return Head((), name="head")(x.mean(axis=(1, 2)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "lenet5": LeNet5,
    "cnn": CNN,
    "resnet18": partial(ResNet, (2, 2, 2, 2), bottleneck=False, small_images=True),
    "resnet50": partial(ResNet, (3, 4, 6, 3), bottleneck=True, small_images=False),
}


def make_step(name: str, rate: float, momentum: float) -> tuple[Callable[[jax.Array], Any], Step]:
    """How training begins, and its compiled step of SGD: images -> state; state, images, labels -> state, loss."""
    model, optimizer = NETWORKS[name](), optax.sgd(rate, momentum)

    def begin(images: jax.Array) -> Any:
        variables = model.init(jax.random.key(0), images, train=False)
        return variables["params"], variables.get("batch_stats", {}), optimizer.init(variables["params"])

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, images: jax.Array, labels: jax.Array) -> Any:
        params, statistics, moments = state

        def loss_of(params: Any) -> Any:
            logits, updated = model.apply(
                {"params": params, "batch_stats": statistics}, images, train=True, mutable=["batch_stats"]
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), labels)
            return losses.mean(), updated.get("batch_stats", {})

        (loss, statistics_), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, moments = optimizer.update(gradients, moments, params)
        return (optax.apply_updates(params, updates), statistics_, moments), loss

    return jax.jit(begin), step


def make_inference(name: str) -> dict[str, Callable[[Any, Mapping[str, np.ndarray]], Any]]:
    """Evaluation and prediction: (state of `make_step`, batch on the host) -> sums of loss and hits; logits."""
    model = NETWORKS[name]()

    @jax.jit
    def predict(state: Any, images: jax.Array) -> Any:
        inputs = images.astype(jnp.float32) / 127.5 - 1
        return model.apply({"params": state[0], "batch_stats": state[1]}, inputs, train=False)

    @jax.jit
    def evaluate(state: Any, images: jax.Array, labels: jax.Array) -> Any:
        logits = predict(state, images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.sum(), (logits.argmax(-1) == labels).sum()

    return {
        "evaluate": lambda state, batch: jax.device_get(evaluate(state, batch["image"], batch["label"])),
        "predict": lambda state, batch: np.asarray(predict(state, batch["image"])),
    }
