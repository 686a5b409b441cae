"""Classifiers; `config.model_keys.MODELS` is the table of their names, classes and arguments."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.config.model_keys import MODELS
from cnn_jax.config.tables import described
from cnn_jax.errors import InputError
from cnn_jax.models.activations import ACTIVATIONS
from cnn_jax.models.classifier import Classifier
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.initializers import INITIALIZATIONS
from cnn_jax.models.table import Table, make_table

__all__ = ["Classifier", "ComputeConfig", "Table", "make_model", "make_table", "variable_shapes"]


def make_model(
    model: Mapping[str, Any],
    num_classes: int,
    precision: str = "float32",
    remat: str = "none",
    axis: str | None = None,
    freeze: str | None = None,
    in_order: bool = False,
) -> Classifier:
    """The module for a config's `model` block: a name and that model's own arguments; the rest is `ComputeConfig`'s.

    Raises:
      InputError: JAX was not told to keep 64 bits, or what was registered under the name makes no `Classifier`.
    """
    if precision == "float64" and jnp.result_type(float) != jnp.float64:
        raise InputError(
            "config.precision='float64': JAX keeps 64 bits only where the environment says JAX_ENABLE_X64=1"
        )
    arguments = {key: value for key, value in model.items() if key != "name"}
    for key, functions in (("activation", ACTIVATIONS), ("initialization", INITIALIZATIONS)):
        if key in arguments:  # a registered model may have a key of that name that means another thing
            arguments[key] = functions.get(arguments[key], arguments[key])
    compute = ComputeConfig(jnp.dtype(precision), axis, freeze, remat, in_order=in_order)
    variant = MODELS[model["name"]]
    made = variant.load()(num_classes=num_classes, compute=compute, **arguments)
    if not isinstance(made, Classifier):
        raise InputError(f"config.model.name='{model['name']}': {described(variant.target)} is no models.Classifier")
    return made


def variable_shapes(model: Classifier, image_shape: tuple[int, int, int]) -> dict[str, Any]:
    """{"params", "batch_stats"} with `jax.ShapeDtypeStruct` for arrays; nothing is computed."""
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *image_shape))))
    return {"params": shapes["params"], "batch_stats": shapes.get("batch_stats", {})}
