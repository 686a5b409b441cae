"""The findings of an audit as lines for a terminal."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from cnn_jax.audit.checks import LEVELS
from cnn_jax.data.sources.words import named, numbered


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
    counts = [f"{numbered(errors[0], 'kind')} {errors[1]}", *(f"{count} {of}" for count, of in others)]
    return [*lines, f"{numbered(report['images'], 'image')}: {', '.join(counts)}"]


def _line(finding: Mapping[str, Any]) -> str:
    pictures = finding["pictures"]
    names = [picture["name"] for picture in pictures] or finding["about"]
    groups = {picture["group"] for picture in pictures if "group" in picture}
    count = numbered(finding["count"], "image" if pictures else "case")
    within = f" in {numbered(len(groups), 'group')}" if groups else ""
    return f"{finding['level']:<8} {finding['kind']}, {count}{within}: {named(names)}"
