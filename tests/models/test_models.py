"""Every model in the table."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from cnn_jax.config.model_keys import MODELS
from cnn_jax.config.tree import default_config
from cnn_jax.models import make_model
from cnn_jax.models.cnn import CNN
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.parameter_names import is_kernel, parameter_names
from cnn_jax.models.resnet import ResNet18
from tests.support.helpers import QUICK
from tests.support.networks import REPRESENTATIVES, family, image_size, shallow
from tests.support.torch_logits import shapes_of

EMBEDDING = {
    "linear": 3072,
    "mlp": 256,
    "lenet5": 120,
    "cnn": 4096,
    "resnet18": 512,
    "resnet34": 512,
    "resnet50": 2048,
    "speednet": 256,
    "mobilenet_v2": 1280,
    "mobilenet_v3_small": 576,
    "mobilenet_v3_large": 960,
    "efficientnet_b0": 1280,
    "efficientnet_b1": 1280,
    "efficientnet_b2": 1408,
    "efficientnet_lite0": 1280,
    "efficientnet_lite1": 1280,
    "efficientnet_lite2": 1280,
    "convnext_atto": 320,
    "convnext_femto": 384,
    "convnext_pico": 512,
    "convnext_nano": 640,
    "convnext_tiny": 768,
    "vit_tiny": 192,
    "vit_small": 384,
    "vit_base": 768,
    "coatnet_0": 768,
    "coatnet_0_rw": 768,
    "resnet101": 2048,
    "resnet152": 2048,
    "resnext50_32x4d": 2048,
    **dict.fromkeys(("resnet20", "resnet32", "resnet44", "resnet56", "resnet110"), 64),
    "regnet_x_400mf": 400,
    "regnet_x_800mf": 672,
    "regnet_y_400mf": 440,
    "regnet_y_800mf": 784,
    "alexnet": 9216,
    "alexnet_2012": 256,  # of images of 67x67
    **{f"vgg{layers}{norm}": 25_088 for layers in (11, 13, 16, 19) for norm in ("", "_bn")},
}


DEEP = tuple(name for name in MODELS if MODELS[name].stages and name not in ("cnn", "speednet"))
CASES = [
    *[pytest.param(name, "float32") for name in MODELS],
    *[pytest.param(name, "bfloat16", marks=pytest.mark.slow if name in DEEP else ()) for name in MODELS],
]


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_every_model(name: str, precision: str) -> None:
    block = default_config(name).model
    if family(name) == "ResNet":
        block.small_images = True
        block.zero_init_residual = False  # else the first gradient of what is before the zeros is zero
    model = make_model(block, 7, precision)
    size = image_size(name)
    images = jax.random.normal(jax.random.key(0), (2, max(32, size), max(32, size), 3))

    def applied(model: Any, images: jax.Array) -> tuple[jax.Array, ...]:
        logits, variables = model.init_with_output(jax.random.key(1), images)
        return variables, model.apply(variables, images, method="embed"), logits

    def trained(model: Any, images: jax.Array) -> tuple[jax.Array, ...]:
        variables = model.init(jax.random.key(1), images)

        def loss(params: object) -> tuple[jax.Array, jax.Array]:
            logits, _ = model.apply(
                {**variables, "params": params}, images, train=True, mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(2)},
            )  # fmt: skip
            return (logits * jnp.arange(7).reshape(1, 7)).sum(), logits

        return *jax.grad(loss, has_aux=True)(variables["params"]), model.apply(variables, images)

    variables, features, logits = jax.eval_shape(partial(applied, model), images)
    assert logits.shape == (2, 7)
    assert logits.dtype == features.dtype == jnp.float32
    assert features.shape == (2, EMBEDDING[name])
    assert set(variables) <= {"params", "batch_stats"}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    params = variables["params"]
    for parameter, leaf in zip(jax.tree.leaves(parameter_names(params)), jax.tree.leaves(params), strict=True):
        assert is_kernel(parameter, leaf) == parameter.endswith("/kernel"), "what is decayed"

    if name not in REPRESENTATIVES:
        return
    # Few blocks tell as much as many, and compile in a fraction of the time.
    gradients, *outputs = jax.jit(partial(trained, shallow(model)), compiler_options=QUICK)(images[:, :size, :size])
    assert all(output.dtype == jnp.float32 for output in outputs)
    assert all(bool(jnp.isfinite(output).all()) for output in outputs)
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        parameter = jax.tree_util.keystr(path, simple=True, separator="/")
        if not parameter.endswith("attention/key/bias"):  # it adds the same to all that a softmax is taken of
            assert float(jnp.abs(gradient).max()) > 0, f"no gradient for {parameter}"
        assert bool(jnp.isfinite(gradient).all())


def test_bfloat16_computes_in_bfloat16() -> None:
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    exact, half = CNN(filters=(4,)), CNN(filters=(4,), compute=ComputeConfig(jnp.bfloat16))
    variables = exact.init(jax.random.key(1), images)
    assert jax.eval_shape(lambda: half.apply(variables, images, capture_intermediates=True)[1])["intermediates"][
        "block1"]["conv1"]["__call__"][0].dtype == jnp.bfloat16  # fmt: skip
    difference = jnp.abs(exact.apply(variables, images) - half.apply(variables, images)).max()
    assert 0 < difference < 0.1


def test_names_that_a_person_can_guess() -> None:
    variables = jax.eval_shape(lambda: ResNet18(small_images=True).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3))))
    names = ["/".join(key.key for key in path) for path, _ in jax.tree_util.tree_leaves_with_path(variables["params"])]
    assert "stage1/block2/conv1/conv/kernel" in names
    assert "stage2/block1/shortcut/norm/scale" in names
    pattern = r"(stem|head/logits|stage[1-4]/block[12]/(conv[12]|shortcut))(/(conv|norm))?/(kernel|scale|bias)"
    assert all(re.fullmatch(pattern, name) for name in names)


# One of each family, and what has other blocks; transformers and ConvNeXts have more parts: see the next test.
WITH_STAGES = [name for name in REPRESENTATIVES if name in DEEP and not name.startswith(("convnext", "vit", "coatnet"))]


@pytest.mark.parametrize("name", [*WITH_STAGES, "resnet50", "regnet_x_400mf", "vgg11_bn", "efficientnet_lite0"])
def test_the_backbone_is_stem_and_stages(name: str) -> None:
    """freeze='^(stem|stage)' leaves the head alone to train."""
    params = shapes_of(make_model(default_config(name).model, 3))["params"]
    assert {part for part in params if not re.match("stem|stage", part)} == {"head"}
    names = jax.tree.leaves(parameter_names(params))
    part = r"expand|depthwise|project|squeeze_excite|conv[123]|shortcut"
    pattern = rf"(stem|stage\d|stage\d/block\d+(/({part}))?|head)(/(conv|norm|reduce|expand|hidden[12]|logits))?/\w+"
    assert all(re.fullmatch(pattern, name) for name in names)


@pytest.mark.parametrize("name", ["convnext_atto", "vit_tiny", "coatnet_0", "coatnet_0_rw"])
def test_names_of_blocks_and_attention(name: str) -> None:
    """Each parameter is of the stem, of a block, of the last norm or of the head."""
    names = jax.tree.leaves(parameter_names(shapes_of(make_model(default_config(name).model, 3))["params"]))
    block = r"block\d+" if name.startswith("vit") else r"stage[1-4]/block\d+"
    part = r"attention/(query|key|value|out)|mlp/(expand|project)|downsample/(norm|conv)|shortcut/conv|layer_scale"
    mbconv = r"pre_norm|depthwise|norm[12]?|project|expand/(conv|norm)|squeeze_excite/(reduce|expand)"
    leaf = r"kernel|bias|scale|relative_position_bias|position_embedding|class_token|class_position"
    stem = r"stem(/conv|/norm|/conv[12](/conv|/norm)?)?"
    pattern = rf"({stem}|{block}/({part}|{mbconv}|attention)|norm|head/(hidden1|logits))/({leaf})"
    assert [name for name in names if not re.fullmatch(pattern, name)] == []
    if not name.startswith("convnext"):
        assert any(name.endswith("block1/attention/query/kernel") for name in names)
