"""This package's compiled programs as calls without arguments, to be timed."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.experiment.compile import initial_state, make_evaluation, make_training
from cnn_jax.experiment.setup import Experiment
from cnn_jax.inference.run import make_apply


def make_call(experiment: Experiment) -> Callable[[], Any]:
    """Each call makes a step on the data of the first one and gives its sums."""
    train, feed = make_training(experiment)
    with feed(0, 1) as works:
        work = next(works)[0]
    state = initial_state(experiment)

    def call() -> Any:
        nonlocal state
        state, sums = train(state, work)
        return sums

    return call


def make_inference_calls(experiment: Experiment) -> dict[str, Callable[[dict[str, Any]], Any]]:
    """What evaluation and prediction do with a batch of arrays on the host: its sums, and its logits on the host."""
    state = initial_state(experiment)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    evaluation = make_evaluation(experiment)
    apply = jax.jit(make_apply(experiment.model, experiment.normalization))
    return {
        "evaluate": lambda batch: jax.device_get(evaluation(variables, batch)),
        "predict": lambda batch: np.asarray(apply(variables, jnp.asarray(batch["image"]))),
    }
