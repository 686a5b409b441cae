"""Rates that fall from the head to the first block."""

import pytest

from cnn_jax.optimization.layer_decay import block_of, layer_rates

LAYERS = (
    "stem/conv",
    "stage1/block1/conv1/conv",
    "stage1/block2/conv1/conv",
    "stage2/block1/shortcut/conv",
    "head/logits",
)


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("stem/conv/kernel", "stem"),
        ("stem_norm/scale", "stem_norm"),
        ("stage1/block2/conv1/norm/scale", "stage1/block2"),
        ("stage10/block12/expand/conv/kernel", "stage10/block12"),
        ("block1/conv1/kernel", "block1"),
        ("head/logits/bias", "head"),
        ("kernel", "kernel"),
    ],
)
def test_blocks_are_told_by_names(name: str, block: str) -> None:
    assert block_of(name) == block


def test_each_block_has_its_power() -> None:
    rate = layer_rates(0.5, LAYERS)
    names = [f"{layer}/kernel" for layer in LAYERS]
    assert [rate(name) for name in names] == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]
    assert rate("stage1/block1/norm/scale") == 1 / 8  # of the same block
    assert rate("position_embedding") == 1 / 16  # of none: as the first
