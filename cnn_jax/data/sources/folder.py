"""A folder of images: one folder per class, perhaps below train/, validation/ and test/."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.cli.progress import announce
from cnn_jax.data.reading.image_dataset import Files, ImageDataset
from cnn_jax.data.sources.shape import settle_shape
from cnn_jax.data.splits import Source
from cnn_jax.errors import InputError, shown

SPLIT_NAMES = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "validate": "validation", "test": "test", "tests": "test", "testing": "test",
}  # fmt: skip
_LITTER = {"Thumbs.db", "desktop.ini", "__MACOSX"}  # what systems leave behind; hidden files are left out anyway
_NAMED_AT_MOST = 5


# path, (size, when it was written)
File = tuple[str, tuple[int, int]]


class Listing(NamedTuple):
    """The files of a folder, before any of them is opened.

    Attributes:
      class_names: sorted.
      paths: relative to the folder, sorted, by split; those of a folder without splits are `train`.
      labels: int32 [N] by split.
      states: uint64 [files, 3]; see `Source`.
      empty: classes without files, which were left out.
    """

    class_names: tuple[str, ...]
    paths: dict[str, list[str]]
    labels: dict[str, np.ndarray]
    states: np.ndarray
    empty: tuple[str, ...]


def load_folder(data: Any, class_names: Sequence[str] | None = None) -> Source:
    """The source `folder`; `data` is the config's `data` block, `class_names` as in `list_folder`.

    Raises:
      InputError: there is no such folder, or it does not hold at least two classes of images.
    """
    if not data.dir:
        raise InputError("config.data.dir=None: data.source=folder needs the folder, as in data.dir=photos")
    listing = list_folder(data.dir, data.on_error == "skip", class_names)
    root = os.path.abspath(os.path.expanduser(data.dir))
    name = shown(Path(root).name)
    shape, read_off = settle_shape(data, [Files(root, paths) for paths in listing.paths.values()], f"images of {name}")
    splits = {
        split: ImageDataset(
            Files(root, paths), np.arange(len(paths)), listing.labels[split], shape, data.resize, data.center_crop
        )
        for split, paths in listing.paths.items()
    }
    return Source(
        name, listing.class_names, splits, place("folder", root), fingerprint(listing.states), identity(listing.states),
        read_off, listing.states, listing.empty,
    )  # fmt: skip


def list_folder(folder: str | Path, skip_empty: bool = False, class_names: Sequence[str] | None = None) -> Listing:
    """All files of a folder of classes, whatever their extension.

    Args:
      folder: with a folder per class, or with train/ and perhaps validation/ and test/, each with a folder per class.
        A class may have folders of its own inside. Hidden files are left out.
      skip_empty: leave out classes without files instead of refusing them.
      class_names: of a trained model that is to be evaluated: any of its classes, and any of the splits, may be
        missing then. They also tell a split from a class of the same name.

    Raises:
      InputError: there is no such folder; it cannot be read; it has fewer than two classes, or a class without files;
        a split has classes that train does not have.
    """
    root = Path(os.path.expanduser(folder))
    if not os.path.isdir(root):
        what = "this is a file" if os.path.exists(root) else "there is no such folder"
        raise InputError(f"config.data.dir={shown(str(folder))}: {what}; it must hold one folder of images per class")
    tops = _split_folders(root) if class_names is None else _partial_splits(root, class_names)
    found = {split: _classes(top, root) for split, top in tops.items()}
    if class_names is None:
        names, empty = _trainable(root, tops["train"], found, skip_empty)
    else:
        names, empty = _present(root, found), []
    states = []
    paths: dict[str, list[str]] = {}
    labels: dict[str, np.ndarray] = {}
    for split, classes in found.items():
        files = sorted(
            (os.path.relpath(path, root), label, state)
            for label, name in enumerate(names)
            for path, state in classes.get(name, ())
        )
        paths[split] = [path for path, _, _ in files]
        labels[split] = np.array([label for _, label, _ in files], np.int32)
        states += [file_state(path, f"{split} {names[label]} {size}", time) for path, label, (size, time) in files]
    readable = [tuple(_decodable(name) for name in some) for some in (names, empty)]
    return Listing(readable[0], paths, labels, np.array(states, np.uint64), readable[1])


def files_below(folder: str) -> list[str]:
    """All files below a folder that would be training images if it were a class, sorted."""
    return sorted(path for path, _ in _files(folder, {_identity(folder)}))


def _trainable(
    root: Path, top: Path, found: dict[str, dict[str, list[File]]], skip_empty: bool
) -> tuple[tuple[str, ...], list[str]]:
    """The classes that a model can learn, and those without any file."""
    names = tuple(sorted(found["train"]))
    empty = [name for name in names if not found["train"][name]]
    if empty and not skip_empty:
        raise InputError(
            f"{shown(str(top))}: {_listed('class folder', empty)} without any image; fill or delete "
            f"{'them' if len(empty) > 1 else 'it'}, or set data.on_error=skip"
        )
    if empty:
        announce(f"{shown(str(top))}: left out {_listed('class folder', empty)} without any image")
        names = tuple(name for name in names if name not in empty)
    if len(names) < 2:
        hold = f"one class ({shown(names[0])})" if names else "no class folders with images"
        raise InputError(f"config.data.dir={shown(str(root))}: it holds {hold}; a classifier needs at least two")
    _check_same_classes(root, found, names)
    return names, empty


def _present(root: Path, found: dict[str, dict[str, list[File]]]) -> tuple[str, ...]:
    """All classes with files, whatever split they stand in."""
    names = tuple(sorted({name for classes in found.values() for name, files in classes.items() if files}))
    if not names:
        raise InputError(f"config.data.dir={shown(str(root))}: it holds no class folders with images")
    return names


def check_file(path: Path, what: str) -> None:
    """Raises InputError where `data.dir` is no regular file: reading from a pipe might never end."""
    if not os.path.isfile(path):
        problem = "this is not a regular file" if os.path.exists(path) else "there is no such file"
        raise InputError(f"config.data.dir={shown(str(path))}: {problem}; it must be {what}")


def file_state(path: str, state: str, time: int) -> tuple[int, int, int]:
    """Hashes of 64 bits of a file's path and of its label and size, and when it was written."""
    hashes = (hashlib.blake2b(os.fsencode(text), digest_size=8).digest() for text in (path, state))
    first, second = (int.from_bytes(value, "little") for value in hashes)
    return first, second, time % 2**64


