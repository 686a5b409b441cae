"""Names that people cannot tell apart, or hardly, and computers do."""

import unicodedata
from collections.abc import Callable, Iterable


def same_in_unicode(names: Iterable[str]) -> list[list[str]]:
    """Groups that are one name in several Unicode forms, as `é` in one character or in two."""
    return _groups(names, lambda name: unicodedata.normalize("NFC", name))


def same_but_for_case(names: Iterable[str]) -> list[list[str]]:
    """Groups that differ in case, and perhaps in Unicode form."""
    return _groups(names, folded)


def folded(name: str) -> str:
    """The same for names that differ only in case or Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _groups(names: Iterable[str], key: Callable[[str], str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]
