"""The interpreter of small languages: what is in its tables is computed, nothing else is."""

import ast
import operator
from typing import Any

import pytest

from cnn_jax.config.safe_eval import Language, Refused, Value, compile_text

asked: list[str] = []


def name(dotted: str) -> Value | None:
    def value(variables: Any) -> Any:
        asked.append(dotted)
        return variables[dotted]

    return value if dotted in ("a", "b.c") else None


LANGUAGE = Language(
    literal=lambda constant: (lambda variables: constant) if type(constant) is int else None,
    name=name,
    operators={ast.Add: operator.add, ast.USub: operator.neg, ast.Lt: operator.lt, ast.Tuple: lambda *values: values},
    function=lambda name, count: sum_of if (name, count) == ("total", 2) else None,
    logic={ast.And: all, ast.BitOr: any},
    max_depth=5,
)


def sum_of(*values: int) -> int:
    return sum(values)


@pytest.mark.parametrize(
    ("text", "value"),
    [("a + -b.c", -4), ("(1, a)", (1, 3)), ("total(a, 4)", 7), ("1 < a < b.c", True), ("1 < a < 2", False),
     (" a and 0", False), ("0 | a", True)],
)  # fmt: skip
def test_tables_give_the_meaning(text: str, value: Any) -> None:
    assert compile_text(text, LANGUAGE)({"a": 3, "b.c": 7}) == value


@pytest.mark.parametrize(
    ("text", "part"),
    [("a - 1", "a - 1"), ("1 + 2.5", "2.5"), ("a > 1", "a > 1"), ("a or 1", "a or 1"), ("[a]", "[a]"), ("b", "b"),
     ("b.c.d", "b.c.d"), ("(1).c", "1 .c"), ("total(a)", "total(a)"), ("total(*a, 1)", "*a"), ("a(1)", "a(1)"),
     ("total(a, b=1)", "total(a, b=1)"), ("a.total(1, 2)", "a.total(1, 2)"), ("a if a else a", "a if a else a"),
     ("lambda: a", "lambda: a"), ("a[0]", "a[0]"), ("(a := 1)", "(a := 1)"), ("f'{a}'", "f'{a}'")],
)  # fmt: skip
def test_any_other_part_is_refused(text: str, part: str) -> None:
    with pytest.raises(Refused) as caught:
        compile_text(text, LANGUAGE)
    assert str(caught.value) == part


def test_logic_asks_no_further_than_needed() -> None:
    compiled = compile_text("0 and a", LANGUAGE)
    asked.clear()
    assert compiled({}) is False
    assert asked == []


def test_nesting_has_an_end() -> None:
    assert compile_text("a + 1 + 1 + 1 + 1", LANGUAGE)({"a": 0}) == 4
    with pytest.raises(RecursionError, match="nested more than 5 deep"):
        compile_text("a + 1 + 1 + 1 + 1 + 1", LANGUAGE)
