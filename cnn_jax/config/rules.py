"""What a config value may be: each rule turns a value into its canonical form, or says what it expects."""

import dataclasses
import difflib
import math
import numbers
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from cnn_jax.config import expressions

_LARGEST_FLOAT32 = 3.4e38
_LONGEST_SIDE = 16_384
_LONGEST_NAME = 100  # of what could be meant


class Refusal(ValueError):
    """A refusal in words of its own, where the rule's `expects` would say too much."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a value may be.

    Attributes:
      expects: completes the sentence 'it must be ...'.
      accept: returns the canonical value or raises ValueError.
      choices: the names that it may be, where they are few.
      may_be_none: None is a value, too.
      kind: what is typed on a command line is the value ("text"), or Python for it ("literal"): a folder may be called
        2024.
    """

    expects: str
    accept: Callable[[Any], Any]
    choices: tuple[str, ...] = ()
    may_be_none: bool = False
    kind: Literal["text", "literal"] = "literal"

    def __call__(self, value: Any) -> Any:
        if value is None and self.may_be_none:
            return None
        try:
            return self.accept(value)
        except Refusal:
            raise
        except Exception as error:  # objects of the user's own raise what they like
            raise ValueError(f"must be {self.expects}{did_you_mean(value, self.choices)}") from error


@dataclasses.dataclass(frozen=True)
class Key:
    """One leaf of the config tree."""

    default: Any
    rule: Rule
    why: str


def did_you_mean(value: Any, choices: Iterable[str]) -> str:
    """` (did you mean 'adam'?)` where one of the choices is close to the value, else nothing."""
    if not isinstance(value, str):
        return ""
    folded = {choice.lower(): choice for choice in choices}  # `steplr` is close to StepLR
    close = difflib.get_close_matches(value[:_LONGEST_NAME].lower(), list(folded), n=1)
    return f" (did you mean '{folded[close[0]]}'?)" if close else ""


def flag() -> Rule:
    return Rule("True or False", lambda value: value if isinstance(value, bool) else _refuse())


def text() -> Rule:
    def accept(value: Any) -> str:
        return value if isinstance(value, str) and value and "\0" not in value else _refuse()

    return Rule("text", accept, kind="text")


def integer(least: int, most: int = 2**31 - 1) -> Rule:
    expects = f"a whole number of at least {least}" + (f" and at most {most}" if most < 2**31 - 1 else "")

    def accept(value: Any) -> int:
        if isinstance(value, bool) or int(value) != value:
            _refuse()
        if value > most == 2**31 - 1:  # a limit that goes without saying
            raise Refusal(f"must be {expects} and at most {most}")
        return int(value) if least <= value <= most else _refuse()

    return Rule(expects, accept)


def number(
    least: float = -math.inf, most: float = math.inf, *, above: float = -math.inf, below: float = math.inf
) -> Rule:
    """A finite float with least <= value <= most and above < value < below."""
    limits = []
    if least > -math.inf:
        limits.append(f"of at least {least:g}")
    if most < math.inf:
        limits.append(f"of at most {most:g}")
    if above > -math.inf:
        limits.append(f"above {above:g}")
    if below < math.inf:
        limits.append(f"below {below:g}")

    def accept(value: Any) -> float:
        if isinstance(value, bool | str):
            _refuse()
        value = float(value)
        in_range = least <= value <= most and above < value < below
        return value if abs(value) <= _LARGEST_FLOAT32 and in_range else _refuse()

    return Rule("a number " + " and ".join(limits) if limits else "a finite number", accept)


def choice(*names: str) -> Rule:
    listed = ", ".join(names)
    return Rule(
        f"one of {listed}", lambda value: value if isinstance(value, str) and value in names else _refuse(), names
    )


def share() -> Rule:
    """A fraction in [0, 1), or a count of at least 1 given as a whole number; 0 takes nothing."""

    def accept(value: Any) -> float | int:
        if isinstance(value, bool | str) or not math.isfinite(value) or value < 0:
            _refuse()
        # A ConfigDict makes 5000 of a config file 5000.0, as the default is a fraction; 1.0 may mean either.
        if isinstance(value, numbers.Integral) or (value >= 2 and value == int(value)):
            return int(value)
        return float(value) if value < 1 else _refuse()

    return Rule("a fraction of at least 0 and below 1, or a whole number of examples", accept)


def size() -> Rule:
    """(height, width); one number means a square."""
    side = integer(1, _LONGEST_SIDE)

    def accept(value: Any) -> tuple[int, int]:
        height, width = (value, value) if not isinstance(value, tuple | list) else value
        return side(height), side(width)

    return Rule(f"a whole number of pixels up to {_LONGEST_SIDE}, or (height, width)", accept)


