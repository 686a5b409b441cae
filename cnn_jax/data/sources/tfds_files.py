"""What the description of a prepared TFDS dataset may say, before TFDS acts on it.

TFDS imports the Python modules that `features.json` names, and reads the files that `dataset_info.json` names. The data
may come from strangers, so both are checked first.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnn_jax.errors import InputError, shown

_FEATURES = re.compile(r"tensorflow_datasets\.core\.features\.\w+\.\w+")
_CLASS_KEYS = ("pythonClassName", "python_class_name", "type")  # the last is TFDS's older form
_TEMPLATE_KEYS = ("filepathTemplate", "filepath_template")
_MOST_BYTES = 1 << 26


def read_description(folder: Path) -> dict[str, Any]:
    """`dataset_info.json` of a prepared dataset, after it and `features.json` were found harmless.

    Raises:
      InputError: they cannot be read, name a feature that is not TFDS's own, or a file outside of the folder.
    """
    description = _read(folder / "dataset_info.json")
    features = _read(folder / "features.json") if (folder / "features.json").exists() else {}
    for file, tree in (("features.json", features), ("dataset_info.json", description.get("features", {}))):
        for name in _classes(tree):
            if not _FEATURES.fullmatch(name):
                raise InputError(
                    f"{folder / file}: it names the feature {shown(name[:80])!r}, which is not TFDS's own; code of "
                    f"others is not run to read data"
                )
    splits = description.get("splits") or []
    texts = [
        description.get("name", ""),
        *(split.get(key, "") for split in splits for key in ("name", *_TEMPLATE_KEYS)),
    ]
    for text in texts:
        if not isinstance(text, str) or re.search(r"[/\\\0]", text):
            raise InputError(
                f"{folder / 'dataset_info.json'}: {shown(str(text)[:80])!r} leads out of the folder; a dataset's files "
                f"must lie beside its description"
            )
    return description


def _read(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is no regular file of a reasonable size")
        content = json.loads(path.read_text())
        splits = content.get("splits") or []
        if not all(isinstance(split, dict) for split in splits):
            raise ValueError("its splits are no list of objects")
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: it is damaged ({error}); prepare the dataset again") from error
    return dict(content)


def _classes(tree: Any) -> Iterator[str]:
    """The names of Python classes in a description of features; some parts of it are JSON within text."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            try:
                waiting.append(json.loads(item) if item.lstrip().startswith(("{", "[")) else None)
            except (ValueError, RecursionError):
                continue  # TFDS parses it likewise, and fails likewise
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            yield from (item[key] for key in _CLASS_KEYS if isinstance(item.get(key), str))
            waiting += item.values()
