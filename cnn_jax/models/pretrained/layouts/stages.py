"""What the paths of modules tell of a network that is made of stages of blocks."""

import itertools
import re
from collections.abc import Collection, Iterable


def stages_of(paths: Iterable[str]) -> list[list[str]]:
    """The blocks of each stage, in order: [["stage1/block1"], ["stage2/block1", "stage2/block2"], ...]."""
    found = {match.group(): None for path in paths if (match := re.match(r"stage\d+/block\d+(?=/)", path))}
    return [list(blocks) for _, blocks in itertools.groupby(found, lambda block: block.partition("/")[0])]


def parts_of(paths: Collection[str], block: str, names: Iterable[str]) -> list[str]:
    """Those of the names that are parts of the block, in the order of the names."""
    return [name for name in names if any(path.startswith(f"{block}/{name}/") for path in paths)]
