"""Agreement with PyTorch: layers and losses with their gradients, optimizers over several steps."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax import ops
from cnn_jax.models.layers import BatchNorm
from cnn_jax.optimization.losses import cross_entropy
from cnn_jax.optimization.optimizers import make_optimizer
from tests.support.helpers import optimizer_block
from tests.support.schedules import run_with_torch

TOLERANCE = 1e-5


def nhwc(array: np.ndarray) -> jax.Array:
    return jnp.asarray(array.transpose(0, 2, 3, 1))


def nchw(array: jax.Array) -> np.ndarray:
    return np.asarray(array).transpose(0, 3, 1, 2)


def part(results: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    found = {key.removeprefix(f"{prefix}/"): value for key, value in results.items() if key.startswith(f"{prefix}/")}
    assert found, f"the fixtures hold nothing under {prefix}"
    return found


def assert_close(ours: np.ndarray, theirs: np.ndarray) -> None:
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(ours / scale, theirs / scale, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "name",
    ["k3", "k3_stride2", "k5", "k1_stride2", "k3_crop", "k5_crop_stride2", "k3_extend", "k5_reflect", "k3_wrap",
     "k3_wrap_stride2"],
)  # fmt: skip
def test_convolution(torch_results: dict[str, np.ndarray], name: str) -> None:
    t = part(torch_results, f"conv/{name}")
    edges = next((e for e in ("crop", "extend", "reflect", "wrap") if e in name), "zero")
    stride = 2 if "stride2" in name else 1

    def f(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
        return ops.conv(x, w, (stride, stride), edges) + jnp.broadcast_to(b, (1, 1, 1, b.size))

    y, pull_back = jax.vjp(f, nhwc(t["x"]), jnp.asarray(t["w"].transpose(2, 3, 1, 0)), jnp.asarray(t["b"]))
    dx, dw, db = pull_back(nhwc(t["c"]))
    assert_close(nchw(y), t["y"])
    assert_close(nchw(dx), t["dx"])
    assert_close(np.asarray(dw).transpose(3, 2, 0, 1), t["dw"])
    assert_close(np.asarray(db), t["db"])


def test_batchnorm(torch_results: dict[str, np.ndarray]) -> None:
    t = part(torch_results, "batchnorm")
    params = {"scale": jnp.asarray(t["scale"]), "bias": jnp.asarray(t["bias"])}
    norm = BatchNorm()
    statistics = norm.init(jax.random.key(0), nhwc(t["0/x"]), False)["batch_stats"]
    count = t["0/x"].size // t["0/x"].shape[1]
    for step in range(4):
        s = part(t, str(step))

        def f(
            params: dict[str, jax.Array], x: jax.Array, statistics: dict[str, jax.Array] = statistics
        ) -> tuple[jax.Array, dict[str, jax.Array]]:
            y, updated = norm.apply({"params": params, "batch_stats": statistics}, x, False, mutable=["batch_stats"])
            return y, updated["batch_stats"]

        y, pull_back, statistics = jax.vjp(f, params, nhwc(s["x"]), has_aux=True)
        dparams, dx = pull_back(nhwc(s["c"]))
        assert_close(nchw(y), s["y"])
        assert_close(nchw(dx), s["dx"])
        assert_close(dparams["scale"], s["dscale"])
        assert_close(dparams["bias"], s["dbias"])
        assert_close(statistics["mean"], s["mean"])
        # The start value 1 has decayed to 0.9^n in both; the rest is larger by n / (n - 1) in PyTorch.
        start = 0.9 ** (step + 1)
        assert_close((statistics["var"] - start) * count / (count - 1) + start, s["var"])
    theirs = {"mean": jnp.asarray(s["mean"]), "var": jnp.asarray(s["var"])}
    assert_close(nchw(norm.apply({"params": params, "batch_stats": theirs}, nhwc(t["eval/x"]), True)), t["eval/y"])


@pytest.mark.parametrize("name", ["max_2_2_0", "max_3_2_1", "max_3_1_0", "mean_2_2_0", "mean_3_2_0"])
def test_pooling(torch_results: dict[str, np.ndarray], name: str) -> None:
    t = part(torch_results, f"pool/{name}")
    kind, window, stride, padding = name.split("_")
    sizes = (int(window),) * 2, (int(stride),) * 2

    def f(x: jax.Array) -> jax.Array:
        return ops.max_pool(x, *sizes, (int(padding),) * 2) if kind == "max" else ops.mean_pool(x, *sizes)

    y, pull_back = jax.vjp(f, nhwc(t["x"]))
    assert_close(nchw(y), t["y"])
    assert_close(nchw(pull_back(nhwc(t["c"]))[0]), t["dx"])


@pytest.mark.parametrize("size", [3, 7])
def test_adaptive_pooling(torch_results: dict[str, np.ndarray], size: int) -> None:
    """Of a map of 8x5: windows overlap, and of 5 columns 7 are made."""
    t = part(torch_results, f"adaptive/{size}")
    y, pull_back = jax.vjp(lambda x: ops.adaptive_mean_pool(x, (size, size)), nhwc(t["x"]))
    assert_close(nchw(y), t["y"])
    assert_close(nchw(pull_back(nhwc(t["c"]))[0]), t["dx"])


def test_local_response_norm(torch_results: dict[str, np.ndarray]) -> None:
    """Recorded with five times the alpha, which PyTorch divides by the five channels; the first and last see three."""
    t = part(torch_results, "response_norm")
    assert np.abs(t["y"] * 2**0.75 / t["x"] - 1).max() > 0.1  # the sum, not k alone
    y, pull_back = jax.vjp(ops.local_response_norm, nhwc(t["x"]))
    assert_close(nchw(y), t["y"])
    assert_close(nchw(pull_back(nhwc(t["c"]))[0]), t["dx"])


@pytest.mark.parametrize(
    ("name", "smoothing"), [("hard", 0.0), ("hard_smooth", 0.1), ("soft", 0.0), ("soft_smooth", 0.2)]
)
def test_cross_entropy(torch_results: dict[str, np.ndarray], name: str, smoothing: float) -> None:
    t = part(torch_results, f"loss/{name}")

    def f(logits: jax.Array) -> jax.Array:
        return cross_entropy(logits, jnp.asarray(t["target"]), smoothing)

    losses, pull_back = jax.vjp(f, jnp.asarray(t["logits"]))
    assert_close(losses, t["losses"])
    assert_close(pull_back(jnp.full(losses.shape, 1 / losses.size))[0], t["dlogits"])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("sgd", {"learning_rate": 0.1, "momentum": 0.0}),
        ("sgd_decay", {"learning_rate": 0.1, "momentum": 0.0, "weight_decay": 0.05}),
        ("sgd_momentum_decay", {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
        ("sgd_nesterov_decay", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
        ("adam", {"learning_rate": 0.01}),
        ("adam_decay", {"learning_rate": 0.01, "b1": 0.8, "b2": 0.95, "eps": 1e-6, "weight_decay": 0.05}),
        ("adamw", {"learning_rate": 0.01, "weight_decay": 0.1}),
        ("rmsprop", {"learning_rate": 0.01}),
        ("rmsprop_momentum", {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 0.05}),
        ("adagrad", {"learning_rate": 0.05}),
        ("adadelta", {"learning_rate": 1.0}),
    ],
)
def test_optimizer(torch_results: dict[str, np.ndarray], name: str, arguments: dict[str, float]) -> None:
    kind = name.split("_")[0]
    block = optimizer_block(kind, **arguments)
    optimizer = make_optimizer(block, lambda base: lambda step: base)
    params = jnp.asarray(torch_results["optimizer/start"])
    state = optimizer.init(params)
    for gradient, expected in zip(
        torch_results["optimizer/gradients"], torch_results[f"optimizer/{name}/path"], strict=True
    ):
        updates, state = optimizer.update(jnp.asarray(gradient), state, params)
        params = optax.apply_updates(params, updates)
        assert_close(params, expected)


@pytest.mark.parametrize(("name", "rate"), [("adam", 0.01), ("rmsprop", 0.01), ("adagrad", 0.05), ("adadelta", 1.0)])
def test_small_gradients(torch_results: dict[str, np.ndarray], name: str, rate: float) -> None:
    """Gradients from 1e-3 to 1e-8, where the place of eps decides: each element to 1e-5 of itself."""
    t = part(torch_results, f"small/{name}")
    optimizer = make_optimizer(optimizer_block(name, learning_rate=rate), lambda base: lambda step: base)
    params = jnp.zeros(len(t["gradient"]))
    state = optimizer.init(params)
    for expected in t["path"]:
        updates, state = optimizer.update(jnp.asarray(t["gradient"]), state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(params, expected, rtol=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("sgd_momentum_decay", {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
        ("adamw", {"learning_rate": 0.01, "weight_decay": 0.1}),
    ],
)
def test_rates_by_name_are_parameter_groups(
    torch_results: dict[str, np.ndarray], name: str, arguments: dict[str, Any]
) -> None:
    kind = name.split("_")[0]
    block = optimizer_block(kind, **arguments)
    block["rate_multipliers"] = (("^backbone/", 0.1), ("head", 3.0))
    optimizer = make_optimizer(block, lambda base: lambda step: base, freeze="stem")
    start = jnp.asarray(torch_results["optimizer/start"])
    params: Any = {part: {"kernel": start} for part in ("backbone", "head", "stem")}
    state = optimizer.init(params)
    for gradient, expected in zip(
        torch_results["optimizer/gradients"], torch_results[f"groups/{name}/path"], strict=True
    ):
        gradients = jax.tree.map(lambda _, gradient=gradient: jnp.asarray(gradient), params)
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        for part, theirs in zip(("backbone", "head", "stem"), expected, strict=True):
            assert_close(params[part]["kernel"], theirs)


def test_recorded_results_are_what_torch_computes(torch_results: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Live comparison where torch is installed."""
    path = tmp_path / "torch.npz"
    run_with_torch("make_torch_fixtures.py", path)
    with np.load(path) as live:
        assert live.files == list(torch_results)
        for key in live.files:
            np.testing.assert_allclose(live[key], torch_results[key], rtol=1e-5, atol=1e-5, err_msg=key)
