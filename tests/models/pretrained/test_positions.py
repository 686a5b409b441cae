"""Positions of transformers: images of another size than the file's, and what is one array there and several here."""

from typing import Any

import jax
import numpy as np
import pytest

from cnn_jax.models.pretrained import interpolation, rules
from cnn_jax.models.pretrained.exporting import to_state_dict
from cnn_jax.models.pretrained.importing import from_state_dict
from cnn_jax.models.pretrained.naming import Array, joined
from tests.support.helpers import ROOT, refusal
from tests.support.torch_logits import network, shapes_of

SIZES = [(3, 3), (7, 7), (10, 10), (5, 8), (1, 1)]


@pytest.fixture(scope="module")
def theirs() -> Any:
    return np.load(ROOT / "tests/fixtures/torch_positions.npz")


@pytest.mark.parametrize("size", SIZES)
def test_positions_are_interpolated_as_there(size: tuple[int, int], theirs: Any) -> None:
    """Of a map of 6x6, in each library's own way; torchvision knows square images alone."""
    first, positions = rules.MAP_PART.divide(theirs["embedding"])
    name = f"positions_{size[0]}x{size[1]}"
    ways = {"timm": interpolation.timm_positions, "torchvision": interpolation.torchvision_positions}
    made = {library: way(rules.TOKENS.to_flax(positions), size) for library, way in ways.items()}
    for library, array in made.items():
        assert array.dtype == np.float32
        if library == "timm" or size[0] == size[1]:
            want = theirs[f"{library}_{name}"]
            np.testing.assert_allclose(rules.TOKENS.to_torch(array), want[:, 1:], atol=2e-6)
            assert np.array_equal(want[:, :1], first)
    assert np.abs(made["timm"] - made["torchvision"]).max() > 0.1  # not to be taken for each other


@pytest.mark.parametrize("size", SIZES)
def test_offsets_are_interpolated_as_there(size: tuple[int, int], theirs: Any) -> None:
    """A table for a map of 6x6."""
    table = interpolation.timm_offsets(theirs["table"], (2 * size[0] - 1, 2 * size[1] - 1))
    want = theirs[f"timm_offsets_{size[0]}x{size[1]}"]
    np.testing.assert_allclose(rules.OFFSETS.to_torch(table), want, atol=2e-5)


@pytest.fixture(scope="module")
def vit() -> dict[str, np.ndarray]:
    """timm's state dict of a ViT for images of 64x64, with 5 classes."""
    draw = np.random.default_rng(0)
    shapes = shapes_of(small_vit(), size=64)
    return to_state_dict("vit_tiny", jax.tree.map(lambda leaf: draw.normal(size=leaf.shape), shapes), "timm")


def small_vit() -> Any:
    return network("vit_tiny", {}, 5).clone(width=8, heads=2, depth=1)


def test_images_of_another_size(vit: dict[str, np.ndarray]) -> None:
    """Told once; all else is the file's. Without leave it is a fault, as any other shape."""
    shapes = shapes_of(small_vit(), size=96)
    assert "1 of another shape (pos_embed (1, 17, 8) for (1, 37, 8))" in refusal(
        from_state_dict, "vit_tiny", shapes, vit
    )
    imported = from_state_dict("vit_tiny", shapes, vit, other_sizes=True)
    assert imported.notes == ("position_embedding is interpolated for images of this size",)
    stem = imported.variables["params"]["stem"]
    assert np.array_equal(stem["class_position"], vit["pos_embed"][0, 0].astype(np.float32))
    want = interpolation.timm_positions(vit["pos_embed"][0, 1:], (6, 6))
    np.testing.assert_allclose(stem["position_embedding"], want, rtol=1e-6)
    again = to_state_dict("vit_tiny", imported.variables, "timm")
    assert again.keys() == vit.keys()
    assert all(np.array_equal(again[key], value.astype(np.float32)) for key, value in vit.items() if key != "pos_embed")


