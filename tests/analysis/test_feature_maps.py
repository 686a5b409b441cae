"""Maps of each layer, dead ones, and how they become a vector and a score."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis.feature_maps import Observer, Structure, as_maps, choose_layers, find_structure, most_varied
from cnn_jax.analysis.feature_vectors import find_contributions, find_flattening
from cnn_jax.analysis.layers import Apply, with_outputs
from cnn_jax.config.tree import default_config
from cnn_jax.models import make_model
from tests.support.networks import randomized, shallow

SHAPE = (8, 8, 3)


@functools.cache
def network(name: str, shape: tuple[int, int, int] = SHAPE, **changes: Any) -> tuple[Apply, Any]:
    config = default_config(model=name)
    config.model.update(changes)
    model = shallow(make_model(config.model, 5, in_order=True))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *shape))))
    random = np.random.RandomState(1)  # compiling the initialization takes longer than all else
    variables = randomized(jax.tree.map(lambda of: jnp.asarray(0.3 * random.normal(size=of.shape), of.dtype), shapes))
    return lambda weights, images: model.apply(weights, images, train=False), variables


def images(count: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.RandomState(0).normal(size=(count, *shape)).astype(np.float32)


@pytest.fixture(scope="module")
def cnn() -> tuple[Apply, Any]:
    """Map 3 of block1 is dead."""
    apply, variables = network("cnn", filters=(8, 8), hidden=(), dropout=0.0)
    norm = variables["params"]["block1"]["norm1"]
    norm["scale"] = norm["scale"].at[3].set(0.0)
    norm["bias"] = norm["bias"].at[3].set(-1.0)
    return apply, variables


def test_dead_maps_are_zero_for_all_images(cnn: Any) -> None:
    """Not those that are zero for one of them; the last batch, which is padded, counts its own images alone."""
    apply, variables = cnn
    # Of one brightness each, the first the brightest: neither the last batch nor a blank image has their peaks.
    given = np.broadcast_to(np.linspace(2, 1, 11, dtype=np.float32).reshape(-1, 1, 1, 1), (11, *SHAPE))
    observer = Observer(apply, variables, SHAPE, len(given), memory=4 * 4 * 8 * 8 * 8 * 4)
    assert observer.batch == 4
    *_, (count, activity) = observer.activity(given)
    assert count == 3
    logits, outputs = with_outputs(apply, list(observer.structure.layers))(variables, jnp.asarray(given))
    np.testing.assert_allclose(activity.logits, logits, rtol=0, atol=1e-5)
    assert activity.dead("block1/act1").tolist() == activity.dead("block1/pool").tolist() == [3]
    assert activity.dead("block1/norm1").tolist() == []
    for name, output in outputs.items():
        peaks = np.abs(np.asarray(output)).reshape(-1, output.shape[-1]).max(axis=0)
        np.testing.assert_allclose(activity.peaks[name], peaks, rtol=1e-5, atol=1e-6)
        assert activity.active[name] == pytest.approx(float((np.asarray(output) != 0).mean()), abs=2e-3)


def test_memory_changes_no_figure(cnn: Any) -> None:
    found = [list(Observer(*cnn, SHAPE, 7, memory=memory).activity(images(7)))[-1][1] for memory in (1, 1 << 28)]
    for name in found[0].peaks:
        np.testing.assert_allclose(found[0].peaks[name], found[1].peaks[name], rtol=1e-5, atol=1e-6)
        assert found[0].active[name] == pytest.approx(found[1].active[name], abs=1e-6)


def test_each_output_stands_once(cnn: Any) -> None:
    """A block that gives what its pool gave does not stand behind it, nor dropout, which does nothing here."""
    structure = find_structure(*cnn, SHAPE)
    names = list(structure.layers)
    outermost = ["block1/pool", "block2/pool", "input of head", "head/logits"]
    assert [name for name in names if structure.depths[name] == 0] == outermost
    assert names == [
        "block1/conv1", "block1/norm1", "block1/act1", "block1/pool", "block2/conv1", "block2/norm1", "block2/act1",
        "block2/pool", "input of head", "head/logits",
    ]  # fmt: skip
    names = list(find_structure(*network("mlp", hidden=(6, 4)), SHAPE).layers)
    assert names == ["input of hidden1", "hidden1", "input of hidden2", "hidden2", "input of head", "head/logits"]


def test_tokens_lie_on_their_grid() -> None:
    """The token of the class, the first, is left out."""
    structure = Structure({"conv": (2, 3, 4), "block1": (7, 4), "odd": (5, 4)}, {}, {})
    tokens = np.arange(28.0).reshape(7, 4)
    maps = as_maps("block1", tokens, structure)
    assert maps is not None
    assert maps.shape == (2, 3, 4)
    np.testing.assert_array_equal(maps[1, 2], tokens[1 + 1 * 3 + 2])
    column = as_maps("odd", np.zeros((5, 4)), structure)
    assert column is not None
    assert column.shape == (5, 1, 4)
    assert as_maps("head", np.zeros(4), Structure({"head": (4,)}, {}, {})) is None


def test_maps_are_chosen_by_variance() -> None:
    maps = np.zeros((2, 2, 4))
    maps[0, 0] = [1, -3, 2, 0]
    maps[..., 3] = 9  # high, and the same everywhere
    assert most_varied(maps, 3).tolist() == [1, 2, 0]


def test_of_many_layers_whole_blocks_are_chosen() -> None:
    """The last layer stays, however deep."""
    parts = [f"block{i}/{part}" for i in range(6) for part in ("conv", "norm", "pool")]
    # The pool gives what the block gives.
    depths = {name: 0 if name.endswith("pool") else 1 for name in parts} | {"head/logits": 1}
    assert choose_layers(depths, 24) == list(depths)
    assert choose_layers(depths, 10) == [*(f"block{i}/pool" for i in range(6)), "head/logits"]
    assert choose_layers(depths, 3) == ["block0/pool", "block3/pool", "head/logits"]


@pytest.mark.parametrize(
    ("name", "changes", "shape", "kind", "source", "target"),
    [
        ("cnn", {"filters": (8, 8), "hidden": (4,)}, SHAPE, "flatten", "block2/pool", "head"),
        ("cnn", {"filters": (8, 8), "global_pool": "global_max"}, SHAPE, "max", "block2/pool", "head"),
        ("cnn", {"filters": (8, 8), "global_pool": "global_mean"}, SHAPE, "mean", "block2/pool", "head"),
        ("lenet5", {}, (16, 16, 1), "flatten", "pool2", "dense"),
        ("mlp", {"hidden": (6,)}, SHAPE, "flatten", "", "hidden1"),
        ("vit_tiny", {"patch_size": 8}, (16, 16, 3), "token", "block1", "norm"),
    ],
)
def test_the_step_to_a_vector(name: str, changes: Any, shape: Any, kind: str, source: str, target: str) -> None:
    apply, variables = network(name, shape, **changes)
    observer = Observer(apply, variables, shape, 1)
    seen = observer.see(images(1, shape)[0])
    step = find_flattening(observer.structure, seen, shape)
    assert step is not None
    assert (step.kind, step.source or "", step.target) == (kind, source, target)
    if kind == "flatten" and step.maps is not None:
        entry = step.shape[2] + 1  # of the second place, in the first row
        assert step.place(entry) == {"map": 1, "row": 0, "column": 1}
        assert step.vector[entry] == step.maps[0, 1, 1]
    terms = find_contributions(variables, seen, 2)
    assert terms is not None
    assert terms.score == pytest.approx(float(seen.outputs["head/logits"][2]), rel=1e-4, abs=1e-4)
