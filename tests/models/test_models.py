"""Every model in the table, and every choice of the configurable one."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.config.model_keys import ACTIVATIONS, INITIALIZATIONS, MODELS
from cnn_jax.config.tree import default_config, validate
from cnn_jax.errors import InputError
from cnn_jax.models import make_model, make_table
from cnn_jax.models.cnn import CNN
from cnn_jax.models.initializers import INITIALIZERS, bias_initializer
from cnn_jax.models.layers import make_norm
from cnn_jax.models.lenet import LeNet5
from cnn_jax.models.resnet import ResNet, ResNet18
from cnn_jax.models.setting import Setting
from cnn_jax.models.speednet import SpeedNet

# Half the compile time; what is computed stays the same.
QUICK = {
    "xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True, "xla_cpu_use_fusion_emitters": False
}  # fmt: skip
EMBEDDING = {
    "linear": 3072,
    "mlp": 256,
    "lenet5": 120,
    "cnn": 4096,
    "resnet18": 512,
    "resnet34": 512,
    "resnet50": 2048,
    "speednet": 256,
}


@pytest.mark.parametrize(
    ("name", "shape", "classes", "parameters"),
    [
        ("lenet5", (28, 28, 1), 10, 61_706),
        ("resnet18", (224, 224, 3), 1000, 11_689_512),
        ("resnet34", (224, 224, 3), 1000, 21_797_672),
        ("resnet50", (224, 224, 3), 1000, 25_557_032),
        (
            "speednet",
            (32, 32, 3),
            10,
            1_971_352 + 2 * 2 * 3 * 24,
        ),  # Jordan 2024; its kernel of the first layer is frozen
        ("linear", (28, 28, 1), 10, 7_850),
        ("mlp", (28, 28, 1), 10, 784 * 512 + 512 + 512 * 256 + 256 + 256 * 10 + 10),
    ],
)
def test_published_parameter_counts(name: str, shape: tuple[int, int, int], classes: int, parameters: int) -> None:
    assert make_table(make_model(default_config(name).model, classes), shape).parameters == parameters


@pytest.mark.parametrize(("name", "billions"), [("resnet18", 1.814), ("resnet34", 3.664), ("resnet50", 4.089)])
def test_published_multiply_adds(name: str, billions: float) -> None:
    """torchvision's model pages: 1.81, 3.66 and 4.09 billion."""
    table = make_table(make_model(default_config(name).model, 1000), (224, 224, 3))
    assert table.multiply_adds / 1e9 == pytest.approx(billions, abs=0.001)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", MODELS)
def test_every_model(name: str, precision: str) -> None:
    block = default_config(name).model
    if name.startswith("resnet"):
        block.small_images = True
        block.zero_init_residual = False  # else the first gradient of what is before the zeros is zero
    model = make_model(block, 7, precision)
    images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))

    def run(model: Any, images: jax.Array) -> tuple[jax.Array, ...]:
        variables = model.init(jax.random.key(1), images)

        def loss(params: object) -> tuple[jax.Array, jax.Array]:
            logits, _ = model.apply(
                {**variables, "params": params}, images, train=True, mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(2)},
            )  # fmt: skip
            return (logits * jnp.arange(7).reshape(1, 7)).sum(), logits

        gradients, logits = jax.grad(loss, has_aux=True)(variables["params"])
        features = model.apply(variables, images, method="embed")
        return variables, gradients, logits, features, model.apply(variables, images)

    variables, _, logits, features, evaluated = jax.eval_shape(partial(run, model), images)
    assert logits.shape == evaluated.shape == (2, 7)
    assert logits.dtype == evaluated.dtype == features.dtype == jnp.float32
    assert features.shape == (2, EMBEDDING[name])
    assert set(variables) <= {"params", "batch_stats"}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}

    if name.startswith("resnet") and precision == "bfloat16":
        return  # test_precision.py computes a small one in it
    # Stages repeat their second block: few of them tell as much, and compile in a fraction of the time.
    shallow = model.clone(blocks=(2, 1, 1, 1)) if name.startswith("resnet") else model
    _, gradients, *outputs = jax.jit(partial(run, shallow), compiler_options=QUICK)(images[:, :16, :16])
    assert all(bool(jnp.isfinite(output).all()) for output in outputs)
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert float(jnp.abs(gradient).max()) > 0, f"no gradient for {jax.tree_util.keystr(path)}"
        assert bool(jnp.isfinite(gradient).all())


