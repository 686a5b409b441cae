"""One table from a model's name to its class; `config.keys.MODELS` holds the same names with their arguments."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.errors import InputError
from cnn_jax.models.activations import ACTIVATIONS
from cnn_jax.models.cnn import CNN
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.initializers import INITIALIZATIONS
from cnn_jax.models.layers import Classifier
from cnn_jax.models.lenet import LeNet5
from cnn_jax.models.mlp import MLP, Linear
from cnn_jax.models.resnet import ResNet18, ResNet34, ResNet50
from cnn_jax.models.speednet import SpeedNet
from cnn_jax.models.table import Table, make_table

__all__ = ["MODELS", "Classifier", "ComputeConfig", "Table", "make_model", "make_table", "variable_shapes"]

MODELS: dict[str, Callable[..., Classifier]] = {
    "linear": Linear,
    "mlp": MLP,
    "lenet5": LeNet5,
    "cnn": CNN,
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
    "speednet": SpeedNet,
}


def make_model(
    model: Mapping[str, Any],
    num_classes: int,
    precision: str = "float32",
    remat: str = "none",
    axis: str | None = None,
    freeze: str | None = None,
) -> Classifier:
    """The module for a config's `model` block: a name and that model's own arguments; the rest is `ComputeConfig`'s.

    Raises:
      InputError: JAX was not told to keep 64 bits.
    """
    if precision == "float64" and jnp.result_type(float) != jnp.float64:
        raise InputError(
            "config.precision='float64': JAX keeps 64 bits only where the environment says JAX_ENABLE_X64=1"
        )
    arguments = {key: value for key, value in model.items() if key != "name"}
    for key, functions in (("activation", ACTIVATIONS), ("initialization", INITIALIZATIONS)):
        if key in arguments:
            arguments[key] = functions[arguments[key]]
    compute = ComputeConfig(jnp.dtype(precision), axis, freeze, remat)
    return MODELS[model["name"]](num_classes=num_classes, compute=compute, **arguments)


def variable_shapes(model: Classifier, image_shape: tuple[int, int, int]) -> dict[str, Any]:
    """{"params", "batch_stats"} with `jax.ShapeDtypeStruct` for arrays; nothing is computed."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *image_shape))))
    return {"params": shapes["params"], "batch_stats": shapes.get("batch_stats", {})}
