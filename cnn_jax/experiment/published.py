"""What `init_from` names beside a run directory: published weights, or a file of weights."""

import difflib
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np
from flax import traverse_util

from cnn_jax.cli.progress import progress_bar
from cnn_jax.data.normalize import IMAGENET_MEAN, Normalization, of_colors
from cnn_jax.errors import InputError
from cnn_jax.models import Classifier, variable_shapes
from cnn_jax.models.pretrained.catalog import WEIGHTS, PublishedWeights
from cnn_jax.models.pretrained.getting import find_weights
from cnn_jax.models.pretrained.importing import from_state_dict
from cnn_jax.models.pretrained.state_dict import read_state_dict
from cnn_jax.runs.directory import read_run_file
from cnn_jax.runtime.folders import cache_folder

_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")


def is_published(init_from: str) -> bool:
    """Whether it is a name in the catalog, or a file; else it is to be a run directory."""
    path = Path(init_from)
    return not path.is_dir() and (init_from in WEIGHTS or path.is_file() or path.suffix in _SUFFIXES)


def unknown(init_from: str) -> str:
    """The end of a sentence on a name that is nothing: what is meant perhaps."""
    near = difflib.get_close_matches(init_from, WEIGHTS, n=3)
    return f"; published weights of nearly that name: {', '.join(near)}" if near else ""


def check_init_from(config: ml_collections.ConfigDict, begins: bool) -> None:
    """What can be told of `init_from` before any image is read.

    Args:
      begins: False for a run that goes on: it has its weights already.

    Raises:
      InputError: it is not there, is of another network, or does not say how pixels were normalised, and is asked to.
    """
    init_from, asked = config.init_from, config.data.normalization == "pretrained"
    if init_from is None:
        if asked:
            raise InputError("config.data.normalization='pretrained': it is that of init_from, which is not set")
        return
    if begins or asked:
        _check_is_there(init_from)
    if asked and Path(init_from).is_file() and init_from not in WEIGHTS:
        raise _unknown_normalization(init_from)
    if begins and is_published(init_from) and init_from in WEIGHTS:
        _check_network(WEIGHTS[init_from], config.model.name)


def _check_is_there(init_from: str) -> None:
    if not is_published(init_from):
        try:
            read_run_file(Path(init_from), "config.json")
        except InputError as error:
            raise InputError(f"config.init_from={init_from!r}: {error}{unknown(init_from)}") from error
    elif init_from not in WEIGHTS and not Path(init_from).is_file():
        raise InputError(f"config.init_from={init_from!r}: there is no such file{unknown(init_from)}")


def _unknown_normalization(init_from: str) -> InputError:
    return InputError(
        f"config.data.normalization='pretrained': config.init_from={init_from!r} is a file, which does not say how its "
        f"pixels were normalised; choose --config.data.normalization=imagenet, half or another one"
    )


def _check_network(entry: PublishedWeights, name: str) -> None:
    if entry.network != name:
        raise InputError(
            f"config.init_from={entry.name!r}: these are weights of {entry.network}; set model.name={entry.network}"
        )


def normalization_of(init_from: str, channels: int) -> Normalization:
    """How pixels were normalised for a run or for published weights; of these, for gray images, the mean of colors."""
    if Path(init_from).is_dir():
        return _of_run(init_from, channels)
    if init_from not in WEIGHTS:
        raise _unknown_normalization(init_from)
    entry = WEIGHTS[init_from]
    return Normalization("pretrained", of_colors(entry.mean, channels), of_colors(entry.std, channels))


def _of_run(workdir: str, channels: int) -> Normalization:
    normalization = Normalization.from_json(read_run_file(Path(workdir), "config.json")["resolved"]["normalization"])
    if len(normalization.mean) != channels:
        raise InputError(
            f"config.init_from={workdir!r}: its images have {len(normalization.mean)} channels and these {channels}; "
            f"set data.channels={len(normalization.mean)}"
        )
    return normalization


def read_published(
    init_from: str, name: str, model: Classifier, image_shape: tuple[int, int, int]
) -> tuple[dict[str, Any], list[str]]:
    """The variables of published weights, or of a file; and what people should know of it.

    The last layer is left out where it has another number of classes.

    Args:
      name: of the network, `model.name`.

    Raises:
      InputError: they cannot be had or read, or are of another network.
    """
    where = f"config.init_from={init_from!r}"
    entry = WEIGHTS.get(init_from)
    if entry is not None:
        _check_network(entry, name)
    origin = getattr(model, "origin", None)
    if entry is not None and None not in (entry.origin, origin) and origin != entry.origin:
        raise InputError(f"{where}: these weights are of origin {entry.origin}; set model.origin={entry.origin}")
    like = variable_shapes(model, image_shape)
    blank = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
    try:
        path = Path(init_from) if entry is None else _find(entry)
        imported = from_state_dict(
            name, blank, read_state_dict(path), None if entry is None else entry.layout,
            other_classes=True, other_channels=image_shape[2] != 3, other_sizes=True,
        )  # fmt: skip
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    variables = imported.variables if imported.new is None else _without(imported.variables, imported.new)
    return variables, [f"init_from={init_from}: {_described(entry)}", *imported.notes]


def _find(entry: PublishedWeights) -> Path:
    try:
        return find_weights(entry.name, cache_folder() / "weights", progress_bar)
    except InputError as error:
        normalization = {IMAGENET_MEAN: "imagenet", (0.5,) * 3: "half"}.get(entry.mean)
        if normalization is None:
            raise
        flags = f"--config.init_from=FILE --config.data.normalization={normalization}"
        raise InputError(f"{error}, or take a file of these weights that you have: {flags}") from error


def _without(variables: dict[str, Any], module: str) -> dict[str, Any]:
    leaves = traverse_util.flatten_dict(variables, sep="/")
    kept = {path: leaf for path, leaf in leaves.items() if not path.startswith(f"params/{module}/")}
    made: dict[str, Any] = {"batch_stats": {}, **traverse_util.unflatten_dict(kept, sep="/")}
    return made


def _described(entry: PublishedWeights | None) -> str:
    if entry is None:
        return "the weights of this file"
    return f"published weights, ImageNet accuracy {entry.top1} % as stated ({entry.licence})"