def test_bfloat16_computes_in_bfloat16() -> None:
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    exact, half = CNN(filters=(4,)), CNN(filters=(4,), setting=Setting(jnp.bfloat16))
    variables = exact.init(jax.random.key(1), images)
    assert jax.eval_shape(lambda: half.apply(variables, images, capture_intermediates=True)[1])["intermediates"][
        "block1"]["conv1"]["__call__"][0].dtype == jnp.bfloat16  # fmt: skip
    difference = jnp.abs(exact.apply(variables, images) - half.apply(variables, images)).max()
    assert 0 < difference < 0.1


def outputs(**choices: object) -> tuple[int, ...]:
    """The shape of the maps behind two blocks for 12x12 images."""
    table = make_table(CNN(filters=(8, 16), hidden=(), **choices), (12, 12, 3))  # type: ignore[arg-type]
    return [layer.output_shape for layer in table.layers if layer.name.startswith("block2")][-1]


@pytest.mark.parametrize(
    ("choices", "shape"),
    [
        ({}, (3, 3, 16)),
        ({"edges": "crop"}, (1, 1, 16)),
        ({"stem": (4, (5, 5), 2)}, (1, 1, 16)),
        ({"stem": (4, (4, 2), 4), "pooling": "none"}, (3, 3, 16)),
        ({"edges": "extend"}, (3, 3, 16)),
        ({"edges": "reflect"}, (3, 3, 16)),
        ({"edges": "wrap"}, (3, 3, 16)),
        ({"pooling": "none"}, (12, 12, 16)),
        ({"pool_last": False}, (6, 6, 16)),
        ({"pooling": "none", "stride": 2}, (3, 3, 16)),
        ({"pooling": "none", "stride": 2, "convs_per_block": 2}, (3, 3, 16)),
        ({"pooling": "mean", "pool_window": 3, "pool_stride": 2}, (2, 2, 16)),
        ({"kernel_size": (5, 3), "edges": "crop"}, (1, 1, 16)),
    ],
)
def test_shapes_of_the_configurable_network(choices: dict[str, object], shape: tuple[int, ...]) -> None:
    if choices.get("kernel_size") == (5, 3):
        with pytest.raises(ValueError, match="block2/conv1: a 5x3 kernel does not fit into a map of 4x5"):
            outputs(**choices)
    else:
        assert outputs(**choices) == shape


def test_a_stem_is_a_convolution_like_those_of_blocks_before_them() -> None:
    """Two networks with the same weights: block1 of the one is the stem of the other."""
    blocks = CNN(filters=(4, 8), kernel_size=(3, 3), edges="crop", pooling="none", hidden=())
    stem = CNN(filters=(8,), stem=(4, (3, 3), 1), edges="crop", pooling="none", hidden=())
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    theirs = blocks.init(jax.random.key(1), images)
    ours = {
        kind: {"stem_norm": tree["block1"]["norm1"], "block1": tree["block2"]}
        | ({"stem": tree["block1"]["conv1"], "head": tree["head"]} if kind == "params" else {})
        for kind, tree in theirs.items()
    }
    for train in (False, True):
        kept = ["batch_stats"] if train else False
        expected, got = (
            jax.tree.leaves(model.apply(tree, images, train=train, mutable=kept))
            for model, tree in ((blocks, theirs), (stem, ours))
        )
        np.testing.assert_array_equal(got[0], expected[0])
    too_small = CNN(stem=(4, (5, 5), 2))
    with pytest.raises(ValueError, match="stem: a 5x5 kernel does not fit into a map of 4x4"):
        jax.eval_shape(lambda: too_small.init(jax.random.key(0), images[:, :4, :4]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("norm", "pooling", "neck"), [("group", "mean", "global_mean"), ("layer", "none", "global_max")]
)
def test_choices_of_the_configurable_network(activation: str, norm: str, pooling: str, neck: str) -> None:
    model = CNN(
        filters=(8, 8), norm=norm, pooling=pooling, neck=neck, activation=activation, convs_per_block=2, hidden=(5, 5)
    )
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    variables = model.init(jax.random.key(1), images)
    assert model.apply(variables, images, method="embed").shape == (2, 8)
    assert bool(jnp.isfinite(model.apply(variables, images)).all())
    assert set(variables["params"]["block2"]) == {"conv1", "norm1", "conv2", "norm2"}
    assert set(variables["params"]["head"]) == {"hidden1", "hidden2", "logits"}


def test_layer_norm_is_over_the_whole_image_and_group_norm_over_groups() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 8)).astype(np.float32) * 3 + 1
    for kind, groups in (("layer", 1), ("group", 4)):
        module = make_norm(kind, True, Setting(), 4)
        ours = module.apply(module.init(jax.random.key(0), x), x)
        parts = x.reshape(2, 12, groups, 8 // groups)
        mean, var = parts.mean((1, 3), keepdims=True), parts.var((1, 3), keepdims=True)
        np.testing.assert_allclose(ours, ((parts - mean) / np.sqrt(var + 1e-5)).reshape(x.shape), atol=1e-5)


@pytest.mark.parametrize(
    ("freeze", "still"),
    [("norm", True), ("block1/norm1/(scale|bias)", True), ("scale", False), ("norm2|conv", False), (None, False)],
)
def test_a_batch_norm_whose_scale_and_bias_are_frozen_keeps_its_statistics(freeze: str | None, still: bool) -> None:
    model = CNN(3, Setting(freeze=freeze), filters=(4,), hidden=())
    images = 3 + jax.random.normal(jax.random.key(0), (4, 6, 6, 1))
    variables = jax.jit(model.init)(jax.random.key(1), images)
    run = jax.jit(
        lambda images, train: model.apply(variables, images, train, mutable=["batch_stats"]), static_argnums=1
    )
    trained, updated = run(images, True)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, updated["batch_stats"], variables["batch_stats"])) == still
    assert np.allclose(trained, run(images, False)[0], atol=1e-6) == still


