"""What a part of a report gives back: sentences, figures, tables, and pictures with a line on how to read them."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Picture:
    """A PNG file.

    Attributes:
      title: a few words; also what is read out in its place.
      reading: one or two sentences on how to read it.
    """

    file: Path
    title: str
    reading: str


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of text and numbers; numbers stand on the right.

    Attributes:
      reading: one or two sentences on how to read it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    reading: str


@dataclasses.dataclass(frozen=True)
class Section:
    """One part of a report.

    Attributes:
      title: of its heading.
      lead: sentences, the most important figure first.
      figures: JSON values; every number that the sentences, tables and pictures show is among them.
      limits: sentences for a model card: what the model was measured to be bad at.
    """

    title: str
    lead: tuple[str, ...]
    figures: Mapping[str, Any]
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    limits: tuple[str, ...] = ()
