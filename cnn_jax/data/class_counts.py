"""How many training images each class has, in words."""

import numpy as np

from cnn_jax.data.splits import Splits
from cnn_jax.errors import shown

_LISTED_AT_MOST, _LONGEST_NAME = 12, 30


def describe_classes(splits: Splits) -> str:
    """`3 classes (cat: 120, dog: 80, emu: 9)`: of many the first ones; the counts are of the training split."""
    counts = np.bincount(splits.train.labels, minlength=splits.num_classes)
    listed = [f"{_short(shown(name))}: {count:,}" for name, count in zip(splits.class_names, counts, strict=True)]
    more = len(listed) - _LISTED_AT_MOST
    first = listed if more <= 0 else [*listed[:_LISTED_AT_MOST], f"and {more} more"]
    return f"{splits.num_classes} classes ({', '.join(first)})"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."
