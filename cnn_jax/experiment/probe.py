"""Training that starts from a linear probe: the backbone of `init_from`, and the best last layer for these data."""

import dataclasses
import hashlib
import json

import jax
import numpy as np

from cnn_jax.cli.progress import progress_bar
from cnn_jax.config.tree import to_json
from cnn_jax.data.reading import cache
from cnn_jax.data.splits import Split
from cnn_jax.errors import InputError
from cnn_jax.experiment.setup import Experiment
from cnn_jax.experiment.warm_start import WarmStart
from cnn_jax.inference.run import Run, make_apply
from cnn_jax.models import variable_shapes
from cnn_jax.optimization.losses import make_class_weights
from cnn_jax.training.linear_probe import fit_linear_probe

_LAYER = "logits"


def check_probe(experiment: Experiment) -> None:
    """Raises InputError where `head_init="linear_probe"` cannot work."""
    config = experiment.config
    if config.head_init != "linear_probe":
        return
    if config.init_from is None:
        raise InputError("config.head_init='linear_probe': it needs a trained backbone; set init_from")
    head = variable_shapes(experiment.model, experiment.splits.image_shape)["params"].get("head", {})
    if set(head) != {_LAYER}:
        raise InputError(
            f"config.head_init='linear_probe': the head of '{config.model.name}' must be 'head/{_LAYER}' alone, and "
            f"it has {', '.join(head) or 'none'}; take no hidden layers (model.hidden=())"
        )
    if len(np.unique(experiment.splits.train.labels)) < 2:
        raise InputError("config.head_init='linear_probe': the training split has images of one class only")


def with_probe(experiment: Experiment, start: WarmStart) -> WarmStart:
    """The start with the head that a linear probe on the features of its backbone gives.

    The features are of the training images as they are, without augmentation; the penalty is chosen on the validation
    split, where there is one. Features are kept in the cache: another training on them begins in seconds.
    """
    config, splits = experiment.config, experiment.splits
    run = _as_run(experiment, start)
    identity = _identity(run, experiment)
    train, held_out = _features(run, splits.train, f"train-{identity}"), None
    if splits.validation is not None:
        held_out = _features(run, splits.validation, f"validation-{identity}"), splits.validation.labels
    weights = make_class_weights(config.loss.get("class_weights", "none"), splits.train.labels, splits.class_names)
    if config.data.sampling == "balanced":
        counts = np.bincount(splits.train.labels, minlength=splits.num_classes)
        weights = (1 if weights is None else weights) * len(splits.train) / np.maximum(counts, 1) / splits.num_classes
    probe = fit_linear_probe(train, splits.train.labels, splits.num_classes, held_out, weights)
    head = {_LAYER: {"kernel": probe.kernel, "bias": probe.bias}}
    params = {**start.variables["params"], "head": head}
    note = f"head_init=linear_probe: logistic regression on {train.shape[1]} features, C={probe.strength:g}"
    return dataclasses.replace(start, variables={**start.variables, "params": params}, notes=(*start.notes, note))


def _as_run(experiment: Experiment, start: WarmStart) -> Run:
    """The backbone in use; its head, of which nothing is asked, is zeros."""
    splits = experiment.splits
    like = variable_shapes(experiment.model, splits.image_shape)
    head = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like["params"]["head"])
    variables = {**start.variables, "params": {**start.variables["params"], "head": head}}
    return Run(
        experiment.config, splits.image_shape, splits.class_names, experiment.normalization,
        jax.tree.map(np.asarray, variables), make_apply(experiment.model, experiment.normalization),
    )  # fmt: skip


def _features(run: Run, split: Split, key: str) -> np.ndarray:
    """float32 [N, D], from the cache if they were computed before."""

    def compute() -> np.ndarray:
        with progress_bar(len(split), "features", "image") as bar:
            return run.embed(split, bar.update)

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
    backbone = {kind: {k: v for k, v in tree.items() if k != "head"} for kind, tree in run.variables.items()}
    for path, leaf in jax.tree_util.tree_leaves_with_path(backbone):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).data)
    return digest.hexdigest()[:32]
