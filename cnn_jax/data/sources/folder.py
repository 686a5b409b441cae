"""A folder of images: one folder per class, perhaps below train/, validation/ and test/."""

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.cli.progress import announce
from cnn_jax.data.groups import group_name, group_pattern, number_groups
from cnn_jax.data.reading.image_dataset import Files, ImageDataset
from cnn_jax.data.sources.file_states import file_state, fingerprint, identity, place
from cnn_jax.data.sources.layout import find_splits, inner_folder
from cnn_jax.data.sources.names_alike import folded, same_but_for_case, same_in_unicode
from cnn_jax.data.sources.shape import settle_shape
from cnn_jax.data.sources.split_names import split_of
from cnn_jax.data.sources.tree import File, Tree, inode
from cnn_jax.data.sources.words import counted, named, numbered
from cnn_jax.data.splits import Source
from cnn_jax.errors import InputError, shown


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
    """The source `folder`.

    Args:
      data: the config's `data` block.
      class_names: of a trained model that is to be evaluated: any classes and splits will do then.

    Raises:
      InputError: there is no such folder, or it does not hold at least two classes of images.
    """
    if not data.dir:
        raise InputError("config.data.dir=None: data.source=folder needs the folder, as in data.dir=photos")
    how = (tuple(data.include), tuple(data.exclude), data.layout)
    listing = list_folder(data.dir, data.on_error == "skip", *how, class_names=class_names)
    root = os.path.abspath(os.path.expanduser(data.dir))
    name = shown(Path(root).name)
    shape, read_off = settle_shape(data, [Files(root, paths) for paths in listing.paths.values()], f"images of {name}")
    splits = {
        split: ImageDataset(
            Files(root, paths), np.arange(len(paths)), listing.labels[split], shape, data.resize, data.center_crop
        )
        for split, paths in listing.paths.items()
    }
    groups = None if data.group is None else _groups(listing, data.group)
    where = place("folder", root, "" if how == ((), (), "auto") else repr(how))
    return Source(
        name, listing.class_names, splits, where, fingerprint(listing.states), identity(listing.states), read_off,
        listing.states, listing.empty, groups=groups,
    )  # fmt: skip


def _groups(listing: Listing, pattern: str) -> dict[str, np.ndarray]:
    """As `data.group` finds them in the paths of files inside their class folders."""
    compiled = group_pattern(pattern)
    names = listing.class_names
    parts = {split: [Path(path).parts for path in paths] for split, paths in listing.paths.items()}
    # Class folders stand below the root, or below a folder for each split.
    depth = 1 + next(
        above
        for above in itertools.count()
        if all(
            _decodable(of_path[above]) == names[label]
            for split, of_split in parts.items()
            for of_path, label in zip(of_split, listing.labels[split], strict=True)
        )
    )
    found = {
        split: [group_name(compiled, "/".join(of_path[depth:])) for of_path in of_split]
        for split, of_split in parts.items()
    }
    return number_groups(found, pattern)


def list_folder(
    folder: str | Path,
    skip_empty: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    layout: str = "auto",
    class_names: Sequence[str] | None = None,
) -> Listing:
    """All files of a folder of classes, whatever their extension.

    Args:
      folder: with a folder per class, or with train/ and perhaps validation/ and test/, each with a folder per class.
        A class may have folders of its own inside. Hidden files and litter are left out.
      skip_empty: leave out classes without files instead of refusing them.
      include, exclude: patterns of what is read and of what is not; see `Tree`.
      layout: see `find_splits`.
      class_names: of a trained model that is to be evaluated: any of its classes, and any of the splits, may be
        missing then. They also tell a split from a class of the same name.

    Raises:
      InputError: there is no such folder; it cannot be read; it may be meant in two ways; it has fewer than two
        classes, or a class without files; a split has classes that train does not have; the patterns leave out all.
    """
    root = Path(os.path.expanduser(folder))
    if not os.path.isdir(root):
        what = "this is a file" if os.path.exists(root) else "there is no such folder"
        raise InputError(f"config.data.dir={shown(str(folder))}: {what}; it must hold one folder of images per class")
    tree = Tree(root, include, exclude)
    whole = class_names is None or layout == "classes"
    tops = find_splits(tree, layout) if whole else _partial_splits(tree, class_names or ())
    found = {split: _classes(tree, top) for split, top in tops.items()}
    _check_patterns(tree, found)
    names, empty = (
        _trainable(tree, tops["train"], found, skip_empty) if class_names is None else (_present(tree, found), [])
    )
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
    return sorted(path for path, _ in Tree(folder).walk(folder, {inode(folder)}))


def _trainable(
    tree: Tree, top: str, found: dict[str, dict[str, list[File]]], skip_empty: bool
) -> tuple[tuple[str, ...], list[str]]:
    """The classes that a model can learn, and those without any file."""
    empty = sorted(name for name in found["train"] if not found["train"][name])
    if empty and not skip_empty:
        raise InputError(
            f"{shown(top)}: {counted('class folder', empty)} without any image; fill or delete "
            f"{'them' if len(empty) > 1 else 'it'}, or train on the others with --config.data.on_error=skip"
        )
    if empty:
        announce(f"{shown(top)}: left out {counted('class folder', empty)} without any image")
    names = tuple(sorted(name for name in found["train"] if found["train"][name]))
    _check_names(tree, top, names)
    _check_same_classes(tree.root, found, names)
    return names, empty


def _present(tree: Tree, found: dict[str, dict[str, list[File]]]) -> tuple[str, ...]:
    """All classes with files, whatever split they stand in."""
    names = tuple(sorted({name for classes in found.values() for name, files in classes.items() if files}))
    if not names:
        hint = _parent_hint(tree)
        raise InputError(f"config.data.dir={shown(tree.root)}: it holds no class folders with images{hint}")
    return names


