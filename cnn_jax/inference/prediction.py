"""Predictions for image files: whatever can be read is predicted, whatever cannot is named."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.reading.images import Decoded
from cnn_jax.data.sources.folder import files_below
from cnn_jax.errors import InputError, shown
from cnn_jax.inference.metrics import softmax
from cnn_jax.inference.predictions import Predictions
from cnn_jax.inference.run import Run


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The classes of one image, the likeliest first; or the error that kept it from being read.

    `range_used` is the share of its range that its largest value reaches; 1 with 8 bits a channel and fewer.
    """

    image: str
    classes: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    range_used: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """`{"image", "classes": [{"class", "probability"}], "error"}`; the error is None, or there are no classes."""
        classes = [{"class": name, "probability": probability} for name, probability in self.classes]
        return {"image": self.image, "classes": classes, "error": self.error}


def predict_files(run: Run, paths: Sequence[str | Path], top: int) -> Iterator[Prediction]:
    """One prediction per path, in order; images are read and predicted a batch at a time."""
    for start in range(0, len(paths), run.config.eval_batch_size):
        part = paths[start : start + run.config.eval_batch_size]
        readable: list[Decoded] = []
        errors: dict[int, str] = {}
        for i, path in enumerate(part):
            try:
                readable.append(run.decode(path))
            except InputError as error:
                errors[i] = str(error)
        rows: list[list[tuple[str, float]]] = []
        if readable:
            images = np.stack([decoded.image for decoded in readable])
            rows = Predictions(softmax(run.logits(images)), run.class_names).top(top)
        predictions = zip(rows, readable, strict=True)
        for i, path in enumerate(part):
            if i in errors:
                yield Prediction(str(path), error=errors[i])
            else:
                classes, decoded = next(predictions)
                yield Prediction(str(path), tuple(classes), range_used=decoded.range_used)


def list_images(paths: Sequence[str]) -> list[str]:
    """The given files, and in place of each folder all files below it that training would take, sorted.

    That is whatever their extension: what is no picture is found out by reading it.

    Raises:
      InputError: a folder holds no file, or cannot be read.
    """
    found: list[str] = []
    for path in paths:
        if not os.path.isdir(path):
            found.append(path)
            continue
        inside = files_below(path)
        if not inside:
            raise InputError(f"{shown(path)}: this folder holds no files")
        found += inside
    return found
