"""A manifest: a CSV file with a row for each picture, its path, its label and perhaps its split and group."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.cli.progress import announce
from cnn_jax.data.groups import number_groups
from cnn_jax.data.reading.image_dataset import Files, ImageDataset
from cnn_jax.data.reading.unusable import report_unusable
from cnn_jax.data.sources.file_states import check_file, file_state, fingerprint, identity, place
from cnn_jax.data.sources.manifest import Fault, Row, read_manifest, settle_repeats
from cnn_jax.data.sources.manifest_files import FileState, Lookalikes, file_states, unlisted
from cnn_jax.data.sources.shape import settle_shape
from cnn_jax.data.splits import Source
from cnn_jax.errors import InputError, shown

_EXAMPLES = 3


def load_csv(data: Any, class_names: Sequence[str] | None = None) -> Source:
    """The source `csv`; `data.dir` is the manifest.

    Paths are relative to `data.images_dir`, or else to the manifest's folder; class names are sorted. Rows that repeat
    another count once.

    Args:
      data: the config's `data` block.
      class_names: of a trained model that is to be evaluated: any classes and splits will do then.

    Raises:
      InputError: there is no such file; a column is missing; fewer than two classes; no row to train on; or (with
        `data.on_error` "raise") some rows cannot be used, as they are incomplete, contradict each other, or name a
        file that is not there: then all of them are listed.
    """
    if not data.dir:
        raise InputError("config.data.dir=None: data.source=csv needs the manifest, as in data.dir=labels.csv")
    manifest = Path(os.path.expanduser(data.dir))
    check_file(manifest, "a CSV manifest")
    root = _images_dir(data.images_dir, manifest)
    whole, faults = read_manifest(manifest, data)
    if not whole and not faults:
        raise InputError(f"{manifest}: this manifest has no rows below its header")
    rows, files, more = _against_files(manifest, whole, root)
    faults = sorted([*faults, *more])
    _report(manifest, faults, len(rows) + sum(len(fault.lines) for fault in faults), data.on_error)
    names = tuple(sorted({row.label for row in rows}))
    if len(names) < 2 and (class_names is None or not names):
        hold = f"have the label {names[0]!r}" if names else "are left out"
        raise InputError(f"{manifest}: all rows {hold}; a classifier needs at least two classes")
    lost = tuple(map(shown, sorted({row.label for row in whole}.difference(names))))
    if lost:
        kinds = "class" if len(lost) == 1 else "classes"
        announce(f"{manifest}: no row of {len(lost)} {kinds} can be used ({', '.join(lost)}): left out")
    parts = {split: [row for row in rows if row.split == split] for split in ("train", "validation", "test")}
    parts = {split: part for split, part in parts.items() if part}
    if "train" not in parts and class_names is None:
        raise InputError(f"{manifest}: no row has the split 'train'")
    groups = None
    if data.group is not None:
        groups = number_groups({split: [row.group for row in part] for split, part in parts.items()}, data.group)
    splits, read_off = _datasets(data, manifest, root, parts, names)
    states = np.array([_state(row, file) for row, file in zip(rows, files, strict=True)], np.uint64)
    return Source(
        manifest.name, tuple(map(shown, names)), splits, place("csv", manifest), fingerprint(states), identity(states),
        read_off, states, lost, tuple(f"{manifest}, {fault}" for fault in faults), groups,
    )  # fmt: skip


def _images_dir(wanted: str | None, manifest: Path) -> str:
    if wanted is None:
        return os.path.abspath(manifest.parent)
    folder = os.path.expanduser(wanted)
    if not os.path.isdir(folder):
        beside = manifest.parent / folder
        hint = f"; {shown(str(beside))} may be meant" if os.path.isdir(beside) else ""
        raise InputError(f"config.data.images_dir={shown(wanted)}: there is no such folder{hint}")
    return os.path.abspath(folder)


def _against_files(manifest: Path, rows: Sequence[Row], root: str) -> tuple[list[Row], list[FileState], list[Fault]]:
    """The rows that can be used, what their files are like, and the faults of the others."""
    paths = [os.path.normpath(os.path.join(root, row.path)) for row in rows]
    kept, faults, repeated = settle_repeats(rows, paths)
    if repeated:
        what = "row repeats another" if repeated == 1 else "rows repeat others"
        announce(f"{manifest}: {repeated:,} {what}; each file counts once")
    lookalikes = Lookalikes(root)
    good: list[Row] = []
    files: list[FileState] = []
    for index, state in zip(kept, file_states([paths[index] for index in kept]), strict=True):
        if state is None:
            hint = lookalikes.hint(rows[index].path)
            faults.append(Fault((rows[index].line,), f"{shown(rows[index].path)}: there is no such file{hint}"))
        else:
            good.append(rows[index])
            files.append(state)
    if kept and not good:  # one line rather than one for each
        raise InputError(
            f"{manifest}: none of its {len(kept):,} files is there; the first would be {shown(paths[kept[0]])}"
            f"{lookalikes.hint(rows[kept[0]].path)}; paths begin in data.images_dir, or else beside the manifest"
        )
    beside = unlisted(paths)
    if beside:
        named = ", ".join(shown(os.path.relpath(path, root)) for path in beside[:_EXAMPLES])
        dots = ", ..." if len(beside) > _EXAMPLES else ""
        announce(f"{manifest}: no row names {len(beside):,} of the files beside those listed ({named}{dots})")
    return good, files, faults


def _report(manifest: Path, faults: Sequence[Fault], count: int, on_error: str) -> None:
    lines = [f"{manifest}, {fault}" for fault in faults]
    if on_error == "raise" and len(faults) == 1:
        raise InputError(f"{lines[0]} (--config.data.on_error=skip leaves it out)")
    bad = sum(len(fault.lines) for fault in faults)
    report_unusable(lines, f"{bad} of {count} rows", on_error, f"{manifest}: ")


def _datasets(
    data: Any, manifest: Path, root: str, parts: dict[str, list[Row]], names: Sequence[str]
) -> tuple[dict[str, ImageDataset], tuple[str, ...]]:
    """By split; and what was read off some of the pictures, see `settle_shape`."""
    numbers = {name: k for k, name in enumerate(names)}
    files = {split: Files(root, [row.path for row in part]) for split, part in parts.items()}
    shape, read_off = settle_shape(data, list(files.values()), f"images of {manifest.name}")
    splits = {
        split: ImageDataset(
            files[split], np.arange(len(part)), np.array([numbers[row.label] for row in part], np.int32), shape,
            data.resize, data.center_crop,
        )
        for split, part in parts.items()
    }  # fmt: skip
    return splits, read_off


def _state(row: Row, file: FileState) -> tuple[int, int, int]:
    # Other groups make other splits: a run must not take its training images for its validation images.
    group = f" {row.group}" if row.group else ""
    return file_state(row.path, f"{row.split} {row.label} {file.size}{group}", file.time)