@pytest.mark.parametrize("axis", ["data", None])
def test_an_axis_joins_the_statistics_of_the_devices(axis: str | None) -> None:
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 4, 5)) * jnp.array([1.0, 3.0]).reshape(2, 1, 1, 1, 1)
    norm = make_norm("batch", True, Setting(axis=axis))
    variables = norm.init(jax.random.key(1), x[0])

    def apply(x: jax.Array) -> Any:
        return norm.apply(variables, x, mutable=["batch_stats"])

    parts, updated = jax.vmap(apply, axis_name="data")(x)
    whole, expected = make_norm("batch", True, Setting()).apply(
        variables, x.reshape(6, 4, 4, 5), mutable=["batch_stats"]
    )
    close = np.allclose(parts.reshape(whole.shape), whole, atol=1e-5)
    assert close == (axis is not None)
    same = jax.tree.map(lambda ours, other: np.allclose(ours, jnp.stack([other, other]), atol=1e-6), updated, expected)
    assert jax.tree.all(same) == (axis is not None)


def test_dropout_acts_in_training_only() -> None:
    model = CNN(filters=(4,), dropout=0.5)
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    variables = model.init(jax.random.key(1), images)

    def train(key: int) -> jax.Array:
        rngs = {"dropout": jax.random.key(key)}
        return model.apply(variables, images, train=True, rngs=rngs, mutable=["batch_stats"])[0]

    assert not jnp.array_equal(train(0), train(1))
    assert jnp.array_equal(train(0), train(0))
    assert jnp.array_equal(model.apply(variables, images), model.apply(variables, images))


def test_names_that_a_person_can_guess() -> None:
    variables = jax.eval_shape(lambda: ResNet18(small_images=True).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3))))
    names = ["/".join(key.key for key in path) for path, _ in jax.tree_util.tree_leaves_with_path(variables["params"])]
    assert "stage1/block2/conv1/conv/kernel" in names
    assert "stage2/block1/shortcut/norm/scale" in names
    pattern = r"(stem|head/logits|stage[1-4]/block[12]/(conv[12]|shortcut))(/(conv|norm))?/(kernel|scale|bias)"
    assert all(re.fullmatch(pattern, name) for name in names)


def staged(name: str, remat: str) -> Any:
    setting = Setting(jnp.float64, remat=remat)
    if name == "cnn":
        return CNN(3, setting, filters=(4, 8), convs_per_block=2, hidden=())
    return ResNet(3, setting, blocks=(2, 1), small_images=True)


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_computing_stages_again_changes_what_is_kept_and_nothing_else(name: str) -> None:
    with jax.enable_x64(True):
        images = jax.random.normal(jax.random.key(0), (4, 8, 8, 1), jnp.float64)

        def trained(remat: str) -> tuple[Any, int]:
            """Variables, gradients and new statistics; and how many values of maps wait for the way back."""
            model = staged(name, remat)

            def loss(params: Any, variables: Any) -> tuple[jax.Array, Any]:
                variables = {**variables, "params": params}
                logits, updated = model.apply(variables, images, train=True, mutable=["batch_stats"])
                return (logits**2).sum(), updated

            def run() -> Any:
                variables = model.init(jax.random.key(1), images)
                return variables, jax.grad(loss, has_aux=True)(variables["params"], variables)

            def back() -> Any:
                variables = model.init(jax.random.key(1), images)
                return jax.vjp(partial(loss, variables=variables), variables["params"], has_aux=True)[1]

            waiting = jax.tree.leaves(jax.eval_shape(back))
            maps = [leaf.size for leaf in waiting if leaf.ndim == 4 and leaf.shape[0] == len(images)]
            return jax.jit(run, compiler_options=QUICK)(), sum(maps)

        (plain, all_kept), (again, kept) = trained("none"), trained("stage")
        assert jax.tree.structure(plain) == jax.tree.structure(again)
        for ours, other in zip(jax.tree.leaves(again), jax.tree.leaves(plain), strict=True):
            np.testing.assert_allclose(ours, other, rtol=1e-12, atol=1e-12)
        assert 0 < kept < 0.25 * all_kept
        assert make_table(staged(name, "stage"), (8, 8, 1)) == make_table(staged(name, "none"), (8, 8, 1))


