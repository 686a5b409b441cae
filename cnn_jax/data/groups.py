"""Pictures that belong together, as of one person or one series: no split that is made may part them."""

import itertools
import re
from collections.abc import Mapping, Sequence

import numpy as np

from cnn_jax.cli.progress import announce
from cnn_jax.errors import InputError


def group_pattern(pattern: str) -> re.Pattern[str]:
    """The compiled `data.group`; raises InputError where it is no regular expression with a group."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"config.data.group={pattern!r}: it is no regular expression: {error}") from error
    if not compiled.groups:
        raise InputError(f"config.data.group={pattern!r}: it needs a group in parentheses, as in '([^_]+)_'")
    return compiled


def group_name(pattern: re.Pattern[str], text: str) -> str:
    """What the groups of the pattern find in a file's name; "" where it is not found."""
    found = pattern.search(text)
    return "" if found is None else "\0".join(part or "" for part in found.groups())


def number_groups(names: Mapping[str, Sequence[str]], key: str) -> dict[str, np.ndarray]:
    """{split: int64 [N]}, equal for pictures whose group has the same name; "" is a group of its own each time.

    Args:
      names: of the groups of each split's pictures.
      key: the value of `data.group`.

    Raises:
      InputError: no picture has a group.
    """
    numbers: dict[str, int] = {}
    alone, count = 0, 0
    numbered = {}
    for split, of_split in names.items():
        ids = []
        for name in of_split:
            if not name:
                alone += 1
            ids.append(numbers.setdefault(name, len(numbers)) if name else -alone)
        numbered[split] = np.array(ids, np.int64)
        count += len(of_split)
    if not numbers:
        raise InputError(f"config.data.group={key!r}: none of the {count:,} images has such a group")
    if alone:
        announce(f"data.group={key!r}: {alone:,} of {count:,} images have no group; each stands for itself")
    return numbered


def say_groups(
    parts: Mapping[str, tuple[str, np.ndarray]], groups: Mapping[str, np.ndarray], shares: Mapping[str, float | int]
) -> None:
    """What became of groups: the sizes of the splits that were made, and groups that the data themselves part.

    Args:
      parts: what `make_indices` gave.
      groups: int64 [N] of the source's splits.
      shares: what was asked for.
    """
    rest = len(groups["train"])
    for split in ("test", "validation"):
        of, rows = parts.get(split, (split, np.empty(0)))
        if of == split:
            continue
        share = shares[split]
        wanted = round(share * rest) if isinstance(share, float) else share
        count = len(np.unique(groups[of][rows]))
        announce(
            f"{split}: {len(rows):,} images in {count:,} of {len(np.unique(groups[of])):,} groups of data.group "
            f"(data.{split}={share} asks for {wanted:,})"
        )
        rest -= len(rows)
    found = {split: np.unique(of_split) for split, of_split in groups.items()}
    for first, second in itertools.combinations(sorted(found), 2):
        both = len(np.intersect1d(found[first], found[second]))
        if both:
            announce(f"{both:,} groups of data.group stand in {first} and in {second}, as the data divide them")