def several(item: Rule, least: int = 0) -> Rule:
    """A tuple of values that each keep to `item`; a single value stands for a tuple of one."""

    def accept(value: Any) -> tuple[Any, ...]:
        values = tuple(item(v) for v in (value if isinstance(value, tuple | list) else (value,)))
        return values if len(values) >= least else _refuse()

    return Rule(f"a tuple{f' of at least {least}' if least else ''}, each {item.expects}", accept)


def limits(low: Rule, high: Rule, expects: str) -> Rule:
    """(low, high) with low <= high; `expects` says what they limit."""

    def accept(value: Any) -> tuple[Any, Any]:
        first, second = value
        return (low(first), high(second)) if low(first) <= high(second) else _refuse()

    return Rule(expects, accept)


def row(*rules: Rule, expects: str) -> Rule:
    """A tuple of values, each with its own rule."""

    def accept(value: Any) -> tuple[Any, ...]:
        return tuple(rule(one) for rule, one in zip(rules, value, strict=True))

    return Rule(expects, accept)


def pairs(rules: Mapping[str, Rule], example: str) -> Rule:
    """A tuple of (name, strength) pairs, in order; the strength keeps to the rule of its name."""

    def accept(value: Any) -> tuple[tuple[str, Any], ...]:
        if isinstance(value, str):
            _refuse()
        return tuple(one_pair(name, strength) for name, strength in value)

    def one_pair(name: Any, strength: Any) -> tuple[str, Any]:
        if not isinstance(name, str):
            _refuse()
        if name not in rules:
            raise Refusal(f"has no '{name}'{did_you_mean(name, rules)}; there are {', '.join(rules)}")
        try:
            return name, rules[name](strength)
        except ValueError as error:
            raise Refusal(f"is wrong in ('{name}', {strength!r}): the strength of '{name}' {error}") from error

    return Rule(f"a tuple of (name, strength) pairs, as in {example}", accept)


def pattern() -> Rule:
    """A regular expression."""

    def accept(value: Any) -> str:
        if not isinstance(value, str) or not value:
            _refuse()
        try:
            re.compile(value)
        except re.error as error:
            raise Refusal(f"is no regular expression: {error}") from error
        return value

    return Rule("text that is a regular expression", accept, kind="text")


def globs() -> Rule:
    """A tuple of patterns of paths below a folder; a single one stands for a tuple of one."""

    def accept(value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # a folder may be called 2019
        names = value.split("/") if isinstance(value, str) else []
        return value if set(names) - {"", "."} and ".." not in names and "\0" not in value else _refuse()

    several_of_them = several(Rule("text", accept))
    return dataclasses.replace(several_of_them, expects="a tuple of patterns of paths below data.dir, as in ('*.jpg',)")


def expression() -> Rule:
    """Arithmetic of t, as text; a number stands for itself."""

    def accept(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            _refuse()
        try:
            expressions.check(str(value))
        except expressions.NotAllowed as error:
            raise Refusal(str(error)) from error
        return str(value)

    return Rule("arithmetic of t, as in '0.95 ** t' or '1 if t < 10 else 0.1'", accept)


def multipliers() -> Rule:
    """A tuple of (regular expression, factor) pairs."""
    name, factor = pattern(), number(above=0)

    def accept(value: Any) -> tuple[tuple[str, float], ...]:
        if isinstance(value, str):
            _refuse()
        return tuple((name(one), factor(other)) for one, other in value)

    return Rule("a tuple of (regular expression, factor above 0) pairs, as in (('head', 10.0),)", accept)


def class_weights() -> Rule:
    """none, balanced, or a tuple of (class name, weight) pairs; a class may have a number for its name."""
    named, weight = choice("none", "balanced"), number(0)

    def accept(value: Any) -> str | tuple[tuple[str, float], ...]:
        if isinstance(value, str):
            return str(named(value))
        found = tuple((class_name(name), weight(one)) for name, one in value)
        names = [name for name, _ in found]
        if len(set(names)) < len(names):
            raise Refusal("names a class twice")
        return found or _refuse()

    def class_name(name: Any) -> str:
        return str(name) if isinstance(name, str | int) and not isinstance(name, bool) else _refuse()

    expects = "none, balanced, or (class name, weight) pairs, as in (('cat', 2.0), ('dog', 0.5))"
    return Rule(expects, accept, named.choices)


def auto(rule: Rule) -> Rule:
    """The same rule, or "auto"."""
    return dataclasses.replace(
        rule, expects=f"{rule.expects}, or auto", accept=lambda value: value if value == "auto" else rule.accept(value)
    )


def maybe(rule: Rule) -> Rule:
    """The same rule, or None."""
    return dataclasses.replace(rule, expects=f"{rule.expects}, or None", may_be_none=True)


def _refuse() -> Any:
    raise ValueError
