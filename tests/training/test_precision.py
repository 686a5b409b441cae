"""What is float32 in half precision, and that float64 is float64 from the image to the loss."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.config.keys import OPTIMIZERS
from cnn_jax.config.tree import default_config
from cnn_jax.data.normalize import Normalization, normalize
from cnn_jax.errors import InputError
from cnn_jax.experiment.fitting import build
from cnn_jax.models import ComputeConfig, make_model
from cnn_jax.models.layers import make_norm
from cnn_jax.models.resnet import ResNet
from cnn_jax.optimization.losses import cross_entropy
from cnn_jax.optimization.optimizers import make_optimizer
from tests.support.helpers import tiny_config
from tests.support.networks import REPRESENTATIVES, shallow

QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
# The others are made of the blocks of these.
OTHERS = ("resnet", "mobilenet", "regnet", "alexnet", "vgg", "coatnet")
_ALL = [*(name for name in REPRESENTATIVES if not name.startswith(OTHERS)), "resnet"]
SLOW = ("efficientnet", "convnext", "vit")  # which take longest to compile
KINDS = [pytest.param(name, marks=pytest.mark.slow if name.startswith(SLOW) else ()) for name in _ALL]


@pytest.fixture
def x64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


@functools.cache
def program(name: str, precision: str) -> Callable[[jax.Array], dict[str, Any]]:
    """From images to a training step's loss, gradients and new statistics."""
    if name == "resnet":
        model: Any = ResNet(7, ComputeConfig(jnp.dtype(precision)), blocks=(1, 1), small_images=True)
    else:
        block = default_config(name).model
        if name == "speednet":
            block.filters = (8, 8)  # a third group would leave one pixel, whose norm over two images is +1 or -1
        model = shallow(make_model(block, 7, precision))
    labels = jnp.array([1, 5], jnp.int32)

    def run(images: jax.Array) -> dict[str, Any]:
        variables = model.init(jax.random.key(1), images)

        def loss(params: Any) -> tuple[jax.Array, Any]:
            logits, updated = model.apply(
                {**variables, "params": params}, images, train=True, mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(2)},
            )  # fmt: skip
            return cross_entropy(logits, labels).sum(), updated.get("batch_stats", {})

        (value, statistics), gradients = jax.value_and_grad(loss, has_aux=True)(variables["params"])
        embedded = model.apply(variables, images, method="embed")
        return {"variables": variables, "loss": value, "gradients": gradients, "new": statistics, "embedded": embedded}

    return jax.jit(run, compiler_options=QUICK)


def outcome(name: str, precision: str, change: float = 0.0) -> dict[str, Any]:
    images = np.random.default_rng(0).standard_normal((2, 16, 16, 1))
    images[0, 8, 8, 0] += change
    return program(name, precision)(jnp.asarray(images))


def types(tree: Any) -> set[str]:
    return {leaf.dtype.name for leaf in jax.tree.leaves(tree)}


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", KINDS)
def test_half_precision_keeps_parameters_statistics_loss_and_gradients_in_float32(name: str, precision: str) -> None:
    found = outcome(name, precision)
    assert types(found) == {"float32"}
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(found))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", KINDS)
def test_float64_is_float64_from_the_image_to_the_loss(name: str) -> None:
    """A change of 1e-9 in one pixel is lost wherever something passes through float32."""
    plain, changed, more = (outcome(name, "float64", change) for change in (0.0, 1e-9, 2e-9))
    assert types(plain) == {"float64"}
    step, double = float(changed["loss"] - plain["loss"]), float(more["loss"] - plain["loss"])
    assert step != 0
    assert double == pytest.approx(2 * step, rel=1e-3)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["dataset", "per_image"])
def test_normalisation_is_computed_in_the_type_that_is_asked_for(name: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), np.uint8)
    normalization = Normalization(name, (0.1, 0.2, 0.3), (0.3, 0.2, 0.1))
    single, double = (normalize(jnp.asarray(images), normalization, dtype) for dtype in (jnp.float32, jnp.float64))
    assert (single.dtype, double.dtype) == (jnp.float32, jnp.float64)
    if name == "dataset":
        exact = (images / 255 - np.array(normalization.mean)) / np.array(normalization.std)
    else:
        mean, std = (getattr(images, of)((1, 2, 3), keepdims=True) for of in ("mean", "std"))
        exact = (images - mean) / std
    np.testing.assert_allclose(double, exact, rtol=0, atol=1e-13)
    np.testing.assert_allclose(single, exact, rtol=0, atol=3e-6)


@pytest.mark.parametrize("kind", ["batch", "group", "layer"])
def test_statistics_of_half_precision_are_those_of_float32(kind: str) -> None:
    """Far from zero, where a mean in bfloat16 would be wrong in the third digit, and squares worse."""
    x = (np.random.default_rng(0).standard_normal((64, 8, 8, 16)) + 3).astype(jnp.bfloat16)
    exact = x.astype(np.float64)
    norm: Any = make_norm(kind, ComputeConfig(jnp.bfloat16), groups=4)
    of_batch = {"use_running_average": False} if kind == "batch" else {}
    variables = norm.init(jax.random.key(0), x, **of_batch)
    y, updated = norm.apply(variables, x, **of_batch, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    if kind == "batch":
        mean, var = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
        statistics = updated["batch_stats"]
        np.testing.assert_allclose(statistics["mean"], 0.1 * mean, rtol=1e-6)
        np.testing.assert_allclose(statistics["var"], 0.9 + 0.1 * var, rtol=1e-6)
        expected = (exact - mean) / np.sqrt(var + 1e-5)
    else:
        parts = exact.reshape(64, 64, 4 if kind == "group" else 1, -1)
        deviation = np.sqrt(parts.var((1, 3), keepdims=True) + 1e-5)
        expected = ((parts - parts.mean((1, 3), keepdims=True)) / deviation).reshape(x.shape)
    # Only the result is rounded, to 8 bits.
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, rtol=2**-8, atol=1e-5)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_keep_the_types_of_parameters_and_of_the_optimizer(name: str, dtype: Any) -> None:
    block = {"name": name} | {key: entry.default for key, entry in OPTIMIZERS[name].items()}
    optimizer = make_optimizer(
        block | {"weight_decay": 0.1, "clip_norm": 1.0}, lambda base: lambda step: jnp.float32(base)
    )
    params = {"conv": {"kernel": jnp.ones((3, 3, 2, 4), dtype), "bias": jnp.ones(4, dtype)}}
    state = optimizer.init(params)
    updates, after = jax.jit(optimizer.update)(params, state, params)
    assert types(optax.apply_updates(params, updates)) == {jnp.dtype(dtype).name}
    assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(lambda leaf: leaf.dtype, state)


def test_float64_needs_jax_to_keep_64_bits() -> None:
    with pytest.raises(InputError, match=r"config\.precision='float64': .*JAX_ENABLE_X64=1"):
        build(tiny_config(precision="float64"))
