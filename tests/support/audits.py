"""Pictures as an audit sees them."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from cnn_jax.audit.duplicates import SecondLook
from cnn_jax.audit.pictures import gray_square
from cnn_jax.audit.quality import Entry, measure, prepare
from cnn_jax.data.reading.images import quiet


def entries_of(contents: list[Any], labels: list[int] | None = None, split: str = "train") -> list[Entry]:
    prepare()
    with quiet():
        return [
            Entry(split, i, labels[i] if labels else 0, f"{i}", "", measure(content, f"{i}"))
            for i, content in enumerate(contents)
        ]


def second_look(contents: list[bytes]) -> SecondLook:
    """Of pictures that `entries_of` measured."""

    def squares(rows: Sequence[int]) -> np.ndarray:
        return np.stack([gray_square(Image.open(io.BytesIO(contents[row])).convert("RGB")) for row in rows])

    return squares