def fingerprint(states: np.ndarray) -> str:
    """Changes when a file is added, removed, renamed, written or labelled anew."""
    return hashlib.sha256(states.tobytes()).hexdigest()[:16]


def identity(states: np.ndarray) -> str:
    """The same without the times, which a copy of the data does not share."""
    return fingerprint(np.ascontiguousarray(states[:, :2]))


def place(kind: str, path: str | Path) -> str:
    """A short name for where data are."""
    whole = os.path.abspath(path)
    return f"{kind}-{os.path.basename(whole)[:40]}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:12]}"


def _split_folders(root: Path) -> dict[str, Path]:
    """{"train": ..., "validation": ..., "test": ...} as far as there are such folders; else {"train": root}."""
    found: dict[str, Path] = {}
    for entry in sorted(_entries(root), key=lambda entry: entry.name):
        split = SPLIT_NAMES.get(entry.name.lower())
        if split is None or not _is_folder(entry):
            continue
        if split in found:
            raise InputError(f"{shown(str(root))}: both {found[split].name}/ and {entry.name}/ name the split {split}")
        found[split] = Path(entry.path)
    # A class may be called "test"; a folder of splits has one to train on.
    if "train" not in found or not any(_is_kept(entry) and _is_folder(entry) for entry in _entries(found["train"])):
        if found and "train" not in found and set(found) >= {"validation", "test"}:
            raise InputError(f"{shown(str(root))}: it has {' and '.join(sorted(found))}, but no folder train/")
        found = {"train": root}
    others = [entry.name for entry in _entries(root) if _is_kept(entry) and Path(entry.path) not in found.values()]
    if root not in found.values() and others:
        announce(f"{shown(str(root))}: left out what is in no split: {_listed('entry', others, 'entries')}")
    return found


