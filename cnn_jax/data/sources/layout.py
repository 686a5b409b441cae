"""Where in a folder the classes stand: right in it, or below train/, validation/ and test/.

Names decide, and what the folders hold must agree; where it does not, or where both readings are possible, nothing is
guessed: the error says what would settle it.
"""

import os
import shlex
from collections.abc import Collection

from cnn_jax.cli.progress import announce
from cnn_jax.data.sources.split_names import ACCEPTED, SPLITS, has_two_meanings, looks_like_a_split, split_of
from cnn_jax.data.sources.tree import Tree
from cnn_jax.data.sources.words import counted, named
from cnn_jax.errors import InputError, shown

_ALL_ARE_CLASSES = "if all of them are classes, set data.layout=classes"
_DEEPEST_WRAPPING = 3


def find_splits(tree: Tree, layout: str = "auto") -> dict[str, str]:
    """{"train": folder, perhaps "validation" and "test"}, each with a folder per class; without splits, of the root.

    Args:
      layout: "classes": each folder in the root is a class, whatever its name.

    Raises:
      InputError: the names and what the folders hold do not agree.
    """
    if layout == "classes":
        return {"train": tree.root}
    folders = tree.folders(tree.root)
    splits = {name: split for split in SPLITS for name in folders if split_of(name) == split}
    unclear = [name for name in folders if has_two_meanings(name)]
    if not _are_splits(tree, folders, splits, unclear):
        _check_classes(tree, folders, [*splits, *unclear])
        return {"train": tree.root}
    found = _by_split(tree, folders, splits)
    _check_rest(tree, folders, splits, unclear)
    _check_holds_classes(tree, found)
    read = [f"{shown(name)}/ as {split}" for name, split in splits.items() if name.lower() not in (split, f"{split}s")]
    if read:
        announce(f"{shown(tree.root)}: it takes {', '.join(read)}")
    return found


def inner_folder(tree: Tree, folder: str) -> tuple[str, list[str]] | None:
    """(the folder inside that holds several, their names), where those above it hold one folder and no picture."""
    for _ in range(_DEEPEST_WRAPPING):
        inside = tree.folders(folder)
        if len(inside) != 1 or tree.has_pictures(folder):
            return None
        folder = next(iter(inside.values()))
        names = list(tree.folders(folder))
        if len(names) > 1 or any(map(split_of, names)):
            return folder, names
    return None


def _are_splits(tree: Tree, folders: dict[str, str], splits: dict[str, str], unclear: list[str]) -> bool:
    """Whether the folders with names of splits are splits; a class may be called "test", or, of vehicles, "train"."""
    there = set(splits.values())
    others = [name for name in folders if name not in splits and name not in unclear]
    if "train" not in there:
        return bool(there or unclear) and (not others or there >= {"validation", "test"})
    if len(there) > 1 or unclear or not others:
        return True
    train = next(name for name in splits)
    return bool(tree.folders(folders[train]))


