"""What a command line's text becomes: a Python literal, or the text itself where a key wants text."""

import contextlib
import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax.config import keys as k
from cnn_jax.config import rules
from cnn_jax.config import tree as c
from cnn_jax.config.overrides import parse_overrides
from cnn_jax.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1e-3", 1e-3), ("(32, 64)", (32, 64)), ("true", True), ("False", False), ("None", None),
     ("adam", "adam"), ("[1, 2]", [1, 2])],
)  # fmt: skip
def test_values_from_flags(text: str, value: Any) -> None:
    assert parse_overrides([("x", text)]) == [("x", value)]


def test_a_folder_may_have_a_number_for_a_name() -> None:
    assert parse_overrides([("data.dir", "2024"), ("data.dir", "None")]) == [("data.dir", "2024"), ("data.dir", None)]


def test_text_whatever_its_rule_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """What kind of value is wanted does not hang on the words of the refusal."""
    for rule in (rules.text(), rules.maybe(rules.text()), rules.auto(rules.pattern())):
        monkeypatch.setitem(k.KEYS, "data.dir", k.Key(None, dataclasses.replace(rule, expects="a folder"), ""))
        assert parse_overrides([("data.dir", "2024")]) == [("data.dir", "2024")]
    number = dataclasses.replace(rules.integer(1), expects="text or a year")
    monkeypatch.setitem(k.KEYS, "data.dir", k.Key(None, number, ""))
    assert parse_overrides([("data.dir", "2024")]) == [("data.dir", 2024)]


@settings(deadline=None)
@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    config = c.default_config()
    for key in ("optimizer.learning_rate", "model.filters", "augment", "data.dir", text):
        with contextlib.suppress(InputError):
            changed = c.override(config, parse_overrides([(key, text)]))
            assert c.validate(changed).to_dict() == changed.to_dict()
