"""The widths of RegNets against the tables of the paper, and what the two libraries make of halves."""

import jax
import pytest

from cnn_jax.config.tree import default_config, override
from cnn_jax.models import make_model, variable_shapes
from cnn_jax.models.parameter_names import parameter_names
from cnn_jax.models.regnet import block_widths

# Blocks and widths of each stage: Radosavovic et al. 2020, figures 15 and 16.
PAPER = {
    "x_400mf": ((1, 2, 7, 12), (32, 64, 160, 384)),
    "x_800mf": ((1, 3, 7, 5), (64, 128, 288, 672)),
    "y_400mf": ((1, 3, 6, 6), (48, 104, 208, 440)),
    "y_800mf": ((1, 3, 8, 2), (64, 128, 320, 768)),
}


@pytest.mark.parametrize(("name", "stages"), PAPER.items())
def test_widths_and_depths_are_the_papers(name: str, stages: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """timm's are, too; torchvision rounds halves up: 392 to 400 channels (x_400mf), 776 to 784 (y_800mf)."""
    config = default_config(f"regnet_{name}")
    block = override(config, [("model.origin", "timm")] if "origin" in config.model else []).model
    params = variable_shapes(make_model(block, 5), (64, 64, 3))["params"]
    found = [params[f"stage{i}"] for i in range(1, 5)]
    assert "stage5" not in params
    assert tuple(len(stage) for stage in found) == stages[0]
    assert tuple(stage["block1"]["conv3"]["conv"]["kernel"].shape[3] for stage in found) == stages[1]


def test_widths_follow_a_line() -> None:
    """By hand: 24 + 24.48 j is 24, 48.48, 72.96, 97.44; in powers of 2.54 0, 0.75, 1.19, 1.50; 60.96 is 64."""
    assert block_widths(4, 24, 24.48, 2.54) == [24, 64, 64, 152]
    assert block_widths(3, 16, 0.0, 2.0) == [16, 16, 16]


def test_gates_are_a_quarter_of_what_enters() -> None:
    """In RegNetY alone; groups are of 8 channels."""
    y, x = (
        variable_shapes(make_model(default_config(f"regnet_{kind}_400mf").model, 5), (64, 64, 3))["params"]
        for kind in "yx"
    )
    for (stage, block), entering in {(1, 1): 32, (2, 1): 48, (2, 2): 104, (4, 6): 440}.items():
        parts = y[f"stage{stage}"][f"block{block}"]
        channels = parts["conv2"]["norm"]["scale"].size
        assert parts["squeeze_excite"]["reduce"]["kernel"].shape == (channels, entering // 4)
        assert parts["conv2"]["conv"]["kernel"].shape[2] == 8
    assert not any("squeeze_excite" in name for name in jax.tree.leaves(parameter_names(x)))
