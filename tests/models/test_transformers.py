"""What ConvNeXt, ViT and CoAtNet hold, and what a file of weights does not say of them."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.config.tree import override
from cnn_jax.experiment.fitting import build
from cnn_jax.models import coatnet, convnext, make_table, transformer, vit
from cnn_jax.models.coatnet import CoAtNet0
from cnn_jax.models.pretrained import rules
from cnn_jax.models.pretrained.importing import from_state_dict
from cnn_jax.models.transformer import Attention, DotProduct
from cnn_jax.models.vit import ViT
from tests.support.helpers import QUICK, refusal, tiny_config
from tests.support.made_up_weights import made_up_images
from tests.support.torch_logits import RECORDED, network, recorded, shapes_of

# Parameters and billions of multiply-adds with 1000 classes at 224x224: of torchvision's model pages for convnext_tiny
# and vit_base, of timm's networks and its table of results for the others.
PUBLISHED = {
    "convnext_atto": (3_695_520, 0.55),
    "convnext_femto": (5_217_784, 0.79),
    "convnext_pico": (9_045_672, 1.37),
    "convnext_nano": (15_593_560, 2.46),
    "convnext_tiny": (28_589_128, 4.456),
    "vit_tiny": (5_717_416, 1.26),
    "vit_small": (22_050_664, 4.61),
    "vit_base": (86_567_656, 17.564),
    "coatnet_0": (25_036_820, 4.58),
    "coatnet_0_rw": (27_435_562, 4.43),
}
OF_TORCHVISION = ("convnext_tiny", "vit_base")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    """torchvision counts as `make_table` does; timm's table has norms, too: BatchNorm twice a value, LayerNorm five.

    That is the rule of fvcore.
    """
    table = make_table(network(name, {}, 1000), (224, 224, 3))
    values = [(layer.kind, math.prod(layer.output_shape)) for layer in table.layers]
    of_norms = sum({"BatchNorm": 2, "LayerNorm": 5}.get(kind, 0) * size for kind, size in values)
    parameters, billions = PUBLISHED[name]
    assert table.parameters == parameters
    counted = table.multiply_adds + (0 if name in OF_TORCHVISION else of_norms)
    assert round(counted / 1e9, 3 if name in OF_TORCHVISION else 2) == billions


def test_the_table_counts_attention_by_hand() -> None:
    table = make_table(ViT(3, width=8, heads=2, depth=1, patch_size=4), (8, 12, 3))
    layers = {layer.name: layer for layer in table.layers}
    tokens = 1 + 2 * 3
    products = layers["block1/attention/products"]
    assert (products.output_shape, products.parameters) == ((tokens, 2, 4), 0)
    assert products.multiply_adds == 2 * tokens * tokens * 8
    assert layers["block1/attention/query"].multiply_adds == tokens * 8 * 8
    assert layers["stem"].parameters == 8 + 8 + 6 * 8
    names = [*layers]
    assert names.index("stem") < names.index("block1/norm1") < names.index("norm") < names.index("head/logits")


WRONG = {
    "epsilon of convnext": ("timm_convnext_atto", "epsilon"),
    "epsilon of vit": ("timm_vit_tiny_patch16_224", "epsilon"),
    "gelu of convnext": ("timm_convnext_atto", "gelu"),
    "gelu of vit": ("timm_vit_tiny_patch16_224", "gelu"),
    "order of queries in coatnet": ("timm_coatnet_0_rw_224", "heads"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_choice_gives_other_logits(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Epsilon 1e-5, the approximate GELU, q | k | v of all heads: the agreement with recorded logits is within 1e-5."""
    file, choice = WRONG[wrong]
    if choice == "epsilon":
        monkeypatch.setattr(transformer, "EPSILON", 1e-5)
    elif choice == "gelu":
        monkeypatch.setattr(transformer, "gelu", nn.gelu)
    else:
        whole = rules.stacked
        monkeypatch.setattr(rules, "stacked", lambda number, of, rows=None: whole(number, of))
    truth, (name, arguments) = recorded(file), RECORDED[file]
    model = network(name, arguments, 16)
    imported = from_state_dict(name, shapes_of(model, size=truth.size), truth.state_dict)
    ours = jax.jit(model.apply, compiler_options=QUICK)(imported.variables, made_up_images(2, truth.size))
    assert np.abs(ours - truth.logits).max() > 2e-5 * np.abs(truth.logits).max()


