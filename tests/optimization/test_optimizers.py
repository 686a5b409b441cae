"""Every optimizer: they lower a loss, and decay, clip and orthogonalise what they should."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.config.keys import OPTIMIZERS
from cnn_jax.errors import InputError
from cnn_jax.models.parameter_names import check_patterns, parameter_names, stop_gradient_frozen
from cnn_jax.optimization.optimizers import make_optimizer
from tests.support.helpers import optimizer_block


def make(name: str, **changes: Any) -> optax.GradientTransformation:
    return make_optimizer(optimizer_block(name, **changes), lambda base: lambda step: base)


def params() -> dict[str, Any]:
    keys = jax.random.split(jax.random.key(0), 3)
    return {
        "conv": {"kernel": jax.random.normal(keys[0], (3, 3, 2, 4)), "bias": jnp.ones(4)},
        "norm": {"scale": jnp.ones(4), "bias": jnp.ones(4)},
        "head": {"logits": {"kernel": jax.random.normal(keys[1], (4, 3))}},
    }


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_a_loss(name: str) -> None:
    # lion moves by exactly its rate each step
    optimizer, w = make(name, **({"learning_rate": 0.01} if name == "lion" else {})), params()
    target = jax.tree.map(lambda leaf: leaf * 0.5 + 0.2, w)

    def loss(w: Any) -> jax.Array:
        return sum(jnp.sum((a - b) ** 2) for a, b in zip(jax.tree.leaves(w), jax.tree.leaves(target), strict=True))

    @jax.jit
    def step(w: Any, state: Any) -> tuple[Any, Any]:
        updates, state = optimizer.update(jax.grad(loss)(w), state, w)
        return optax.apply_updates(w, updates), state

    state, before = optimizer.init(w), float(loss(w))
    start = w
    for _ in range(100):
        w, state = step(w, state)
    assert float(loss(w)) < before * 0.9
    for path, moved in jax.tree_util.tree_leaves_with_path(jax.tree.map(lambda a, b: jnp.abs(a - b).max(), w, start)):
        assert float(moved) > 0, jax.tree_util.keystr(path)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decay_spares_biases_and_normalisation_unless_told(name: str) -> None:
    w = params()
    zeros = jax.tree.map(jnp.zeros_like, w)

    def moved(**changes: Any) -> dict[str, bool]:
        optimizer = make(name, **changes)
        updates, _ = optimizer.update(zeros, optimizer.init(w), w)
        flat = jax.tree_util.tree_leaves_with_path(updates)
        return {jax.tree_util.keystr(path): bool(jnp.abs(update).max() > 0) for path, update in flat}

    assert not any(moved(weight_decay=0.0).values())
    decayed = moved(weight_decay=0.1)
    assert {key for key, value in decayed.items() if value} == {key for key in decayed if "kernel" in key}
    assert all(moved(weight_decay=0.1, decay_bias_and_norm=True).values())


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_positions_are_no_kernels(name: str) -> None:
    """Tables of them are not decayed (as in timm), and muon does not orthogonalise them: adam has them."""
    w = {
        "stem": {"conv": {"kernel": jnp.ones((2, 2, 3, 4))}, "position_embedding": jnp.ones((2, 2, 4))},
        "block1": {"attention": {"relative_position_bias": jnp.ones((3, 3, 2)), "out": {"kernel": jnp.ones((4, 4))}}},
    }
    zeros = jax.tree.map(jnp.zeros_like, w)
    optimizer = make(name, weight_decay=0.1)
    updates, _ = optimizer.update(zeros, optimizer.init(w), w)
    names = parameter_names(w)
    decayed = {name for name, update in zip(*map(jax.tree.leaves, (names, updates)), strict=True) if update.any()}
    assert decayed == {name for name in jax.tree.leaves(names) if name.endswith("kernel")}
    if name == "muon":
        still = make(name, adam_learning_rate=1e-12)
        updates, _ = still.update(w, still.init(w), w)
        assert jnp.abs(updates["block1"]["attention"]["relative_position_bias"]).max() < 1e-9
        assert jnp.abs(updates["stem"]["conv"]["kernel"]).max() > 1e-9


@pytest.mark.parametrize("name", ["adamw", "lion", "muon"])  # lamb rescales it to the weights
def test_decoupled_decay_is_rate_times_weight(name: str) -> None:
    w = params()
    own_rate = {"adam_learning_rate": 0.2} if name == "muon" else {}
    optimizer = make(name, weight_decay=0.1, learning_rate=0.5, **own_rate)
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, w), optimizer.init(w), w)
    np.testing.assert_allclose(updates["conv"]["kernel"], -0.05 * w["conv"]["kernel"], rtol=1e-5)
    last = -0.1 * own_rate.get("adam_learning_rate", 0.5)
    np.testing.assert_allclose(updates["head"]["logits"]["kernel"], last * w["head"]["logits"]["kernel"], rtol=1e-5)


# What is done around an optimizer is tried with a coupled decay, a decoupled one, and two optimizers in one.
KINDS = ("sgd", "adamw", "muon")


@pytest.mark.parametrize("name", KINDS)
def test_clipping_is_by_the_global_norm(name: str) -> None:
    w = params()
    gradients = jax.tree.map(lambda leaf: leaf * 100, w)
    norm = optax.tree.norm(gradients)
    clipped, plain = make(name, clip_norm=2.0), make(name)
    ours, _ = clipped.update(gradients, clipped.init(w), w)
    expected, _ = plain.update(jax.tree.map(lambda leaf: leaf * (2.0 / norm), gradients), plain.init(w), w)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)


def test_muon_orthogonalises_convolutions_and_leaves_the_last_layer_to_adam() -> None:
    w = params()
    w["conv"]["kernel"] *= jnp.array([1.0, 3.0, 10.0, 30.0]).reshape(1, 1, 1, 4)
    optimizer = make("muon", learning_rate=1.0, adam_learning_rate=0.25, momentum=0.0, nesterov=False, ns_steps=12)
    updates, _ = optimizer.update(w, optimizer.init(w), w)
    matrix = np.asarray(updates["conv"]["kernel"]).reshape(18, 4)
    singular = np.linalg.svd(matrix, compute_uv=False)
    assert singular.max() / singular.min() < 2  # Newton-Schulz brings them to 0.7 .. 1.2
    original = np.linalg.svd(np.asarray(w["conv"]["kernel"]).reshape(18, 4), compute_uv=False)
    assert original.max() / original.min() > 20
    np.testing.assert_allclose(np.abs(updates["head"]["logits"]["kernel"]), 0.25, rtol=1e-4)  # Adam's first step
    np.testing.assert_allclose(np.abs(updates["norm"]["scale"]), 0.25, rtol=1e-4)


def leaves(tree: Any) -> dict[str, Any]:
    return dict(zip(jax.tree.leaves(parameter_names(tree)), jax.tree.leaves(tree), strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_frozen_is_as_if_it_were_not_there(name: str) -> None:
    """No update, no decay, no state, no part in the norm that is clipped; each optimizer's masks see the gaps."""
    w = params()
    arguments = {"weight_decay": 0.1, "decay_bias_and_norm": True, "clip_norm": 1.0}
    optimizer = make_optimizer(
        optimizer_block(name, **arguments), lambda base: lambda step: base, freeze="^conv/|norm/bias"
    )
    alone = make(name, **arguments)
    trained = {"norm": {"scale": w["norm"]["scale"]}, "head": w["head"]}
    state, their_state = optimizer.init(w), alone.init(trained)
    held = [leaf.size for leaf in jax.tree.leaves(state) if leaf.ndim]
    assert sorted(held) == sorted(leaf.size for leaf in jax.tree.leaves(their_state) if leaf.ndim)
    for size in (1.0, 2.0, 3.0):
        gradients, theirs = (optax.tree.scale(size, tree) for tree in (w, trained))
        updates, state = optimizer.update(gradients, state, w)
        expected, their_state = alone.update(theirs, their_state, trained)
        for key, update in leaves(updates).items():
            np.testing.assert_allclose(update, leaves(expected).get(key, jnp.zeros_like(update)), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", KINDS)
def test_first_pattern_scales_the_update(name: str) -> None:
    """The first that is found, and the whole of the update: decay, too."""
    w = params()
    multipliers = (("kernel", 0.5), ("head", 7.0), ("norm/.*s$", 0.0))
    scaled, plain = (make(name, weight_decay=0.1, rate_multipliers=pairs) for pairs in (multipliers, ()))
    ours, _ = scaled.update(w, scaled.init(w), w)
    expected, _ = plain.update(w, plain.init(w), w)
    factors = {"conv/kernel": 0.5, "head/logits/kernel": 0.5, "norm/bias": 0.0}
    for key, update in leaves(expected).items():
        np.testing.assert_allclose(leaves(ours)[key], update * factors.get(key, 1.0), rtol=1e-6)


@pytest.mark.parametrize(
    ("freeze", "multipliers", "words"),
    [
        (
            "kernels",
            (),
            r"config\.freeze='kernels': it is found in no parameter's name; there are conv/bias, conv/kernel",
        ),
        (".", (), r"config\.freeze='\.': it is found in every name, nothing would be trained"),
        (None, (("norm", 2.0), ("stage9", 2.0)), r"rate_multipliers: \('stage9', 2\) is found in no parameter's name"),
        (None, (("bias", 0.1), ("conv", 2.0), ("conv/b", 2.0)), r"\('conv/b', 2\) never acts: pairs before it"),
    ],
)
def test_patterns_that_single_out_nothing_are_said(freeze: str | None, multipliers: Any, words: str) -> None:
    config = {"freeze": freeze, "optimizer": {"rate_multipliers": multipliers}}
    with pytest.raises(InputError, match=words):
        check_patterns(config, jax.eval_shape(params))
    check_patterns({"freeze": "conv", "optimizer": {"rate_multipliers": (("bias", 0.1), ("conv", 2.0))}}, params())


def test_long_lists_of_names_are_cut() -> None:
    many = {f"layer{i:02}": {"kernel": jnp.zeros(1)} for i in range(60)}
    with pytest.raises(InputError, match=r"there are 60: layer00/kernel, .*layer02/kernel, \.\.\., layer57") as caught:
        check_patterns({"freeze": "x", "optimizer": {"rate_multipliers": ()}}, many)
    assert len(str(caught.value)) < 250


def test_no_gradient_reaches_what_is_frozen() -> None:
    def loss(w: Any) -> jax.Array:
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(stop_gradient_frozen(w, "conv/k|scale")))

    found = {key: bool(gradient.any()) for key, gradient in leaves(jax.grad(loss)(params())).items()}
    assert found == {
        "conv/kernel": False, "conv/bias": True, "norm/scale": False, "norm/bias": True, "head/logits/kernel": True,
    }  # fmt: skip
