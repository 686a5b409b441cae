"""The text of a manifest as rows: its encoding, its delimiter, its columns; what is wrong with each row.

Nothing here looks for the pictures.
"""

import codecs
import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from cnn_jax.config.rules import did_you_mean
from cnn_jax.data.groups import group_name, group_pattern
from cnn_jax.data.sources.split_names import SPLIT_NAMES
from cnn_jax.errors import InputError, shown
from cnn_jax.runtime.folders import refuse_special

_DELIMITERS = ",;\t|"
_LONGEST_SHOWN = 60
_COLUMNS_SHOWN = 12


class Row(NamedTuple):
    """A row that is whole; `group` is "" where the manifest says nothing of it."""

    line: int
    path: str
    label: str
    split: str
    group: str = ""


class Fault(NamedTuple):
    """Rows that cannot be used, by their lines, and why."""

    lines: tuple[int, ...]
    reason: str

    def __str__(self) -> str:
        return f"{'line' if len(self.lines) == 1 else 'lines'} {', '.join(map(str, self.lines))}: {self.reason}"


class Columns(NamedTuple):
    """Where in a row its path, label, split and group stand; None where the manifest has no such column.

    Attributes:
      pattern: finds the group in the name of the file, where no column says it.
    """

    path: int
    label: int
    split: int | None
    group: int | None
    pattern: re.Pattern[str] | None
    width: int


def read_manifest(manifest: Path, data: Any) -> tuple[list[Row], list[Fault]]:
    """The rows of a CSV file, and the faults of those that are not whole.

    It may be UTF-8 or, where it begins with a byte-order mark, UTF-16; commas, semicolons, tabs or bars separate.

    Args:
      data: the config's `data` block; it names the columns.

    Raises:
      InputError: this is no such file, or it lacks a column.
    """
    rows: list[Row] = []
    faults: list[Fault] = []
    try:
        with open(manifest, newline="", encoding=_encoding(manifest)) as file:
            reader, columns = _opened(manifest, file, data)
            for cells in reader:
                if not cells:  # an empty line
                    continue
                row = _checked(cells, columns, reader.line_num)
                if isinstance(row, Row):
                    rows.append(row)
                else:
                    faults.append(Fault((reader.line_num,), row))
    except OSError as error:
        raise InputError(
            f"config.data.dir={manifest}: it cannot be read ({error.strerror}); it must be a CSV manifest"
        ) from error
    except UnicodeError as error:
        raise InputError(
            f"{manifest}: this is no text in UTF-8{_first_undecodable(manifest)}; save it as 'CSV UTF-8', or convert "
            f"it, as in: iconv -f cp1252 -t utf-8"
        ) from error
    except csv.Error as error:
        raise InputError(f"{manifest}: this is not a CSV file ({error})") from error
    return rows, faults


def _encoding(manifest: Path) -> str:
    refuse_special(manifest)
    with open(manifest, "rb") as file:
        head = file.read(4)
    if head in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        raise InputError(f"{manifest}: this is no text in UTF-8 (but UTF-32); save it as 'CSV UTF-8'")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # "Unicode text" of a spreadsheet
        return "utf-16"
    if head.startswith(b"PK\x03\x04"):
        raise InputError(f"{manifest}: this is a spreadsheet or an archive; save the table as 'CSV UTF-8'")
    if b"\0" in head:
        raise InputError(f"{manifest}: this is no text in UTF-8 (UTF-16, perhaps); save it as 'CSV UTF-8'")
    return "utf-8-sig"  # spreadsheets begin their files with a byte-order mark


