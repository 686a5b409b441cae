"""Small languages in Python's syntax, for texts of strangers: nothing is ever handed to `eval`.

A text is parsed, and each part of it must have a meaning in the tables of a `Language`. Anything else is refused.
"""

import ast
import dataclasses
import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Value = Callable[[Any], Any]  # a part of the text as a function of what the text is computed from: t, or a record


class Refused(ValueError):
    """A part that has no meaning; the message is its text."""


@dataclasses.dataclass(frozen=True)
class Language:
    """What the parts of a text mean. None is returned for what has no meaning.

    Attributes:
      literal: a constant -> its value.
      name: a name, perhaps with dots -> its value.
      operators: class of `ast` -> function of the operands: operators, comparisons of two, and IfExp, Tuple and List.
      function: name and number of arguments -> function of the arguments.
      logic: class of `ast` -> function of an iterable, which computes an operand when it is asked for.
      chain: what `a < b < c` is, from an iterable of the comparisons of two.
      max_depth: of nesting.
    """

    literal: Callable[[Any], Value | None]
    name: Callable[[str], Value | None]
    operators: Mapping[type[ast.AST], Callable[..., Any]]
    function: Callable[[str, int], Callable[..., Any] | None] = lambda name, count: None
    logic: Mapping[type[ast.AST], Callable[[Iterable[Any]], Any]] = dataclasses.field(default_factory=dict)
    chain: Callable[[Iterable[Any]], Any] = all
    max_depth: int = 1000


def compile_text(text: str, language: Language) -> Value:
    """The text as a function.

    Raises:
      Refused: a part has no meaning; so do whatever errors the language raises.
      RecursionError: it is nested too deep.
      SyntaxError, ValueError, MemoryError: it is no expression.
    """
    with warnings.catch_warnings(action="ignore"):  # the parser's, about text like `0x1for`
        tree = ast.parse(text.strip(), mode="eval").body
    return _compile(tree, language, 1)


def _compile(node: ast.expr, language: Language, depth: int) -> Value:
    """Refuses a part before it looks at what is in it."""
    if depth > language.max_depth:
        raise RecursionError(f"nested more than {language.max_depth} deep")
    operators, logic = language.operators, language.logic

    def of_parts(function: Callable[..., Any], *parts: ast.expr) -> Value:
        values = [_compile(part, language, depth + 1) for part in parts]
        return lambda variables: function(*(value(variables) for value in values))

    def of_logic(fold: Callable[[Iterable[Any]], Any], *parts: ast.expr) -> Value:
        values = [_compile(part, language, depth + 1) for part in parts]
        return lambda variables: fold(value(variables) for value in values)

    compiled: Value | None = None
    match node:
        case ast.Constant(value=constant):
            compiled = language.literal(constant)
        case ast.Name() | ast.Attribute():
            dotted = _dotted(node)
            compiled = None if dotted is None else language.name(dotted)
        case ast.BoolOp(op=op, values=parts) if type(op) in logic:
            compiled = of_logic(logic[type(op)], *parts)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in logic:
            compiled = of_logic(logic[type(op)], left, right)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in operators:
            compiled = of_parts(operators[type(op)], left, right)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in operators:
            compiled = of_parts(operators[type(op)], operand)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in operators for op in ops):
            compiled = of_parts(_chained(language, [operators[type(op)] for op in ops]), left, *others)
        case ast.IfExp(test=test, body=body, orelse=orelse) if ast.IfExp in operators:
            compiled = of_parts(operators[ast.IfExp], test, body, orelse)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) if type(node) in operators:
            compiled = of_parts(operators[type(node)], *parts)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            function = language.function(name, len(args))
            compiled = None if function is None else of_parts(function, *args)
    if compiled is None:
        raise Refused(ast.unparse(node))
    return compiled


def _chained(language: Language, comparisons: Sequence[Callable[[Any, Any], Any]]) -> Callable[..., Any]:
    def chained(*values: Any) -> Any:
        pairs = zip(comparisons, itertools.pairwise(values), strict=True)
        return language.chain(compare(*pair) for compare, pair in pairs)

    return chained


def _dotted(node: ast.expr) -> str | None:
    """'a.b.c'; None for an attribute of anything but a name."""
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return None if owner is None else f"{owner}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else None
