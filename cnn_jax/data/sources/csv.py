"""A manifest: a CSV file with the columns path, label and perhaps split."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.reading.image_dataset import Files, ImageDataset
from cnn_jax.data.sources.folder import SPLIT_NAMES, check_file, file_state, fingerprint, identity, place
from cnn_jax.data.sources.shape import settle_shape
from cnn_jax.data.splits import Source
from cnn_jax.errors import InputError, shown


class _Row(NamedTuple):
    line: int
    path: str
    label: str
    split: str


def load_csv(data: Any, class_names: Sequence[str] | None = None) -> Source:
    """The source `csv`; `data.dir` is the manifest. Paths are relative to its folder; class names are sorted.

    Args:
      data: the config's `data` block.
      class_names: of a trained model that is to be evaluated: any classes and splits will do then.

    Raises:
      InputError: there is no such file; a column is missing; a row is incomplete, names an unknown split, or names a
        file twice.
    """
    if not data.dir:
        raise InputError("config.data.dir=None: data.source=csv needs the manifest, as in data.dir=labels.csv")
    manifest = Path(os.path.expanduser(data.dir))
    check_file(manifest, "a CSV manifest")
    rows = list(_read(manifest))
    if not rows:
        raise InputError(f"{manifest}: this manifest has no rows below its header")
    seen: dict[str, int] = {}
    for row in rows:
        whole = os.path.normpath(manifest.parent / row.path)
        if whole in seen:
            raise InputError(f"{manifest}, line {row.line}: {shown(row.path)} stands in line {seen[whole]} already")
        seen[whole] = row.line
    names = tuple(sorted({row.label for row in rows}))
    if len(names) < 2 and class_names is None:
        raise InputError(f"{manifest}: all rows have the label {names[0]!r}; a classifier needs at least two classes")
    numbers = {name: k for k, name in enumerate(names)}
    parts = {split: [row for row in rows if row.split == split] for split in ("train", "validation", "test")}
    if not parts["train"] and class_names is None:
        raise InputError(f"{manifest}: no row has the split 'train'")
    files = {split: Files(manifest.parent, [row.path for row in part]) for split, part in parts.items() if part}
    shape, read_off = settle_shape(data, list(files.values()), f"images of {manifest.name}")
    splits = {
        split: ImageDataset(
            part, np.arange(len(part)), np.array([numbers[row.label] for row in parts[split]], np.int32), shape,
            data.resize, data.center_crop,
        )
        for split, part in files.items()
    }  # fmt: skip
    states = _states(manifest, rows)
    return Source(
        manifest.name,
        tuple(map(shown, names)),
        splits,
        place("csv", manifest),
        fingerprint(states),
        identity(states),
        read_off,
        states,
    )


def _read(manifest: Path) -> Iterator[_Row]:
    try:
        with open(manifest, newline="", encoding="utf-8-sig") as file:  # Excel begins its files with a byte-order mark
            reader = csv.DictReader(file, strict=True)
            columns = [column.strip().lower() for column in reader.fieldnames or ()]
            missing = [column for column in ("path", "label") if column not in columns]
            if len(columns) == 1 and re.search("[;\t|]", columns[0]):
                raise InputError(f"{manifest}: its columns must be separated by commas, not as in {columns[0]!r}")
            if len(set(columns)) < len(columns):
                raise InputError(f"{manifest}: its first line names a column twice ({', '.join(columns)})")
            if missing:
                raise InputError(
                    f"{manifest}: it has no column {' and no column '.join(missing)}; its first line must name the "
                    f"columns path, label and perhaps split"
                )
            reader.fieldnames = columns
            for row in reader:
                yield _checked(manifest, reader.line_num, row)
    except OSError as error:
        raise InputError(
            f"config.data.dir={manifest}: it cannot be read ({error.strerror}); it must be a CSV manifest"
        ) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{manifest}: this is not a CSV file in UTF-8 ({error})") from error


def _checked(manifest: Path, line: int, row: dict[str, Any]) -> _Row:
    if None in row:
        raise InputError(f"{manifest}, line {line}: it has more cells than the first line has columns")
    path, label = (row["path"] or "").strip(), (row["label"] or "").strip()
    if not path or not label:
        raise InputError(f"{manifest}, line {line}: its {'path' if not path else 'label'} is empty")
    if "\0" in path:
        raise InputError(f"{manifest}, line {line}: its path contains a zero byte")
    split = SPLIT_NAMES.get((row.get("split") or "train").strip().lower())
    if split is None:
        raise InputError(f"{manifest}, line {line}: split {row['split']!r} must be train, validation or test")
    return _Row(line, path, label, split)


def _states(manifest: Path, rows: list[_Row]) -> np.ndarray:
    states = []
    for row in rows:
        try:
            status = os.stat(manifest.parent / row.path)
            size, time = status.st_size, status.st_mtime_ns
        except OSError:  # reading it will say so
            size = time = -1
        states.append(file_state(row.path, f"{row.split} {row.label} {size}", time))
    return np.array(states, np.uint64)
