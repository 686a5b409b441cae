"""Layer-wise learning rate decay: the further a block is from the head, the less it is changed.

Bao et al. 2022 ("BEiT: BERT pre-training of image transformers", appendix), after Clark et al. 2020 ("ELECTRA").
"""

import re
from collections.abc import Callable, Iterable

_NUMBERED = re.compile(r"[a-z_]+\d+$")


def block_of(name: str) -> str:
    """'stage1/block2' of 'stage1/block2/conv1/conv/kernel'; 'stem' of 'stem/conv/kernel'; 'head' of 'head/logits'."""
    first, *rest = name.split("/")
    nested = len(rest) > 1 and _NUMBERED.match(first) and _NUMBERED.match(rest[0]) and "block" in rest[0]
    return f"{first}/{rest[0]}" if nested else first


def layer_rates(decay: float, layers: Iterable[str]) -> Callable[[str], float]:
    """From a parameter's name to decay ** (blocks between its own and the last one).

    What belongs to none of the blocks, as the position embedding of a transformer, has the rate of the first.

    Args:
      layers: names of the layers in the order in which they are applied.
    """
    blocks = list(dict.fromkeys(map(block_of, layers)))
    depth = {block: len(blocks) - 1 - place for place, block in enumerate(blocks)}
    return lambda name: decay ** depth.get(block_of(name), len(blocks) - 1)
