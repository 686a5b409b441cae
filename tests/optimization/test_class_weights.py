"""Weights of classes by their names."""

import re
from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from cnn_jax.config.overrides import parse_overrides
from cnn_jax.config.tree import default_config, from_json, override, to_json
from cnn_jax.experiment.setup import build
from cnn_jax.optimization.losses import make_class_weights
from tests.support.helpers import refusal, tiny_config

NAMES = ("bee", "cat", "dog")


def test_weights_by_name_are_sklearns() -> None:
    """A class that is not named weighs 1."""
    labels = np.repeat([0, 1, 2], [5, 3, 2])
    ours = make_class_weights((("dog", 2.5), ("bee", 0.0)), labels, NAMES)
    theirs = compute_class_weight({0: 0.0, 2: 2.5}, classes=np.arange(3), y=labels)
    assert np.array_equal(ours, theirs)
    balanced = make_class_weights("balanced", labels, NAMES)
    np.testing.assert_allclose(balanced, compute_class_weight("balanced", classes=np.arange(3), y=labels), rtol=1e-6)
    assert make_class_weights("none", labels, NAMES) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(('cat', 2),)", (("cat", 2.0),)),
        ("((3, 2), ('7', 0.5))", (("3", 2.0), ("7", 0.5))),
        ('[["cat", 2.0]]', (("cat", 2.0),)),
        ("balanced", "balanced"),
    ],
)
def test_weights_on_the_command_line(text: str, value: Any) -> None:
    """And as a run directory keeps them."""
    config = override(default_config(), parse_overrides([("loss.class_weights", text)]))
    assert config.loss.class_weights == value
    assert from_json(to_json(config)).loss.class_weights == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("balancd", r"did you mean 'balanced'"),
        ((("cat", -1),), r"must be none, balanced, or \(class name, weight\) pairs, as in"),
        ((("cat", float("nan")),), "must be none, balanced"),
        ((("cat", 1), ("cat", 2)), "names a class twice"),
        ((), "must be none, balanced"),
        ((1.0, 2.0), "must be none, balanced"),
    ],
)
def test_weights_that_cannot_be(value: Any, words: str) -> None:
    assert re.search(words, refusal(override, default_config(), [("loss.class_weights", value)]))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((("10", 2.0),), r"there is no class '10' \(did you mean '1'\?\); there are 0, 1, 2"),
        (tuple((str(k), 0) for k in range(10)), "every class weighs 0"),
    ],
)
def test_weights_of_no_such_class(value: Any, words: str) -> None:
    """Before anything is compiled."""
    assert re.search(words, refusal(lambda: build(tiny_config(loss__class_weights=value))))
