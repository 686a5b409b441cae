"""Arithmetic of one variable t in a config: "0.95 ** t", "min(1, t / 5)", "1 if t < 10 else 0.1".

A config.json may come from strangers, so nothing is ever handed to `eval`: the text is parsed, only what is listed here
is let through, and that is computed in float64, where 9**9**9**9 is infinite rather than endless.
"""

import ast
import math
import operator
import warnings
from collections.abc import Callable
from typing import Any

_LONGEST, _DEEPEST = 200, 20
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip
_ARGUMENTS = {"min": None, "max": None, "floor": 1, "exp": 1, "log": 1, "sqrt": 1, "cos": 1, "sin": 1, "abs": 1}
ALLOWED = "numbers, t, pi, + - * / // % **, comparisons, `a if b else c`, min max floor exp log sqrt cos sin abs"


class NotAllowed(ValueError):
    """What part of a text is no such arithmetic, in words that complete 'it ...'."""


def check(text: str) -> None:
    """Raises NotAllowed for what `function` would not compute."""
    _parsed(text)


def function(text: str) -> Callable[[Any], Any]:
    """The expression as a function of t: of a float, a NumPy array (computed in float64) or a JAX array, elementwise.

    What has no value (1 / 0, log(-1)) becomes an infinity or NaN.

    Raises:
      NotAllowed: the text holds anything else than arithmetic of t, or too much of it.
    """
    tree = _parsed(text)

    def value(t: Any) -> Any:
        import numpy as np

        if isinstance(t, int | float):
            return float(value(np.asarray(t, np.float64)))
        with np.errstate(all="ignore"):
            return _Evaluation(t).of(tree)

    return value


class _Evaluation:
    def __init__(self, t: Any):
        self.t, self.xp = t, t.__array_namespace__()

    def of(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return self.xp.asarray(float(value), dtype=self.t.dtype)  # type: ignore[arg-type]
            case ast.Name(id=name):
                return self.t if name == "t" else self.xp.asarray(math.pi, dtype=self.t.dtype)
            case ast.BinOp(left=left, op=op, right=right):
                return _BINARY[type(op)](self.of(left), self.of(right))
            case ast.UnaryOp(op=sign, operand=operand):
                return _UNARY[type(sign)](self.of(operand))
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                values = [self.of(one) for one in (left, *comparators)]
                holds = self.xp.asarray(True)
                for first, comparison, second in zip(values, ops, values[1:], strict=False):
                    holds = holds & _COMPARISONS[type(comparison)](first, second)
                return self.xp.asarray(holds, dtype=self.t.dtype)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.xp.where(self.of(test) != 0, self.of(body), self.of(orelse))
            case ast.Call(func=ast.Name(id=name), args=args):
                return self.call(name, [self.of(one) for one in args])
        raise AssertionError(f"{type(node).__name__} was let through")

    def call(self, name: str, values: list[Any]) -> Any:
        if name not in ("min", "max"):
            return getattr(self.xp, name)(*values)
        result = values[0]
        for one in values[1:]:
            result = (self.xp.minimum if name == "min" else self.xp.maximum)(result, one)
        return result


def _parsed(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise NotAllowed(f"has {len(text)} characters; at most {_LONGEST} are read")
    try:
        with warnings.catch_warnings(action="ignore"):  # the parser's, about text like `0x1for`
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
        raise NotAllowed(f"is no arithmetic of t, as in '0.95 ** t' ({reason})") from error
    try:
        _check(tree, 1)
    except RecursionError as error:  # of what is written out in a refusal
        raise NotAllowed(f"is nested more than {_DEEPEST} deep") from error
    return tree


def _check(node: ast.expr, depth: int) -> None:
    if depth > _DEEPEST:
        raise NotAllowed(f"is nested more than {_DEEPEST} deep")
    children: list[ast.expr] = []
    match node:
        case ast.Constant(value=value) if type(value) in (int, float):
            pass
        case ast.Name(id="t" | "pi"):
            pass
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            children = [left, right]
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            children = [operand]
        case ast.Compare(left=left, ops=ops, comparators=comparators) if all(type(op) in _COMPARISONS for op in ops):
            children = [left, *comparators]
        case ast.IfExp(test=test, body=body, orelse=orelse):
            children = [test, body, orelse]
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _ARGUMENTS:
            wanted = _ARGUMENTS[name]
            if len(args) != wanted and not (wanted is None and len(args) >= 2):
                raise NotAllowed(f"gives {name} {len(args)} values: it takes {wanted or 'two or more'}")
            children = args
        case _:
            raise NotAllowed(f"holds `{ast.unparse(node)}`, which is not read; there are {ALLOWED}")
    for child in children:
        _check(child, depth + 1)
