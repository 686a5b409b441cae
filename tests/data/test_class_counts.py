"""What training says of its classes."""

import numpy as np

from cnn_jax.data import Examples, Splits
from cnn_jax.data.class_counts import describe_classes


def described(names: list[str], labels: list[int]) -> str:
    examples = Examples(np.zeros((len(labels), 1, 1, 1), np.uint8), np.array(labels, np.int32))
    return describe_classes(Splits("mine", tuple(names), (1, 1, 1), examples, None, None, (0.0,), (1.0,)))


def test_a_few_classes_are_all_named() -> None:
    assert described(["cat", "dog", "e\nmu"], [0, 0, 2] + [1] * 1200) == "3 classes (cat: 2, dog: 1,200, e\\nmu: 1)"


def test_many_classes_are_shortened() -> None:
    said = described([f"{k:03} {'long' * 20}" for k in range(100)], [0, 1])
    assert said.startswith("100 classes (000 longlong")
    assert said.endswith(": 0, and 88 more)")
    assert len(said) < 500
