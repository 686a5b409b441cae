"""Composes: a config becomes data, model, optimizer and compiled programs, which go through `training`'s pure loop."""

from cnn_jax.experiment.compile import initial_state
from cnn_jax.experiment.fitting import fit
from cnn_jax.experiment.setup import Experiment, build
from cnn_jax.training.program import EpochEnd

__all__ = ["EpochEnd", "Experiment", "build", "fit", "initial_state"]
