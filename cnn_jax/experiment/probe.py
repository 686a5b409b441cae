"""Training that starts from a linear probe: the backbone of `init_from`, and the best last layer for these data."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from cnn_jax.cli.progress import progress_bar
from cnn_jax.config.tree import to_json
from cnn_jax.data.normalize import normalize
from cnn_jax.data.reading import cache
from cnn_jax.data.splits import Split
from cnn_jax.errors import InputError
from cnn_jax.experiment.setup import Experiment
from cnn_jax.experiment.warm_start import WarmStart
from cnn_jax.inference.run import Run
from cnn_jax.models import variable_shapes
from cnn_jax.models.last_layer import LAST_LAYER, last_layer_inputs
from cnn_jax.optimization.losses import make_class_weights
from cnn_jax.training.linear_probe import fit_linear_probe

_HEAD, _LAYER = LAST_LAYER


def check_probe(experiment: Experiment) -> None:
    """Raises InputError where `head_init="linear_probe"` cannot work."""
    config = experiment.config
    if config.head_init != "linear_probe":
        return
    if config.init_from is None:
        raise InputError("config.head_init='linear_probe': it needs a trained backbone; set init_from")
    params = variable_shapes(experiment.model, experiment.splits.image_shape)["params"]
    if set(params.get(_HEAD, {}).get(_LAYER, {})) != {"kernel", "bias"}:
        raise InputError(
            f"config.head_init='linear_probe': '{config.model.name}' has no last layer '{_HEAD}/{_LAYER}' with a bias"
        )
    if len(np.unique(experiment.splits.train.labels)) < 2:
        raise InputError("config.head_init='linear_probe': the training split has images of one class only")


def with_probe(experiment: Experiment, start: WarmStart, first_head: Mapping[str, Any]) -> WarmStart:
    """The start with the last layer that a linear probe on its features gives, where `head_init` wants it.

    The features are of the training images as they are, without augmentation; the penalty is chosen on the validation
    split, where there is one. Features are kept in the cache: another training on them begins in seconds.

    Args:
      first_head: the network's own first values, for hidden layers of the head that the start does not give.
    """
    config, splits = experiment.config, experiment.splits
    if config.head_init != "linear_probe":
        return start
    run = _as_run(experiment, start, first_head)
    identity = _identity(run, experiment)
    train, held_out = _features(run, splits.train, f"train-{identity}"), None
    if splits.validation is not None:
        held_out = _features(run, splits.validation, f"validation-{identity}"), splits.validation.labels
    weights = make_class_weights(config.loss.get("class_weights", "none"), splits.train.labels, splits.class_names)
    if config.data.sampling == "balanced":
        counts = np.bincount(splits.train.labels, minlength=splits.num_classes)
        weights = (1 if weights is None else weights) * len(splits.train) / np.maximum(counts, 1) / splits.num_classes
    probe = fit_linear_probe(train, splits.train.labels, splits.num_classes, held_out, weights)
    head = {**run.variables["params"][_HEAD], _LAYER: {"kernel": probe.kernel, "bias": probe.bias}}
    params = {**start.variables["params"], _HEAD: head}
    note = f"head_init=linear_probe: logistic regression on {train.shape[1]} features, C={probe.strength:g}"
    return dataclasses.replace(start, variables={**start.variables, "params": params}, notes=(*start.notes, note))


def _as_run(experiment: Experiment, start: WarmStart, first_head: Mapping[str, Any]) -> Run:
    """The network, whose "logits" are what its last layer sees; that layer itself is zeros."""
    model, normalization, splits = experiment.model, experiment.normalization, experiment.splits

    def features(variables: Any, images: jax.Array) -> jax.Array:
        return last_layer_inputs(model, variables, normalize(images, normalization, model.compute.param_dtype))

    like = variable_shapes(model, splits.image_shape)
    blank = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like["params"][_HEAD][_LAYER])
    given = start.variables["params"]
    params = {**given, _HEAD: {**first_head, **given.get(_HEAD, {}), _LAYER: blank}}
    variables = jax.tree.map(np.asarray, {**start.variables, "params": params})
    return Run(experiment.config, splits.image_shape, splits.class_names, normalization, variables, features)


def _features(run: Run, split: Split, key: str) -> np.ndarray:
    """float32 [N, D], from the cache if they were computed before."""

    def compute() -> np.ndarray:
        with progress_bar(len(split), "features", "image") as bar:
            return run.logits(split, bar.update).astype(np.float32)

    return cache.array(f"features-{key}", compute)


def _identity(run: Run, experiment: Experiment) -> str:
    """Of all that the features are made of: data, their division and decoding, normalisation, network and weights."""
    config = to_json(experiment.config)
    parts = {
        "data": {key: value for key, value in config["data"].items() if key not in ("workers", "loading")},
        "fingerprint": experiment.splits.fingerprint, "model": config["model"],
        "precision": config["precision"], "normalization": run.normalization.to_json(),
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(run.variables):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()[:32]
