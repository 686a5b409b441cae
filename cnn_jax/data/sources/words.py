"""Names of folders, files and classes in a message: a few of them, each as one printable word."""

from collections.abc import Sequence

from cnn_jax.errors import shown

_NAMED_AT_MOST = 5


def named(names: Sequence[str], at_most: int = _NAMED_AT_MOST) -> str:
    """`a, b, c and 7 more`"""
    more = len(names) - at_most
    first = ", ".join(shown(name) for name in names[:at_most])
    return first if more <= 0 else f"{first} and {more} more"


def counted(what: str, names: Sequence[str], many: str | None = None) -> str:
    """`3 files (a, b, c)`, shortened."""
    return f"{len(names)} {what if len(names) == 1 else many or f'{what}s'} ({named(names)})"


def numbered(count: int, what: str, many: str | None = None) -> str:
    """`1 file`, `1,200 files`"""
    return f"{count:,} {what if count == 1 else many or f'{what}s'}"
