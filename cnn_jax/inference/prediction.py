"""Predictions for image files: whatever can be read is predicted, whatever cannot is named."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cnn_jax.cli.progress import announce
from cnn_jax.errors import InputError, shown
from cnn_jax.inference.metrics import softmax
from cnn_jax.inference.run import Run

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The classes of one image, the likeliest first; or the error that kept it from being read."""

    image: str
    classes: tuple[tuple[str, float], ...] = ()
    error: str | None = None


def predict_files(run: Run, paths: Sequence[str | Path], top: int) -> Iterator[Prediction]:
    """One prediction per path, in order; images are read and predicted a batch at a time."""
    for start in range(0, len(paths), run.config.eval_batch_size):
        part = paths[start : start + run.config.eval_batch_size]
        readable: list[np.ndarray] = []
        errors: dict[int, str] = {}
        for i, path in enumerate(part):
            try:
                readable.append(run.read(path))
            except InputError as error:
                errors[i] = str(error)
        probabilities = iter(softmax(run.logits(np.stack(readable))) if readable else ())
        for i, path in enumerate(part):
            if i in errors:
                yield Prediction(str(path), error=errors[i])
                continue
            row = next(probabilities)
            order = np.argsort(-row, kind="stable")[:top]
            yield Prediction(str(path), tuple((run.class_names[k], float(row[k])) for k in order))


def table_row(prediction: Prediction) -> list[str]:
    """Image, class and probability for a CSV file; cells starting with = + - @ are quoted (CSV injection).

    `./` before a path leaves it the same path; an apostrophe before a class marks it as text.
    """
    image, (name, probability) = prediction.image, prediction.classes[0]
    image = f"./{image}" if image.startswith(_FORMULA) else image
    return [image, f"'{name}" if name.startswith(_FORMULA) else name, f"{probability:.6f}"]


def list_images(paths: Sequence[str]) -> list[str]:
    """The given files, and in place of each folder the image files below it, sorted; hidden ones are left out.

    Raises:
      InputError: a folder holds no image file.
    """
    found: list[str] = []
    for path in paths:
        if not os.path.isdir(path):
            found.append(path)
            continue
        inside = sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(path)
            for name in names
            if _is_image_name(name)
            and not any(part.startswith(".") for part in Path(folder, name).relative_to(path).parts)
        )
        if not inside:
            raise InputError(f"{path}: this folder holds no image files")
        others = sum(not name.startswith(".") for _, _, names in os.walk(path) for name in names) - len(inside)
        if others > 0:
            announce(f"{shown(path)}: left out {others} files that are no images by their extensions")
        found += inside
    return found


def _is_image_name(name: str) -> bool:
    from PIL import Image

    return os.path.splitext(name)[1].lower() in Image.registered_extensions()
