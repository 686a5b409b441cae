"""Arithmetic of one variable t in a config: "0.95 ** t", "min(1, t / 5)", "1 if t < 10 else 0.1".

A config.json may come from strangers: only what is listed here is computed (see `safe_eval`), in float64, where
9**9**9**9 is infinite rather than endless.
"""

import ast
import functools
import math
import operator
from collections.abc import Callable
from typing import Any

from cnn_jax.config.safe_eval import Language, Refused, Value, compile_text

_MAX_LENGTH, _MAX_DEPTH = 200, 20
_NUM_ARGUMENTS = {"min": None, "max": None, "floor": 1, "exp": 1, "log": 1, "sqrt": 1, "cos": 1, "sin": 1, "abs": 1}
ALLOWED = "numbers, t, pi, + - * / // % **, comparisons, `a if b else c`, min max floor exp log sqrt cos sin abs"


class NotAllowed(ValueError):
    """What part of a text is no such arithmetic, in words that complete 'it ...'."""


def check(text: str) -> None:
    """Raises NotAllowed for what `function` would not compute."""
    _compiled(text)


def function(text: str) -> Callable[[Any], Any]:
    """The expression as a function of t: of a float, a NumPy array (computed in float64) or a JAX array, elementwise.

    What has no value (1 / 0, log(-1)) becomes an infinity or NaN.

    Raises:
      NotAllowed: the text holds anything else than arithmetic of t, or too much of it.
    """
    compiled = _compiled(text)

    def value(t: Any) -> Any:
        import numpy as np

        if isinstance(t, int | float):
            return float(value(np.asarray(t, np.float64)))
        with np.errstate(all="ignore"):
            return compiled(t)

    return value


def _compiled(text: str) -> Value:
    if len(text) > _MAX_LENGTH:
        raise NotAllowed(f"has {len(text)} characters; at most {_MAX_LENGTH} are read")
    try:
        return compile_text(text, _LANGUAGE)
    except Refused as error:
        raise NotAllowed(f"holds `{error}`, which is not read; there are {ALLOWED}") from error
    except NotAllowed:
        raise
    except RecursionError as error:
        raise NotAllowed(f"is nested more than {_MAX_DEPTH} deep") from error
    except (SyntaxError, ValueError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
        raise NotAllowed(f"is no arithmetic of t, as in '0.95 ** t' ({reason})") from error


def _literal(constant: Any) -> Value | None:
    if type(constant) not in (int, float):
        return None
    return lambda t: t.__array_namespace__().asarray(float(constant), dtype=t.dtype)


def _name(name: str) -> Value | None:
    return {"t": lambda t: t, "pi": _literal(math.pi)}.get(name)


def _function(name: str, count: int) -> Callable[..., Any] | None:
    if name not in _NUM_ARGUMENTS:
        return None
    wanted = _NUM_ARGUMENTS[name]
    if count != wanted and not (wanted is None and count >= 2):
        raise NotAllowed(f"gives {name} {count} values: it takes {wanted or 'two or more'}")
    if wanted is None:
        pairwise = _elementwise("minimum" if name == "min" else "maximum")
        return lambda *values: functools.reduce(pairwise, values)
    return _elementwise(name)


def _elementwise(name: str) -> Callable[..., Any]:
    """A function of NumPy or JAX, whichever the values belong to."""
    return lambda *values: getattr(values[0].__array_namespace__(), name)(*values)


def _comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """1 where it holds, else 0."""
    return lambda a, b: a.__array_namespace__().asarray(compare(a, b), dtype=a.dtype)


def _if(test: Any, body: Any, orelse: Any) -> Any:
    return test.__array_namespace__().where(test != 0, body, orelse)


_COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip
_LANGUAGE = Language(
    literal=_literal,
    name=_name,
    operators={
        ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow, ast.USub: operator.neg,
        ast.UAdd: operator.pos, ast.IfExp: _if,
        **{node: _comparison(compare) for node, compare in _COMPARISONS.items()},
    },
    function=_function,
    chain=lambda comparisons: functools.reduce(operator.mul, comparisons),
    max_depth=_MAX_DEPTH,
)  # fmt: skip
