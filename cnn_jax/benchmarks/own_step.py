"""The training step of this package as a call without arguments, to be timed."""

from collections.abc import Callable
from typing import Any

from cnn_jax.building import Experiment
from cnn_jax.programs import initial_state, make_training


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
