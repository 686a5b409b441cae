"""A run as MLflow's pyfunc model: `mlflow.pyfunc.load_model(uri).predict(images)`. Nothing in it is a pickle."""

from typing import Any

import numpy as np

from cnn_jax.errors import InputError
from cnn_jax.inference.metrics import softmax
from cnn_jax.inference.run import Run, load_run


class Classifier:
    """What MLflow calls."""

    def __init__(self, run: Run):
        self.run = run

    def predict(self, images: Any, params: Any = None) -> np.ndarray:
        """Probabilities float64 [N, K] for images uint8 [N, H, W, C] (or [H, W, C]: one image) of the model's size.

        The classes of the K columns are `load_model(uri).metadata.metadata["class_names"]`.

        Raises:
          InputError: these are no such images.
        """
        array = np.asarray(images)
        array = array[None] if array.ndim == 3 else array
        if array.dtype != np.uint8 or array.shape[1:] != self.run.image_shape:
            expected = " x ".join(map(str, self.run.image_shape))
            raise InputError(f"images of {array.dtype} {list(array.shape)}: they must be uint8 [N, {expected}]")
        return softmax(self.run.logits(array)) if len(array) else np.zeros((0, len(self.run.class_names)))


def _load_pyfunc(path: str) -> Classifier:
    """MLflow's entry point; `path` holds config.json and the best checkpoint."""
    return Classifier(load_run(path))
