"""Arithmetic of t: it computes what Python would, and lets nothing else through."""

import ast
import math
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_jax.config.expressions import NotAllowed, check, function

TEXTS = [
    "0.95 ** t", "min(1, t / 5)", "1 if t < 10 else 0.1", "t // 3 % 4", "-t + +2", "(t - 3) * 2", "7 % (t + 1)",
    "max(t, 3, t * t)", "abs(cos(t)) + sin(pi * t) - exp(-t)", "sqrt(t) * log(1 + t)", "floor(t / 3)",
    "1 < t <= 5 != 3", "(t > 2) * 3 + (t == 4)", "1e-3 * t", "t if t >= 4 else 1 if t else 9", "2 ** -t ** 2",
]  # fmt: skip
NAMES = {name: getattr(math, name) for name in ("floor", "exp", "log", "sqrt", "cos", "sin", "pi")}
NAMES |= {"min": min, "max": max, "abs": abs}


@pytest.mark.parametrize("text", TEXTS)
def test_it_is_what_python_computes(text: str) -> None:
    expected = [float(eval(text, NAMES | {"t": float(t)})) for t in range(12)]
    f = function(text)
    assert [f(t) for t in range(12)] == pytest.approx(expected, rel=1e-12)
    assert isinstance(f(3.0), float)
    np.testing.assert_allclose(np.broadcast_to(f(np.arange(12.0)), 12), expected, rtol=1e-12)
    ours = jax.jit(lambda t: jnp.broadcast_to(f(t), t.shape))(jnp.arange(12.0))
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1 / t", math.inf), ("log(t)", -math.inf), ("sqrt(t - 1)", math.nan), ("t / t", math.nan),
     ("9 ** 9 ** 9 ** 9", math.inf), ("1 if t < 1 else 1 / t", 1.0)],
)  # fmt: skip
def test_what_has_no_value(text: str, value: float) -> None:
    assert function(text)(0) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "__import__('os').system('true')",
            "holds `__import__('os').system('true')`, which is not read; there are num",
        ),
        ("t.__class__", "holds `t.__class__`"),
        ("(lambda: t)()", "holds `(lambda: t)()`"),
        ("[t for t in (1,)]", "holds `[t for t in (1,)]`"),
        ("x + 1", "holds `x`"),
        ("exp", "holds `exp`"),
        ("'a' * 9", "holds `'a'`"),
        ("1j * t", "holds `1j`"),
        ("True", "holds `True`"),
        ("...", "holds `...`"),
        ("t @ t", "holds `t @ t`"),
        ("t << 9", "holds `t << 9`"),
        ("~t", "holds `~t`"),
        ("not t", "holds `not t`"),
        ("t and 1", "holds `t and 1`"),
        ("t is 1", "holds `t is 1`"),
        ("t in t", "holds `t in t`"),
        ("(t := 5)", "holds `(t := 5)`"),
        ("f'{t}'", "holds `f'{t}'`"),
        ("t[0]", "holds `t[0]`"),
        ("max(*t, 2)", "holds `*t`"),
        ("max(t, 2, key=t)", "holds `max(t, 2, key=t)`"),
        ("max(t)", "gives max 1 values: it takes two or more"),
        ("exp(t, 2)", "gives exp 2 values: it takes 1"),
        ("pow(t, 2)", "holds `pow(t, 2)`"),
        ("t +", "is no arithmetic of t, as in '0.95 ** t'"),
        ("", "is no arithmetic of t"),
        ("t; t", "is no arithmetic of t"),
        ("t = 3", "is no arithmetic of t"),
        ("\0", "is no arithmetic of t"),
        ("t" * 201, "has 201 characters; at most 200 are read"),
        ("-" * 150 + "t", "is nested more than 20 deep"),
        ("(" * 100 + "t" + ")" * 99, "is no arithmetic of t"),
        ("+".join("t" * 40), "is nested more than 20 deep"),
    ],
)
def test_anything_else_is_refused(text: str, words: str) -> None:
    with pytest.raises(NotAllowed) as caught:
        check(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(NotAllowed):
        function(text)


def test_what_is_refused_far_down_in_a_program() -> None:
    def deep(frames: int) -> None:
        check("~" * 199 + "t") if frames == 0 else deep(frames - 1)

    with pytest.raises(NotAllowed, match="nested"):
        deep(sys.getrecursionlimit() // 2)


def test_large_powers_do_not_hang() -> None:
    start = time.process_time()
    for text in ("9**9**9**9", "9**(9**99)", f"{'9' * 90}**{'9' * 90}", "t**t**t**t**t"):
        assert function(text)(50) == math.inf
    assert time.process_time() - start < 10


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(alphabet="t0123.9+-*/%()<>=, ifelsepimnxabq_[]'\"", max_size=30))
def test_any_text_is_computed_or_refused(text: str) -> None:
    try:
        check(text)
    except NotAllowed:
        return
    assert isinstance(function(text)(3), float)
    nodes: set[Any] = {type(node) for node in ast.walk(ast.parse(text.strip(), mode="eval"))}
    assert not nodes & {ast.Attribute, ast.Subscript, ast.Lambda, ast.List, ast.Tuple, ast.JoinedStr, ast.NamedExpr}
