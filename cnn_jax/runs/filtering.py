"""Which runs are meant and in which order: a small language for conditions, evaluated here and by nothing else.

    optimizer.learning_rate > 0.01 and model.name in ("cnn", "mlp")

It is parsed as Python, but only comparisons, `and`, `or`, `not`, `in`, arithmetic, numbers, texts, tuples and the names
of columns mean anything: a condition out of a file or a web form can read columns and do nothing else.
"""

import ast
import itertools
import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from cnn_jax.config.rules import did_you_mean
from cnn_jax.errors import InputError

Record = Mapping[str, Any]
_Value = Callable[[Record], Any]

_LONGEST, _SHOWN = 2000, 120
_COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip


def condition(text: str, columns: Collection[str]) -> Callable[[Record], bool]:
    """What a record (column -> value; absent and None are the same) must fulfil.

    A comparison by size with what a run does not have is false. `config.` before a name and backticks around it, as
    flags and pandas write it, may be left out.

    Raises:
      InputError: the text is no condition, or names a column that is not there.
    """
    try:
        if len(text) > _LONGEST:
            raise ValueError(f"it is longer than {_LONGEST} characters")
        tree = ast.parse(text.replace("`", "").strip(), mode="eval").body
        evaluate = _Reader(text, columns).read(tree)
    except InputError:
        raise
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        raise InputError(
            f"{_named(text)}: this is no condition ({reason}); write it as in "
            f"'optimizer.learning_rate > 0.01 and model.name == \"cnn\"'"
        ) from error
    return lambda record: bool(evaluate(record))


def in_order(records: Iterable[dict[str, Any]], order_by: Sequence[str]) -> list[dict[str, Any]]:
    """The records by one column or several, of which the first counts most.

    "x" and "x asc" go upwards, "-x" and "x desc" downwards. Records without the value come last. Raises InputError for
    a column that is in no record.
    """
    ordered = list(records)
    columns = {name for record in ordered for name in record}
    for entry in reversed(order_by):
        words = entry.strip().removeprefix("-").split()
        downwards = entry.strip().startswith("-")
        if len(words) == 2 and words[1].lower() in ("asc", "desc"):
            downwards = words.pop().lower() == "desc"
        if len(words) != 1:
            raise InputError(f"sorted by {entry!r}: write the name of a column, as in 'test_loss' or '-test_accuracy'")
        if not ordered:
            continue
        name = column(words[0], columns, f"sorted by {entry!r}")
        present = [record for record in ordered if not _absent(record.get(name))]
        present.sort(key=lambda record: _rank(record[name]), reverse=downwards)
        ordered = present + [record for record in ordered if _absent(record.get(name))]
    return ordered


def column(name: str, columns: Collection[str], where: str, hint: str = "") -> str:
    """The column that is meant; raises InputError, which says `where` and ends in `hint`, for one that is not there."""
    if name in columns:
        return name
    if name.removeprefix("config.") in columns:
        return name.removeprefix("config.")
    raise InputError(
        f"{where}: no run has '{name[:_SHOWN]}'{did_you_mean(name, columns)}; the columns are those of "
        f"cnn_jax.tracking.search_runs(DIR).columns{hint}"
    )


def _named(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _absent(value: Any) -> bool:
    return value is None or value != value


def _rank(value: Any) -> tuple[int, Any]:
    if isinstance(value, int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, repr(value))


class _Reader:
    """Turns the tree into functions of a record; what is not listed here is refused."""

    def __init__(self, text: str, columns: Collection[str]):
        self._text, self._columns = text, columns

    def read(self, node: ast.expr) -> _Value:
        match node:
            case ast.Constant(value=int() | float() | str() | None as value):
                return lambda record: value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                values = [self.read(part) for part in parts]
                return lambda record: tuple(value(record) for value in values)
            case ast.Name() | ast.Attribute():
                name = column(self._dotted(node), self._columns, _named(self._text), "; a text stands in quotes")
                return lambda record: None if _absent(record.get(name)) else record[name]
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.read(operand)
                return lambda record: not inner(record)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self.read(operand)
                return lambda record: self._apply(operator.sub, 0, inner(record))
            case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() as op, right=right):  # as pandas writes it
                return self._logic(isinstance(op, ast.BitAnd), [left, right])
            case ast.BoolOp(op=op, values=parts):
                return self._logic(isinstance(op, ast.And), parts)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                first, second, act = self.read(left), self.read(right), _ARITHMETIC[type(op)]
                return lambda record: self._apply(act, first(record), second(record))
            case ast.Compare(left=left, ops=ops, comparators=rest):
                return self._compare([left, *rest], ops)
        raise ValueError(f"'{ast.unparse(node)[:_SHOWN]}' may not be in one")

    def _dotted(self, node: ast.expr) -> str:
        if isinstance(node, ast.Attribute):
            return f"{self._dotted(node.value)}.{node.attr}"
        if isinstance(node, ast.Name):
            return node.id
        raise ValueError(f"'{ast.unparse(node)[:_SHOWN]}' has no parts that may be asked for")

    def _logic(self, both: bool, parts: Sequence[ast.expr]) -> _Value:
        inner = [self.read(part) for part in parts]
        return lambda record: (all if both else any)(part(record) for part in inner)

    def _compare(self, sides: Sequence[ast.expr], operators: Sequence[ast.cmpop]) -> _Value:
        values = [self.read(side) for side in sides]

        def holds(record: Record) -> bool:
            found = [value(record) for value in values]
            return all(self._holds(op, *pair) for op, pair in zip(operators, itertools.pairwise(found), strict=True))

        return holds

    def _holds(self, op: ast.cmpop, left: Any, right: Any) -> bool:
        if isinstance(op, ast.Eq | ast.Is):
            return bool(left == right)
        if isinstance(op, ast.NotEq | ast.IsNot):
            return bool(left != right)
        if left is None or right is None:
            return isinstance(op, ast.NotIn)
        if isinstance(op, ast.In | ast.NotIn):
            return bool(self._apply(operator.contains, right, left)) == isinstance(op, ast.In)
        return bool(self._apply(_COMPARISONS[type(op)], left, right))

    def _apply(self, act: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
        if act in _ARITHMETIC.values():
            if left is None or right is None:
                return None
            if not all(isinstance(value, int | float) for value in (left, right)):
                raise InputError(f"{_named(self._text)}: {left!r} and {right!r} are not both numbers")
            left, right = float(left), float(right)  # whole numbers could grow without end
        try:
            return act(left, right)
        except (ZeroDivisionError, OverflowError):
            return None
        except TypeError as error:
            raise InputError(f"{_named(self._text)}: {left!r} and {right!r} cannot be compared") from error