def _first_undecodable(manifest: Path) -> str:
    with open(manifest, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return f" (line {number}: {shown(line.decode('cp1252', 'replace').strip())[:_LONGEST_SHOWN]})"
    return ""


def _opened(manifest: Path, file: IO[str], data: Any) -> tuple[Any, Columns]:
    """A reader that stands below the header, and the columns that the header names."""
    first = file.readline()
    told = re.fullmatch(r'"?sep=(.)"?\s*', first)  # how Excel notes its delimiter
    delimiter = told[1] if told else _delimiter(first, data)
    if not told:
        file.seek(0)
    reader = csv.reader(file, strict=True, delimiter=delimiter)
    return reader, _columns(manifest, [name.strip() for name in next(reader, [])], data)


def _delimiter(header: str, data: Any) -> str:
    """The one that shows the wanted columns in the header, or else the most of them."""
    wanted = {name.casefold() for name in (data.image_column, data.label_column)}

    def worth(delimiter: str) -> tuple[int, int]:
        names = [name.strip(' "\r\n').casefold() for name in header.split(delimiter)]
        return len(wanted.intersection(names)), len(names)

    return max(_DELIMITERS, key=worth)


def _columns(manifest: Path, names: Sequence[str], data: Any) -> Columns:
    keys = ("image_column", "label_column", "split_column")
    found = {key: _column(manifest, names, data[key]) for key in keys if data[key] is not None}
    # Many manifests have no splits: only a name of one's own must be there.
    optional = () if data.split_column not in (None, "split") else ("split_column",)
    missing = [key for key in keys if key not in optional and found.get(key, 0) is None]
    if missing:
        there = ", ".join(shown(name) for name in names[:_COLUMNS_SHOWN])
        hints = " ".join(f"data.{key}=NAME" for key in missing)
        raise InputError(
            f"{manifest}: it has no column {' and no column '.join(data[key] for key in missing)}"
            f"{did_you_mean(data[missing[0]], names)}; its first line names {there or 'none'}: choose with {hints}"
        )
    group = None if data.group is None else _column(manifest, names, data.group)
    if data.group is not None and group is None and "(" not in data.group:
        raise InputError(
            f"config.data.group={data.group!r}: {manifest.name} has no such column{did_you_mean(data.group, names)}; "
            f"it must be one of {', '.join(shown(name) for name in names[:_COLUMNS_SHOWN])}, or a pattern with a group"
        )
    pattern = None if data.group is None or group is not None else group_pattern(data.group)
    path, label = found["image_column"], found["label_column"]
    assert path is not None
    assert label is not None
    return Columns(path, label, found.get("split_column"), group, pattern, len(names))


def _column(manifest: Path, names: Sequence[str], wanted: str) -> int | None:
    """The number of the column of this name, or else of the only one that differs from it in case alone."""
    exact = [k for k, name in enumerate(names) if name == wanted]
    found = exact or [k for k, name in enumerate(names) if name.casefold() == wanted.casefold()]
    if len(found) > 1:
        raise InputError(f"{manifest}: its first line names a column twice ({', '.join(names[k] for k in found)})")
    return found[0] if found else None


def _checked(cells: Sequence[str], columns: Columns, line: int) -> Row | str:
    """The row, or what is wrong with it."""
    cells = [cell.strip() for cell in cells]
    if not any(cells):
        return "it is empty"
    if any(cells[columns.width :]):
        return "it has more cells than the first line has columns"

    def cell(column: int | None) -> str:
        return cells[column] if column is not None and column < len(cells) else ""

    path, label = cell(columns.path), cell(columns.label)
    if not path or not label:
        empty = [name for name, value in (("path", path), ("label", label)) if not value]
        return f"its {' and its '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty"
    if "\0" in path:
        return "its path contains a zero byte"
    split = SPLIT_NAMES.get((cell(columns.split) or "train").lower())
    if split is None:
        return f"split {cell(columns.split)!r} must be train, validation or test"
    group = cell(columns.group)
    if columns.pattern is not None:
        group = group_name(columns.pattern, os.path.basename(path))
    return Row(line, path, label, split, group)


def settle_repeats(rows: Sequence[Row], identities: Sequence[str]) -> tuple[list[int], list[Fault], int]:
    """Which rows stay: of equal ones the first, of contradicting ones none.

    Args:
      identities: of each row, what is equal for the same file.

    Returns:
      indices of the rows that stay; a fault for each file whose rows contradict each other; how many rows only repeat.
    """
    of_file: dict[str, list[int]] = {}
    for index, identity in enumerate(identities):
        of_file.setdefault(identity, []).append(index)
    kept, faults, repeated = [], [], 0
    for indices in of_file.values():
        same = [rows[index] for index in indices]
        contradictions = list(_contradictions(same))
        if contradictions:
            lines = tuple(row.line for row in same)
            faults.append(Fault(lines, f"{shown(same[0].path)} has {' and '.join(contradictions)}"))
        else:
            kept.append(indices[0])
            repeated += len(same) - 1
    return kept, faults, repeated


def _contradictions(same: Sequence[Row]) -> Iterator[str]:
    for what, many in (("label", "labels"), ("split", "splits"), ("group", "groups")):
        values = list(dict.fromkeys(getattr(row, what) for row in same))
        if len(values) > 1:
            yield f"the {many} {', '.join(shown(value) or 'none' for value in values)}"
