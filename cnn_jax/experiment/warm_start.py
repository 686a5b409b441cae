"""Training that starts from another run's best weights: from all of them, or from its backbone with a new head."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from cnn_jax.data.normalize import Normalization
from cnn_jax.errors import InputError
from cnn_jax.experiment.published import is_published, read_published, unknown
from cnn_jax.experiment.setup import Experiment
from cnn_jax.inference.run import Run, load_run
from cnn_jax.models import Classifier, variable_shapes
from cnn_jax.models.parameter_names import parameter_names
from cnn_jax.training.state import TrainState

_HEAD = "head"
_NAMED_AT_MOST = 3


@dataclasses.dataclass(frozen=True)
class WarmStart:
    """What another run gives.

    Attributes:
      variables: its {"params", "batch_stats"}, without the head where that is to be new.
      notes: lines for people: what is taken, what is new, what else differs.
    """

    variables: dict[str, Any]
    notes: tuple[str, ...]


def read_start(experiment: Experiment) -> WarmStart | None:
    """What `init_from` gives, where it is set; raises InputError where it cannot give it."""
    config, splits = experiment.config, experiment.splits
    if config.init_from is None:
        return None
    return read_init_from(
        config.init_from,
        config.model.name,
        experiment.model,
        splits.image_shape,
        splits.class_names,
        experiment.normalization,
    )


def read_init_from(
    init_from: str | Path,
    name: str,
    model: Classifier,
    image_shape: tuple[int, int, int],
    class_names: tuple[str, ...],
    normalization: Normalization,
) -> WarmStart:
    """The weights of a run directory, or published ones, for a model that is to be trained on these data.

    Of a run, where the classes are the same, in the same order, all of them; else all but those of the head. Of
    published weights, or a file of weights, all but the last layer, which stays where the number of classes is right.

    Args:
      init_from: a run directory, a file of weights, or the name of published weights.
      name: the model's, `model.name`.

    Raises:
      InputError: it is none of these, nothing has been trained there, or its network is another one.
    """
    if is_published(str(init_from)):
        variables, notes = read_published(str(init_from), name, model, image_shape)
        return WarmStart(variables, tuple(notes))
    try:
        run = load_run(init_from)
    except InputError as error:
        raise InputError(f"config.init_from={str(init_from)!r}: {error}{unknown(str(init_from))}") from error
    where = f"config.init_from={str(init_from)!r}"
    channels = run.image_shape[2]
    if channels != image_shape[2]:
        sizes = f"its images are {_size(run.image_shape)} and these {_size(image_shape)}"
        raise InputError(f"{where}: {sizes}; set data.channels={channels}")
    whole = run.class_names == tuple(class_names)
    theirs = run.variables if whole else _without_head(run.variables)
    ours = variable_shapes(model, image_shape)
    _check_shapes(where, theirs, ours if whole else _without_head(ours))
    if not theirs["params"]:
        raise InputError(f"{where}: its classes are others, and before its head this model has no weights to be taken")
    return WarmStart(theirs, _notes(init_from, run, class_names, normalization, whole))


def warm_start(state: TrainState, optimizer: optax.GradientTransformation, start: WarmStart) -> TrainState:
    """The state with the other run's weights, an optimizer that is new to them, and averages that begin with them.

    Every array lies where the state's lay.
    """
    given = start.variables
    params = _replaced(state.params, given["params"])
    places = jax.tree.map(lambda leaf: leaf.sharding, state.opt_state)
    return state.replace(  # type: ignore[attr-defined]
        params=params,
        batch_stats=_replaced(state.batch_stats, given["batch_stats"]),
        opt_state=jax.jit(optimizer.init, out_shardings=places)(params),
        ema={kind: _replaced(tree, given[kind]) for kind, tree in state.ema.items()},
    )


def _without_head(variables: dict[str, Any]) -> dict[str, Any]:
    return {kind: {key: part for key, part in tree.items() if key != _HEAD} for kind, tree in variables.items()}


def _check_shapes(where: str, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    for kind in ("params", "batch_stats"):
        there, here = _shapes(theirs[kind]), _shapes(ours[kind])
        for name in [*here, *there]:
            if there.get(name) != here.get(name):
                sizes = f"{_size(there.get(name))} there and {_size(here.get(name))} here"
                raise InputError(f"{where}: its network is another one: {name} is {sizes}")


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """{'stage1/block1/conv1/conv/kernel': (3, 3, 64, 64), ...}"""
    return {name: tuple(leaf.shape) for name, leaf in _named(tree).items()}


def _named(tree: Any) -> dict[str, Any]:
    return dict(zip(jax.tree.leaves(parameter_names(tree)), jax.tree.leaves(tree), strict=True))


def _size(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else "x".join(map(str, shape))


def _notes(
    init_from: str | Path, run: Run, class_names: tuple[str, ...], normalization: Normalization, whole: bool
) -> tuple[str, ...]:
    if whole:
        taken = "all weights"
    else:
        why = "in another order" if set(run.class_names) == set(class_names) else "others"
        taken = f"the weights of the backbone; the head is new, because the classes are {why}"
    notes = [f"init_from={init_from}: {taken} ({_classes(run.class_names)} there, {_classes(class_names)} here)"]
    if run.normalization != normalization:
        notes.append(
            f"init_from={init_from}: its pixels were normalised in another way ({_numbers(run.normalization)} there, "
            f"{_numbers(normalization)} here)"
        )
    return tuple(notes)


def _classes(names: tuple[str, ...]) -> str:
    more = ", ..." if len(names) > _NAMED_AT_MOST else ""
    return f"{len(names)} classes: {', '.join(names[:_NAMED_AT_MOST])}{more}"


def _numbers(normalization: Normalization) -> str:
    mean, std = (" ".join(f"{value:.3g}" for value in of) for of in (normalization.mean, normalization.std))
    return f"{normalization.name}, mean {mean}, deviation {std}"


def _replaced(tree: Any, given: Any) -> Any:
    """The tree with the given values, a part of it, in its own types and places; the rest stays."""
    values = _named(given)

    def of(name: str, leaf: jax.Array) -> jax.Array:
        if name not in values:
            return leaf
        # A copy for each: training reuses the memory of its state, averages included.
        return jax.device_put(np.array(values[name], leaf.dtype), leaf.sharding)

    return jax.tree.map(of, parameter_names(tree), tree)
