"""A network's weights before, during and after its training, as far as they are there."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.errors import DamagedError
from cnn_jax.inference.run import Run
from cnn_jax.models import Classifier, make_model
from cnn_jax.random.keys import stream_key
from cnn_jax.runs.checkpoints import open_checkpoints


class Snapshot(NamedTuple):
    """Weights, and when they were."""

    label: str
    epoch: int
    variables: Any


def weights_over_training(run: Run, most: int = 4) -> list[Snapshot]:
    """The first weights, some of the checkpoints that are kept, and last the best weights, which the run uses.

    `checkpoint.keep` says how many are kept. The first weights are drawn anew from the seed; they are left out where
    they were read (`init_from`) or made of data.

    Args:
      most: how many checkpoints.
    """
    snapshots = [] if (first := first_weights(run)) is None else [Snapshot("untrained", 0, first)]
    if run.workdir is not None:
        snapshots += _kept(run, most)
    return [*snapshots, Snapshot("best", -1, run.variables)]


def first_weights(run: Run) -> Any | None:
    """What training began with; None where that is not a function of the seed alone."""
    config = run.config
    model = make_model(config.model, len(run.class_names), config.precision)
    if config.init_from is not None or type(model).from_data is not Classifier.from_data:
        return None
    image = jnp.zeros((1, *run.image_shape), jnp.float32)
    variables = jax.jit(lambda: model.init(stream_key(config.seed, "init"), image))()
    return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}


def _kept(run: Run, most: int) -> list[Snapshot]:
    assert run.workdir is not None
    with open_checkpoints(run.workdir / "checkpoints", read_only=True) as checkpoints:
        steps = checkpoints.steps()
        found = []
        for place in np.unique(np.linspace(0, len(steps) - 1, min(most, len(steps))).round().astype(int)):
            step = steps[place]
            try:
                epoch = int(checkpoints.progress(step)["epoch"])
                found.append(Snapshot(f"epoch {epoch}", epoch, checkpoints.restore_variables(step, run.variables)))
            except DamagedError:  # the others tell as much
                continue
    return found
