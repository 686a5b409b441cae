"""Labels as a Python program holds them, to the numbers of classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.errors import InputError, reason_of, shown

_NAMED_AT_MOST = 5


def as_labels(value: Any, count: int, name: str) -> np.ndarray:
    """Whole numbers or texts [N].

    Args:
      value: an array [N] or [N, 1], or what NumPy makes one of.
      count: N, of the images.
      name: names them in errors.

    Raises:
      InputError: it has another shape, or a label is no whole number and no text.
    """
    try:
        labels = np.asarray(value)
    except Exception as error:  # a ragged list, or a tensor on a GPU, which raises what it likes
        raise InputError(f"{name}: no array can be made of them ({reason_of(error)}); give {count} labels") from error
    if np.ma.is_masked(value):
        raise InputError(f"{name}: some of them are masked; leave those images out")
    if labels.shape == (count, 1):
        labels = labels[:, 0]
    if labels.ndim == 2 and len(labels) == count:
        raise InputError(f"{name}: {list(labels.shape)} looks one-hot; give one label an image: .argmax(axis=1)")
    if labels.shape != (count,):
        raise InputError(f"{name}: their shape is {list(labels.shape)} for {count} images; it must be [{count}]")
    if labels.dtype.kind == "f":
        wrong = np.flatnonzero(~np.isfinite(labels) | (labels != np.rint(labels)))
    elif labels.dtype.kind == "O":
        wrong = np.flatnonzero([not isinstance(label, (str, int)) or not str(label).strip() for label in labels])
    elif labels.dtype.kind == "U":
        wrong = np.flatnonzero(np.char.strip(labels) == "")
    elif labels.dtype.kind in "iub":
        return labels
    else:
        raise InputError(f"{name}: they are {labels.dtype}; labels are whole numbers or texts")
    if len(wrong):
        first = labels[wrong[0]].item() if isinstance(labels[wrong[0]], np.generic) else labels[wrong[0]]
        raise InputError(f"{name}: that of image {wrong[0]} is {first!r}; labels are whole numbers or texts")
    return labels.astype(np.int64 if labels.dtype.kind == "f" else str)


def number_labels(labels: np.ndarray, class_names: Sequence[str], by_place: bool, name: str, known: str) -> np.ndarray:
    """int32 [N] in 0..K-1.

    Args:
      labels: of `as_labels`.
      class_names: K of them.
      by_place: whole numbers are places in `class_names`; else names, as texts are.
      name: names the labels in errors.
      known: names the classes in errors.

    Raises:
      InputError: a label is no class.
    """
    if by_place and labels.dtype.kind in "iu":
        wrong = np.flatnonzero((labels < 0) | (labels >= len(class_names)))
        if len(wrong):
            last = len(class_names) - 1
            raise InputError(f"{name}: that of image {wrong[0]} is {labels[wrong[0]]}, beyond 0..{last}")
        return labels.astype(np.int32)
    number_of = {class_name: number for number, class_name in enumerate(class_names)}
    values, inverse = np.unique(labels, return_inverse=True)
    unknown = [shown(str(value)) for value in values if str(value) not in number_of]
    if unknown:
        raise InputError(f"{name}: {', '.join(unknown[:_NAMED_AT_MOST])}: not among {known}")
    return np.array([number_of[str(value)] for value in values], np.int32)[inverse]