@pytest.mark.parametrize("name", MODELS)
def test_only_models_with_stages_take_remat(name: str) -> None:
    config = default_config(name)
    config.remat = "stage"
    if name in ("linear", "mlp", "lenet5"):
        with pytest.raises(InputError, match=f"config.remat='stage': the model '{name}' has no stages"):
            validate(config)
    else:
        table = make_table(make_model(validate(config).model, 10, remat="stage"), (32, 32, 3))
        assert any(name in str(table) for name in ("stage1/block1/conv1/conv", "block1/conv1", "group1/conv1"))


@pytest.mark.parametrize("choices", [{}, {"activation": "relu", "pooling": "max"}])
def test_the_table_counts_by_hand(choices: dict[str, str]) -> None:
    table = make_table(LeNet5(**choices), (28, 28, 1))
    by_name = {layer.name: layer for layer in table.layers}
    assert list(by_name) == ["conv1", "pool1", "conv2", "pool2", "dense", "head/hidden1", "head/logits"]
    assert by_name["conv2"].output_shape == (10, 10, 16)
    assert by_name["conv1"].multiply_adds == 28 * 28 * 6 * 25
    assert by_name["conv2"].multiply_adds == 10 * 10 * 16 * 6 * 25
    assert by_name["pool2"].output_shape == (5, 5, 16)
    assert by_name["dense"].kernel_shape == (400, 120)
    assert table.multiply_adds == sum(layer.multiply_adds for layer in table.layers)
    text = str(table)
    assert "61,706" in text
    assert all(layer.name in text for layer in table.layers)


def test_the_table_counts_convolutions_that_pool_on_the_way() -> None:
    table = make_table(SpeedNet(filters=(32, 64, 128)), (28, 28, 1))
    group1, group2, group3 = (
        27**2 * 8 * 32 + 13**2 * 32 * 32,
        (13**2 + 6**2 * 2) * 32 * 64,
        (6**2 + 3**2 * 2) * 64 * 128,
    )
    assert table.multiply_adds == 27**2 * 4 * 8 + 9 * (group1 + group2 + group3) + 128 * 10


@pytest.mark.parametrize("name", ["lenet5", "cnn"])
def test_an_image_that_is_too_small_is_said_with_the_layer(name: str) -> None:
    with pytest.raises(ValueError, match=r"(block2/pool|conv2): "):
        make_table(make_model(default_config(name).model, 10), (3, 3, 1))


@pytest.mark.parametrize("name", [name for name in INITIALIZATIONS if name != "dirac"])
def test_initialization_has_the_published_spread(name: str) -> None:
    shape = (3, 3, 64, 128)
    fan_in, fan_out = 9 * 64, 9 * 128
    deviation = {
        "he": np.sqrt(2 / fan_in), "glorot": np.sqrt(2 / (fan_in + fan_out)), "lecun": np.sqrt(1 / fan_in),
        "truncated": 0.02 * 0.8796, "torch": np.sqrt(1 / (3 * fan_in)),
    }.get(name.split("_")[0])  # fmt: skip
    weights = np.asarray(INITIALIZERS[name](jax.random.key(0), shape, jnp.float32))
    if deviation is None:
        matrix = weights.reshape(-1, 128)
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(128), atol=1e-4)
        return
    assert weights.std() == pytest.approx(deviation, rel=0.02)
    if name.endswith("uniform") or name == "torch":
        assert np.abs(weights).max() <= deviation * np.sqrt(3) * 1.0001
    elif name.endswith("_normal") and name != "truncated_normal":
        assert np.abs(weights).max() > 3 * deviation  # not truncated
    else:
        assert np.abs(weights).max() <= 2 * 0.02 + 1e-6


def test_torch_initialization_draws_biases() -> None:
    bias = np.asarray(bias_initializer("torch", 100)(jax.random.key(0), (10_000,)))
    assert np.abs(bias).max() <= 0.1
    assert bias.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.03)
    assert not np.asarray(bias_initializer("he_normal", 100)(jax.random.key(0), (10,))).any()