def test_attention_is_what_the_paper_says() -> None:
    """Vaswani et al. 2017, eq. 1, with a bias for each offset (Dai et al. 2021, eq. 4), in plain NumPy."""
    height, width, heads, size, channels = 2, 3, 2, 4, 5
    layer = Attention(7, heads, size, grid=(height, width))
    x = np.random.default_rng(1).normal(size=(2, height * width, channels)).astype(np.float32)
    params = jax.tree.map(
        lambda leaf: jax.random.normal(jax.random.key(1), leaf.shape), layer.init(jax.random.key(2), x)
    )
    w = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["params"])
    want = np.zeros((2, height * width, heads * size))
    for b, head in np.ndindex(2, heads):
        part = slice(head * size, (head + 1) * size)
        q, k, v = (
            np.asarray(x[b]) @ w[key]["kernel"][:, part] + w[key]["bias"][part] for key in ("query", "key", "value")
        )
        scores = q @ k.T / np.sqrt(size)
        for i, j in np.ndindex(scores.shape):
            down, right = i // width - j // width, i % width - j % width
            scores[i, j] += w["relative_position_bias"][down + height - 1, right + width - 1, head]
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        want[b, :, part] = weights / weights.sum(axis=1, keepdims=True) @ v
    want = want @ w["out"]["kernel"] + w["out"]["bias"]
    ours = jax.jit(layer.apply, compiler_options=QUICK)(params, x)
    np.testing.assert_allclose(ours, want, rtol=1e-4, atol=1e-5)


def test_half_precision_takes_the_softmax_in_float32() -> None:
    """In bfloat16 the sum of 1000 equal weights of 1/1000 would be 0.99."""
    queries, values = jnp.zeros((1, 1000, 1, 4), jnp.bfloat16), jnp.ones((1, 1000, 1, 4), jnp.bfloat16)
    program = str(jax.make_jaxpr(DotProduct().apply)({}, queries, queries, values))
    exponentials = [line for line in program.splitlines() if "= exp " in line]
    assert exponentials
    assert all(":f32[" in line for line in exponentials)
    assert DotProduct().apply({}, queries, queries, values).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("model", "size", "line"),
    [
        (ViT(3), (40, 32), "images of 40x32 do not divide into patches of 16x16; choose multiples of 16, or another"),
        (CoAtNet0(3), (48, 64), "images of 48x64 cannot be halved five times; choose multiples of 32"),
    ],
)
def test_images_that_do_not_fit(model: Any, size: tuple[int, int], line: str) -> None:
    assert line in refusal(make_table, model, (*size, 3))


def test_an_experiment_names_the_key() -> None:
    """Images of 8x8, of which 16x16 patches cannot be made."""
    config = override(tiny_config(), [("model.name", "vit_tiny")])
    line = refusal(build, config)
    assert "config.model.name='vit_tiny', data.image_size: images of 8x8 do not divide into patches" in line
    assert "too small" not in line


def test_stochastic_depth_passes_by_whole_examples() -> None:
    """A branch is there, scaled up, or not at all; in evaluation it always is."""

    class Branch(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array, train: bool) -> jax.Array:
            return transformer.stochastic_depth(x, 0.75, train)

    x = jnp.arange(1.0, 7.0).reshape(1, 2, 3) * jnp.ones((64, 1, 1))
    y = np.asarray(Branch().apply({}, x, True, rngs={"dropout": jax.random.key(0)}))
    kept = y[:, 0, 0] > 0
    assert 4 <= kept.sum() <= 32
    assert np.array_equal(y[kept], 4 * np.asarray(x)[kept])
    assert not y[~kept].any()
    assert np.array_equal(Branch().apply({}, x, False), x)


@pytest.mark.parametrize("name", ["convnext_atto", "vit_tiny", "coatnet_0"])
def test_stochastic_depth_grows_with_depth(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linearly, from 0 at the first block to the whole rate at the last one (Huang et al. 2016, section 3)."""
    rates: list[float] = []

    def seen(y: jax.Array, rate: float, train: bool) -> jax.Array:
        rates.append(rate)
        return y

    for module in (convnext, vit, coatnet):
        monkeypatch.setattr(module, "stochastic_depth", seen)
    model: Any = network(name, {"stochastic_depth": 0.3}, 3)
    shapes_of(model, size=32)
    blocks = model.depth if name == "vit_tiny" else sum(model.depths)
    assert np.allclose(sorted(set(rates)), np.linspace(0, 0.3, blocks))
    assert rates == sorted(rates)
