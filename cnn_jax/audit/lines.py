"""The findings of an audit as lines for a terminal."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cnn_jax.audit.checks import LEVELS
from cnn_jax.data.sources.words import named


def describe_findings(report: Mapping[str, Any]) -> list[str]:
    """A line for each finding, which counts and names what it is about; the last line counts the findings.

        error    truncated, 1 image: shoes/IMG_0001.jpg
        error    duplicates with different labels, 2 images in 1 group: shoes/a.jpg, hats/b.jpg
        313 images: 2 kinds of errors, 0 of warnings, 0 of notes

    Args:
      report: what `audit.json` holds.
    """
    lines = [_line(finding) for finding in report["findings"]]
    kinds = Counter(finding["level"] for finding in report["findings"])
    errors, *others = ((kinds[level], f"of {level}s") for level in LEVELS)
    counts = [f"{errors[0]} {'kind' if errors[0] == 1 else 'kinds'} {errors[1]}", *(f"{n} {of}" for n, of in others)]
    return [*lines, f"{report['images']:,} images: {', '.join(counts)}"]


def _line(finding: Mapping[str, Any]) -> str:
    pictures = finding["pictures"]
    names = [picture["name"] for picture in pictures] or finding["about"]
    groups = {picture["group"] for picture in pictures if "group" in picture}
    count = _number(finding["count"], "image" if pictures else "case")
    within = f" in {_number(len(groups), 'group')}" if groups else ""
    return f"{finding['level']:<8} {finding['kind']}, {count}{within}: {named(names)}"


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
