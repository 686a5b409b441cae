"""One table from a model's name to its class; `config_keys.MODELS` holds the same names with their arguments."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from cnn_jax.models.cnn import CNN
from cnn_jax.models.layers import Classifier
from cnn_jax.models.lenet import LeNet5
from cnn_jax.models.mlp import MLP, Linear
from cnn_jax.models.resnet import ResNet18, ResNet34, ResNet50
from cnn_jax.models.table import Table, make_table

__all__ = ["MODELS", "Classifier", "Table", "make_model", "make_table"]

MODELS: dict[str, Callable[..., Classifier]] = {
    "linear": Linear,
    "mlp": MLP,
    "lenet5": LeNet5,
    "cnn": CNN,
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
}


def make_model(model: Mapping[str, Any], num_classes: int, precision: str = "float32") -> Classifier:
    """The module for a config's `model` block: a name and that model's own arguments."""
    arguments = {key: value for key, value in model.items() if key != "name"}
    return MODELS[model["name"]](num_classes=num_classes, dtype=jnp.dtype(precision), **arguments)
