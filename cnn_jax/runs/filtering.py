"""Which runs are meant and in which order: a small language for conditions, evaluated here and by nothing else.

    optimizer.learning_rate > 0.01 and model.name in ("cnn", "mlp")

It looks like Python, but only comparisons, `and`, `or`, `not`, `in`, arithmetic, numbers, texts, tuples and the names
of columns mean anything: a condition out of a file or a web form can read columns and do nothing else (`safe_eval`).
"""

import ast
import functools
import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from cnn_jax.config.rules import did_you_mean
from cnn_jax.config.safe_eval import Language, Refused, Value, compile_text
from cnn_jax.errors import InputError

Record = Mapping[str, Any]

_MAX_LENGTH, _SHOWN = 2000, 120


def condition(text: str, columns: Collection[str]) -> Callable[[Record], bool]:
    """What a record (column -> value; absent and None are the same) must fulfil.

    A comparison by size with what a run does not have is false. `config.` before a name and backticks around it, as
    flags and pandas write it, may be left out.

    Raises:
      InputError: the text is no condition, or names a column that is not there.
    """
    try:
        if len(text) > _MAX_LENGTH:
            raise ValueError(f"it is longer than {_MAX_LENGTH} characters")
        evaluate = compile_text(text.replace("`", ""), _language(_named(text), columns))
    except InputError:
        raise
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        if isinstance(error, Refused):
            reason = f"'{reason[:_SHOWN]}' may not be in one"
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
        present.sort(key=lambda record: sort_key(record[name]), reverse=downwards)
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


def sort_key(value: Any) -> tuple[int, Any]:
    """One order for whatever runs hold: numbers, texts, tuples entry by entry, anything else, and what is not there."""
    if _absent(value):
        return 4, ""
    if isinstance(value, int | float):
        return 0, value
    if isinstance(value, tuple):
        return 2, tuple(map(sort_key, value))
    return (1, value) if isinstance(value, str) else (3, repr(value))


def _language(where: str, columns: Collection[str]) -> Language:
    """Of conditions; `where` begins the errors that only a record's values show."""

    def name(dotted: str) -> Value:
        known = column(dotted, columns, where, "; a text stands in quotes")
        return lambda record: None if _absent(record.get(known)) else record[known]

    def arithmetic(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        return functools.partial(_arithmetic, where, compute)

    def comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
        return functools.partial(_comparison, where, compare)

    return Language(
        literal=_literal,
        name=name,
        operators={
            ast.Add: arithmetic(operator.add), ast.Sub: arithmetic(operator.sub), ast.Mult: arithmetic(operator.mul),
            ast.Div: arithmetic(operator.truediv), ast.Mod: arithmetic(operator.mod), ast.Pow: arithmetic(operator.pow),
            ast.USub: functools.partial(arithmetic(operator.sub), 0), ast.Not: operator.not_,
            ast.Lt: comparison(operator.lt), ast.LtE: comparison(operator.le), ast.Gt: comparison(operator.gt),
            ast.GtE: comparison(operator.ge), ast.Eq: operator.eq, ast.Is: operator.eq, ast.NotEq: operator.ne,
            ast.IsNot: operator.ne, ast.In: comparison(_is_in),
            ast.NotIn: lambda value, values: not comparison(_is_in)(value, values),
            ast.Tuple: lambda *values: values, ast.List: lambda *values: values,
        },
        logic={ast.And: all, ast.Or: any, ast.BitAnd: all, ast.BitOr: any},  # & and |: as pandas writes it
    )  # fmt: skip


def _literal(constant: Any) -> Value | None:
    if constant is not None and not isinstance(constant, int | float | str):
        return None
    return lambda record: constant


def _arithmetic(where: str, compute: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """None where a run has not both, or there is no such number."""
    if left is None or right is None:
        return None
    if not all(isinstance(value, int | float) for value in (left, right)):
        raise InputError(f"{where}: {left!r} and {right!r} are not both numbers")
    try:
        return compute(float(left), float(right))  # whole numbers could grow without end
    except (ZeroDivisionError, OverflowError):
        return None


def _comparison(where: str, compare: Callable[[Any, Any], Any], left: Any, right: Any) -> bool:
    """False where a run has not both."""
    if left is None or right is None:
        return False
    try:
        return bool(compare(left, right))
    except TypeError as error:
        raise InputError(f"{where}: {left!r} and {right!r} cannot be compared") from error


def _is_in(value: Any, values: Any) -> bool:
    return operator.contains(values, value)