def _by_split(tree: Tree, folders: dict[str, str], splits: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, split in splits.items():
        if split in found:
            raise InputError(
                f"{shown(tree.root)}: both {shown(os.path.basename(found[split]))}/ and {shown(name)}/ name the split "
                f"{split}; rename one, or leave it out with data.exclude"
            )
        found[split] = folders[name]
    if "train" not in found:
        first = next(iter(folders.values()))
        whole = f"; to use one of them alone, set data.dir={_pasted(first)}" if tree.folders(first) else ""
        raise InputError(f"{shown(tree.root)}: it has {named(list(folders))}, but no folder train/{whole}")
    return found


def _check_rest(tree: Tree, folders: dict[str, str], splits: dict[str, str], unclear: list[str]) -> None:
    """Of folders with splits: whether what is in no split may be left out."""
    rest = [name for name in folders if name not in splits]
    pictured = _pictured(tree, {name: folders[name] for name in rest})
    root = shown(tree.root)
    two = [name for name in unclear if name in pictured]
    if two:
        raise InputError(
            f"{root}: {named(two)} may mean validation or test; rename it to one of them, or leave it out with "
            f"data.exclude={_pasted(two[0])}"
        )
    like = [name for name in pictured if looks_like_a_split(name)]
    if like:
        raise InputError(
            f"{root}: {named(like)} beside {named(list(splits))} looks like a split; rename it to one of {ACCEPTED}, "
            f"or leave it out with data.exclude={_pasted(like[0])}"
        )
    if pictured and len(splits) == 1:
        (train,) = splits
        raise InputError(
            f"{root}: {shown(train)}/ holds {counted('folder', list(tree.folders(folders[train])))}, as a split does, "
            f"but {named(pictured)} beside it hold pictures, too; {_ALL_ARE_CLASSES}; if {shown(train)} is the "
            f"training split, leave the others out with data.exclude"
        )
    left = sorted([*rest, *tree.files(tree.root)])
    if left:
        announce(f"{root}: left out what is in no split: {counted('entry', left, 'entries')}")


def _check_holds_classes(tree: Tree, found: dict[str, str]) -> None:
    bare = [os.path.basename(folder) for folder in found.values() if not tree.folders(folder)]
    if bare:
        raise InputError(
            f"{shown(tree.root)}: named as splits, {named(bare)} must each hold one folder of images per class, but "
            f"hold no folder; sort the images into class folders, list them in a manifest (data.source=csv), or leave "
            f"them out with data.exclude={_pasted(bare[-1])}; {_ALL_ARE_CLASSES}"
        )


def _check_classes(tree: Tree, folders: dict[str, str], like_splits: list[str]) -> None:
    """Of folders that are read as classes: whether they are not rather splits of one data set."""
    root = shown(tree.root)
    for name in like_splits:
        same = [inner for inner in tree.folders(folders[name]) if inner in folders and inner != name]
        if same:
            raise InputError(
                f"{root}: {shown(name)}/ holds folders of the same names as those beside it ({named(same)}); put the "
                f"latter into train/, or leave {shown(name)}/ out with data.exclude={_pasted(name)}; {_ALL_ARE_CLASSES}"
            )
    if any(map(looks_like_a_split, folders)):
        pictured = _pictured(tree, folders)
        if len(pictured) > 1 and all(map(looks_like_a_split, pictured)):
            raise InputError(
                f"{root}: all its folders ({named(pictured)}) have names like those of splits; rename them to "
                f"{ACCEPTED}, with a folder per class in each; {_ALL_ARE_CLASSES}"
            )
    # Of an ordinary set the first file of the first class is a picture, and nothing more is read.
    if not any(map(tree.has_pictures, folders.values())):
        _check_insides(root, {name: list(tree.folders(folders[name])) for name in _pictured(tree, folders)})
    if like_splits:
        announce(f"{root}: without train/ and what goes with it, {named(like_splits)} is taken as a class")


def _pictured(tree: Tree, folders: dict[str, str]) -> list[str]:
    return [name for name, path in folders.items() if tree.has_pictures(path, deep=True)]


def _check_insides(root: str, inside: dict[str, Collection[str]]) -> None:
    """Refuses folders that all hold the same folders: which of both are the classes?"""
    if len(inside) < 2:
        return
    widest = max(inside.values(), key=len)
    common = sorted(name for name in widest if all(name in names for names in inside.values()))
    if len(common) < 2 or not all(set(names) <= set(widest) for names in inside.values()):
        return
    outer, inner = named(list(inside)), named(common)
    if all(map(split_of, common)):
        raise InputError(
            f"{root}: each of {outer} holds {inner}; splits must stand above the classes, as in "
            f"{shown(common[0])}/{shown(next(iter(inside)))}"
        )
    raise InputError(
        f"{root}: {outer} all hold the same folders ({inner}); if these are the classes, rename the outer ones to "
        f"train, validation, test, or set data.dir to one of them; if the outer ones are, set data.layout=classes"
    )


def _pasted(path: str) -> str:
    """As a shell takes it."""
    return shlex.quote(shown(path))
