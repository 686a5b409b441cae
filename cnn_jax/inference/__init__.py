"""A run directory as something that can be applied: predictions, evaluation, test-time augmentation."""

from cnn_jax.inference.predictions import Predictions
from cnn_jax.inference.run import Run, load_run

__all__ = ["Predictions", "Run", "load_run"]
