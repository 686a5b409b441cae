"""Patterns for paths below a folder, as a .gitignore has them; in any case and Unicode form."""

import unicodedata
from fnmatch import fnmatchcase


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern matches a path, or a folder that the path lies in.

    >>> matches("cat/1.PNG", "*.png"), matches("cat/masks/1.png", "masks"), matches("cat/1.png", "cat/*.jpg")
    (True, True, False)

    Args:
      path: relative, with `/` between its parts.
      pattern: `*`, `?` and `[...]` stand for parts of a name, `**` for any number of folders. Without a `/` (but at its
        end) it may match at any depth; with one it begins at the folder.
    """
    return _match(_normal(path).split("/"), parts(pattern))


def may_match_below(folder: str, pattern: str) -> bool:
    """Whether something in this folder may match; with `folder` and `pattern` as in `matches`."""
    steps = parts(pattern)
    for name in _normal(folder).split("/"):
        if not steps or steps[0] == "**":
            return True
        if not fnmatchcase(name, steps[0]):
            return False
        steps = steps[1:]
    return True


def parts(pattern: str) -> list[str]:
    """The names that a pattern is made of; one without a `/` may stand at any depth."""
    names = [name for name in _normal(pattern).split("/") if name not in ("", ".")]
    return names if "/" in pattern.rstrip("/") else ["**", *names]


def _match(names: list[str], steps: list[str]) -> bool:
    if not steps:
        return True  # and what lies below
    if steps[0] == "**":
        return any(_match(names[start:], steps[1:]) for start in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], steps[0]) and _match(names[1:], steps[1:])


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