def _partial_splits(tree: Tree, class_names: Sequence[str]) -> dict[str, str]:
    """The splits that there are; without any, {"train": root}. A class of the model is no split."""
    folders = tree.folders(tree.root)
    splits = {name: split for name in sorted(folders) if (split := split_of(name)) is not None}
    if all(_decodable(name) in class_names for name in splits):
        return {"train": tree.root}
    found: dict[str, str] = {}
    for name, split in splits.items():
        if split in found:
            other = os.path.basename(found[split])
            raise InputError(f"{shown(tree.root)}: both {other}/ and {name}/ name the split {split}")
        found[split] = folders[name]
    others = sorted(name for name in folders if name not in splits)
    if others:
        announce(f"{shown(tree.root)}: left out what is in no split: {counted('folder', others)}")
    return found


def _classes(tree: Tree, top: str) -> dict[str, list[File]]:
    """The files of each of the folders in `top`; of those that the patterns leave nothing of, only a word."""
    folders, beside = tree.folders(top), tree.files(top)
    if beside:
        announce(f"{shown(top)}: left out {counted('file', beside)} beside the class folders")
    # Each folder is read once: a link may lead back, or into another class, and would give its images a second label.
    seen = {inode(tree.root), inode(top)}
    entered: list[str] = []
    for name, path in sorted(folders.items(), key=lambda item: (os.path.islink(item[1]), item[0])):
        if inode(path) in seen:
            announce(f"{shown(path)}: this link leads to a folder that is read already; not followed")
            continue
        seen.add(inode(path))
        entered.append(name)
    found: dict[str, list[File]] = {}
    for name, path in folders.items():
        before = sum(tree.left_out.values())
        files = list(tree.walk(path, seen)) if name in entered else []
        if files or sum(tree.left_out.values()) == before:
            found[name] = files
    return found


def _check_patterns(tree: Tree, found: Mapping[str, Mapping[str, Sequence[File]]]) -> None:
    """Says what the patterns leave out, and which of them match nothing; raises InputError where nothing is left."""
    if not tree.include and not tree.exclude:
        return
    keys = " and ".join(f"data.{key}" for key in ("include", "exclude") if getattr(tree, key))
    if not any(files for classes in found.values() for files in classes.values()):
        raise InputError(
            f"config.{keys}: these patterns leave nothing of {shown(tree.root)}; they match paths below it"
        )
    idle = [pattern for pattern in (*tree.include, *tree.exclude) if pattern not in tree.matched]
    count = sum(tree.left_out.values())
    announce(f"{shown(tree.root)}: {keys} left out {numbered(count, 'file or folder', 'files or folders')}")
    if idle:
        announce(f"{shown(tree.root)}: nothing there matches {named(idle)} ({keys})")


def _check_names(tree: Tree, top: str, names: Sequence[str]) -> None:
    """Raises InputError for fewer than two classes, and for names that are one name in two Unicode forms."""
    twins = same_in_unicode(names)
    if twins:
        raise InputError(
            f"{shown(top)}: the class folders {' and '.join(map(ascii, twins[0]))} have one name in several Unicode "
            f"forms; make them one folder, or rename one"
        )
    for group in same_but_for_case(names):
        announce(f"{shown(top)}: the classes {named(group)} differ only in case")
    if len(names) > 1:
        return
    hold = f"one class ({shown(names[0])})" if names else "no class folders with images"
    inner = inner_folder(tree, top)
    if inner is None:
        remedy = "" if names or top != tree.root else _parent_hint(tree)
    elif top == tree.root:
        remedy = f"; {named(inner[1])} stand deeper: set data.dir={shown(inner[0])}"
    else:
        remedy = f"; {named(inner[1])} stand deeper: move the folders of {shown(inner[0])} up into {shown(top)}"
    at = f"config.data.dir={shown(tree.root)}" if top == tree.root else shown(top)
    raise InputError(f"{at}: it holds {hold}; a classifier needs at least two{remedy}")


def _parent_hint(tree: Tree) -> str:
    """Where the folder is that of one class: pictures right in it, and folders with pictures beside it."""
    if not tree.has_pictures(tree.root):
        return ""
    given, whole = os.path.normpath(tree.root), os.path.abspath(tree.root)
    above = os.path.dirname(given if os.path.basename(given) == os.path.basename(whole) else whole) or "."
    beside = Tree(above)
    if sum(beside.has_pictures(folder) for folder in beside.folders(above).values()) < 2:
        return ""
    return f"; it looks like one class of several: you may mean {shown(above)}"


def _check_same_classes(root: str, found: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> None:
    for split, classes in found.items():
        unknown = sorted(name for name in classes if name not in names and classes[name])
        if unknown:
            raise InputError(
                f"{shown(root)}: {split} has {counted('class', unknown, 'classes')} that train does not have; all "
                f"splits must have the same class folders{_hint(unknown, names)}"
            )
        lacking = [name for name in names if not classes.get(name)]
        if lacking and split != "train":
            announce(f"{shown(root)}: {split} has no image of {counted('class', lacking, 'classes')}")


def _hint(unknown: Iterable[str], names: Iterable[str]) -> str:
    """Where a name differs from one of train only in case or Unicode form."""
    known = {folded(name): name for name in names}
    for name in unknown:
        if folded(name) in known:
            theirs = known[folded(name)]
            what = "Unicode form" if same_in_unicode([name, theirs]) else "case"
            return f"; {name!a} and {theirs!a} differ only in {what}"
    return ""


def _decodable(name: str) -> str:
    """A class name as text that JSON and terminals take."""
    return shown(os.fsencode(name).decode("utf-8", "backslashreplace"))
