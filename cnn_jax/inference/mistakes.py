"""What a model says of single images: a row for every prediction, and pictures of some, the worst mistakes first."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.data import Examples, Split
from cnn_jax.data.reading.images import examine, quiet
from cnn_jax.data.reading.levels import to_8_bit
from cnn_jax.data.reading.visible import visible_part
from cnn_jax.errors import InputError
from cnn_jax.pictures.evaluation import WHOLE, Panel
from cnn_jax.pictures.overview import Example

_LONGEST_NAME = 40  # of a class above a panel
_SIDE = 240  # of a panel's picture, in pixels


def list_predictions(
    probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str], names: Sequence[str]
) -> list[dict[str, Any]]:
    """{"path", "label", "prediction", "probability"} of each image, in order.

    Args:
      probabilities: [N, K].
      labels: [N].
      class_names: K of them.
      names: of the N images: files, or rows of their source.
    """
    predictions, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    return [
        {"path": name, "label": class_names[label], "prediction": class_names[prediction], "probability": float(value)}
        for name, label, prediction, value in zip(names, labels, predictions, confidence, strict=True)
    ]


def find_mistakes(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Indices of the images that are classified wrongly, the most confident mistakes first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    confidence = probabilities.max(axis=1)
    found: np.ndarray = wrong[np.argsort(-confidence[wrong], kind="stable")]
    return found


def common_folder(names: Sequence[str]) -> str:
    """The folder that all files lie in, with a separator at its end; "" of what are no files."""
    if not names or not all(map(os.path.isabs, names)):
        return ""
    return os.path.join(os.path.commonpath([os.path.dirname(name) for name in names]), "")


def panel(examples: Split, index: int, row: dict[str, Any], root: str) -> Panel:
    """A mistake as it is drawn: the picture as it was before it was fitted, and in it what the model saw.

    Args:
      examples: the split.
      index: of the image in it.
      row: of `list_predictions`.
      root: what all names of the split begin with, and the panel leaves out.
    """
    label, prediction = (_short(row[key]) for key in ("label", "prediction"))
    heading = f"{label}, taken for\n{prediction} ({row['probability']:.1%})"
    image, part = _original(examples, index)
    return Panel(image, heading, row["path"].removeprefix(root), part)


def overview_example(examples: Split, index: int, row: dict[str, Any]) -> Example:
    """An image with its prediction as the overview draws it; arguments as for `panel`."""
    return Example(_original(examples, index)[0], row["label"], row["prediction"], row["probability"])


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."


def _original(examples: Split, index: int) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """The picture, scaled down where it is large, and which part of it the network sees."""
    from PIL import Image

    pictures = examples.pictures if isinstance(examples, Examples) else examples
    if pictures is None:
        return examples.read(np.array([index]))[0], WHOLE
    try:
        content = pictures.contents([index])[0]
        if isinstance(content, bytes):
            with quiet():
                image = examine(content, pictures.name(index), _SIDE, pictures.levels)[1].copy()
        else:
            image = to_8_bit(Image.fromarray(content[..., 0] if content.shape[-1] == 1 else content))
    except InputError:  # it was read before, and is gone since
        return examples.read(np.array([index]))[0], WHOLE
    part = visible_part(image.height, image.width, pictures.image_shape, pictures.resize, pictures.center_crop)
    image.thumbnail((_SIDE, _SIDE))
    pixels = np.asarray(image, np.uint8)
    return pixels.reshape(*pixels.shape[:2], -1), part
