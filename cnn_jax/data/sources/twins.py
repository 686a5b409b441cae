"""Files that belong together by their names, as a photograph and its mask."""

import re
from collections.abc import Sequence

_LABELS = "masks?|seg|segmentation|gt|groundtruth|ground_truth|label|labels|labelids|annotation|matte|alpha|trimap"
_ENDING = re.compile(rf"[-_. ]({_LABELS})$", re.IGNORECASE)


def same_stem(paths: Sequence[str]) -> list[list[int]]:
    """Groups of rows whose files stand in one folder and differ only in extension, or in an ending such as `_mask`.

    >>> same_stem(["cat/1.jpg", "cat/1.png", "cat/2.jpg", "cat/2_mask.png", "dog/1.jpg"])
    [[0, 1], [2, 3]]
    """
    groups: dict[str, list[int]] = {}
    for row, path in enumerate(paths):
        folder, slash, name = path.rpartition("/")
        stem = name.rpartition(".")[0] or name
        groups.setdefault(folder + slash + (_ENDING.sub("", stem) or stem).lower(), []).append(row)
    return [rows for rows in groups.values() if len(rows) > 1]