@pytest.mark.parametrize(
    ("library", "way"),
    [("timm", interpolation.timm_positions), ("torchvision", interpolation.torchvision_positions)],
)
def test_each_librarys_files_are_interpolated_its_way(vit: dict[str, np.ndarray], library: str, way: Any) -> None:
    variables = from_state_dict("vit_tiny", shapes_of(small_vit(), size=64), vit).variables
    theirs = to_state_dict("vit_tiny", variables, library)
    imported = from_state_dict("vit_tiny", shapes_of(small_vit(), size=96), theirs, other_sizes=True)
    assert imported.library == library
    before, after = (each["params"]["stem"]["position_embedding"] for each in (variables, imported.variables))
    np.testing.assert_allclose(after, way(before.reshape(16, 8), (6, 6)), rtol=1e-6)


def test_as_many_positions_in_another_shape(vit: dict[str, np.ndarray]) -> None:
    """4x4 are as many as 2x8, and another map."""
    shapes = jax.eval_shape(lambda: small_vit().init(jax.random.key(0), np.zeros((1, 32, 128, 3), np.float32)))
    stem = from_state_dict("vit_tiny", shapes, vit, other_sizes=True).variables["params"]["stem"]
    want = interpolation.timm_positions(vit["pos_embed"][0, 1:], (2, 8))
    np.testing.assert_allclose(stem["position_embedding"], want, rtol=1e-6)


def test_positions_that_fit_nowhere(vit: dict[str, np.ndarray]) -> None:
    shapes = shapes_of(small_vit(), size=96)
    for wrong in (np.zeros((1, 12, 8)), np.zeros((1, 17, 9)), np.zeros((1, 1, 8)), np.zeros((17, 8))):
        line = refusal(from_state_dict, "vit_tiny", shapes, {**vit, "pos_embed": wrong}, other_sizes=True)
        assert f"1 of another shape (pos_embed {wrong.shape} for (1, 37, 8))" in line


def test_fused_layers_are_listed_once(vit: dict[str, np.ndarray]) -> None:
    """Queries, keys and values are one array there: missing or of another shape, it is one fault."""
    shapes, key = shapes_of(small_vit(), size=64), "blocks.0.attn.qkv.weight"
    without = {name: value for name, value in vit.items() if name != key}
    assert f"1 missing ({key})" in refusal(from_state_dict, "vit_tiny", shapes, without)
    line = refusal(from_state_dict, "vit_tiny", shapes, {**vit, key: np.zeros((16, 8))})
    assert f"1 of another shape ({key} (16, 8) for (24, 8))" in line


def test_offsets_of_coatnet_for_images_of_another_size() -> None:
    """And the index that older files have is no weight."""
    model: Any = network("coatnet_0", {}, 3).clone(depths=(1, 1, 1, 1), widths=(32, 32, 32, 32), hidden=4)
    draw = np.random.default_rng(0)
    drawn = jax.tree.map(lambda leaf: draw.normal(size=leaf.shape).astype(np.float32), shapes_of(model, size=128))
    made = to_state_dict("coatnet_0", drawn, "timm")
    rel_pos = "stages.2.blocks.0.attn.rel_pos"
    made[f"{rel_pos}.relative_position_index"] = np.zeros((64, 64), np.int64)
    shapes = shapes_of(model, size=64)
    imported = from_state_dict("coatnet_0", shapes, made, other_sizes=True)
    assert imported.notes == ("relative_position_bias is interpolated for images of this size",)
    bias = imported.variables["params"]["stage3"]["block1"]["attention"]["relative_position_bias"]
    assert np.array_equal(bias, interpolation.timm_offsets(made[f"{rel_pos}.relative_position_bias_table"], (7, 7)))
    assert rel_pos in refusal(from_state_dict, "coatnet_0", shapes, made)


def test_queries_keys_and_values_in_both_orders() -> None:
    """Rows q | k | v, and q | k | v of one head after the other: heads of two rows."""
    rows = np.arange(12)[:, None]
    for size, queries in ((None, [0, 1, 2, 3]), (2, [0, 1, 6, 7])):
        parts = [rules.stacked(number, 3, size) for number in range(3)]
        pieces = [part.divide(rows)[part.number] for part in parts]
        assert pieces[0][:, 0].tolist() == queries
        ordered = [(Array("qkv", rules.AS_IT_IS, rows.shape, parts[i]), pieces[i]) for i in (2, 0, 1)]
        assert np.array_equal(joined(ordered), rows)
        with pytest.raises(ValueError, match="two parameters have the same key, qkv"):
            joined([ordered[0], ordered[0], ordered[1]])