def _partial_splits(root: Path, class_names: Sequence[str]) -> dict[str, Path]:
    """The splits that there are; without any, {"train": root}. A class of the model is no split."""
    folders = {entry.name: Path(entry.path) for entry in _entries(root) if _is_kept(entry) and _is_folder(entry)}
    named = sorted(name for name in folders if name.lower() in SPLIT_NAMES)
    if all(_decodable(name) in class_names for name in named):
        return {"train": root}
    found: dict[str, Path] = {}
    for name in named:
        split = SPLIT_NAMES[name.lower()]
        if split in found:
            raise InputError(f"{shown(str(root))}: both {found[split].name}/ and {name}/ name the split {split}")
        found[split] = folders[name]
    others = sorted(name for name in folders if name not in named)
    if others:
        announce(f"{shown(str(root))}: left out what is in no split: {_listed('folder', others)}")
    return found


def _classes(top: Path, root: Path) -> dict[str, list[File]]:
    """The files of each of the folders in `top`."""
    folders = {entry.name: entry.path for entry in _entries(top) if _is_kept(entry) and _is_folder(entry)}
    beside = [entry.name for entry in _entries(top) if _is_kept(entry) and not _is_folder(entry)]
    if beside:
        announce(f"{shown(str(top))}: left out {_listed('file', sorted(beside))} beside the class folders")
    # Each folder is read once: a link may lead back, or into another class, and would give its images a second label.
    seen = {_identity(str(root)), _identity(str(top))}
    entered = []
    for name, path in sorted(folders.items(), key=lambda item: (os.path.islink(item[1]), item[0])):
        if _identity(path) in seen:
            announce(f"{shown(path)}: this link leads to a folder that is read already; not followed")
            continue
        seen.add(_identity(path))
        entered.append(name)
    return {name: list(_files(path, seen)) if name in entered else [] for name, path in folders.items()}


def _files(folder: str, seen: set[tuple[int, int]]) -> Iterator[File]:
    """All files below a folder; what `seen` holds is not entered again."""
    waiting = [folder]
    while waiting:
        for entry in _entries(waiting.pop()):
            if not _is_kept(entry):
                continue
            if _is_folder(entry):
                if _identity(entry.path) in seen:
                    announce(f"{shown(entry.path)}: this link leads to a folder that is read already; not followed")
                else:
                    seen.add(_identity(entry.path))
                    waiting.append(entry.path)
                continue
            try:
                status = entry.stat()
                yield entry.path, (status.st_size, status.st_mtime_ns)
            except OSError:  # a link to nowhere: reading it will say so
                yield entry.path, (-1, -1)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or through a file
        return False


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(f"{shown(str(folder))}: this folder cannot be read ({error.strerror})") from error


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_kept(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.name not in _LITTER


def _check_same_classes(root: Path, found: dict[str, dict[str, Any]], names: Sequence[str]) -> None:
    for split, classes in found.items():
        unknown = sorted(name for name in classes if name not in names and classes[name])
        if unknown:
            raise InputError(
                f"{shown(str(root))}: {split} has {_listed('class', unknown, 'classes')} that train does not have; all "
                f"splits must have the same class folders"
            )
        lacking = [name for name in names if not classes.get(name)]
        if lacking and split != "train":
            announce(f"{shown(str(root))}: {split} has no image of {_listed('class', lacking, 'classes')}")


def _listed(what: str, names: Sequence[str], many: str | None = None) -> str:
    """`3 files (a, b, c)`, shortened."""
    named = ", ".join(shown(name) for name in names[:_NAMED_AT_MOST]) + (", ..." if len(names) > _NAMED_AT_MOST else "")
    return f"{len(names)} {what if len(names) == 1 else many or f'{what}s'} ({named})"


def _decodable(name: str) -> str:
    """A class name as text that JSON and terminals take."""
    return shown(os.fsencode(name).decode("utf-8", "backslashreplace"))
