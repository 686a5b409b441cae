"""What measures must itself be right."""

import functools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from benchmarks import augment, contestants, data, plain_flax, steps, timing
from benchmarks.contestant import make_config
from cnn_jax.config.keys import AUGMENTATIONS
from cnn_jax.errors import InputError
from cnn_jax.experiment.costs import measure_costs
from cnn_jax.experiment.setup import build
from cnn_jax.models import make_model
from tests.support.helpers import ROOT, script

TINY = """
import sys
sys.path.insert(0, {root!r})
from tests.support.helpers import tiny_config
def get_config():
    few = dict(data__source="synthetic", data__examples=64, batch_size=16)
    return tiny_config(model__name="linear", augment={augment}, **few)
"""


def test_interleaved_times_are_medians_of_every_call() -> None:
    calls: list[str] = []
    times = timing.interleaved({name: functools.partial(calls.append, name) for name in ("a", "b")}, rounds=3)
    assert calls == ["a", "b"] * 4  # the first round is for compiling
    assert set(times) == {"a", "b"}
    assert all(value > 0 for value in times.values())
    table = {"title": "times", "columns": ["name", "ms"], "rows": [["long name", 1.23456], ["b", 12.0]]}
    assert timing.as_text(table).splitlines() == [
        "times",
        "  name         ms",
        "  long name  1.23",
        "  b            12",
    ]


def test_the_benchmark_of_augmentation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usual = {name: AUGMENTATIONS[name] for name in ("flip", "translate")}
    monkeypatch.setattr(augment, "AUGMENTATIONS", usual)
    monkeypatch.setattr(augment, "SHAPES", ((2, 8, 8, 1),))
    monkeypatch.setattr(augment, "_LEAST_STEP_SECONDS", 0.0)
    for name, pipeline in (("plain", ()), ("shifted", (("translate", 2),))):
        (tmp_path / f"{name}.py").write_text(TINY.format(root=str(ROOT), augment=pipeline))
    configs = [str(tmp_path / f"{name}.py") for name in ("plain", "shifted")]
    operations, shares = augment.measure_augment(timing.Settings(configs, 1, None))
    assert [row[0] for row in operations["rows"]] == ["flip", "translate", "nothing"]
    assert [row[:2] for row in shares["rows"]] == [["shifted", "translate"]]
    _, _, with_it, without, share = shares["rows"][0]
    assert share == pytest.approx(1 - without / with_it)


@pytest.mark.slow
def test_the_benchmark_of_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(data, "_BATCHES", 2)
    monkeypatch.setattr(data, "_WARM_BATCHES", 1)
    monkeypatch.setattr(data, "_BATCH_SIZE", 4)
    for i in range(3):
        Image.new("RGB", (60, 50), (i, 2 * i, 3 * i)).save(tmp_path / f"{i}.jpg")
    (tmp_path / "not.png").write_bytes(b"x")
    decoders, streams = data.measure_data(timing.Settings([], 1, str(tmp_path)))
    assert decoders["title"] == "decoding 3 photographs to 224x224"
    assert len(decoders["rows"]) == 3
    assert [row[0] for row in streams["rows"]] == ["bare loop", "threads", "processes"]
    bare = streams["rows"][0][1]
    for row in streams["rows"][1:]:
        assert row[2] == pytest.approx(row[1] / bare)
        assert row[3] > 20


def test_an_unknown_benchmark_is_said() -> None:
    result = script("benchmark.py", "--only=nothing")
    assert result.returncode == 2
    assert "there is no such benchmark; there are augment" in result.stderr


@pytest.mark.parametrize("network", contestants.SIZES)
def test_the_networks_that_are_compared_are_the_same(network: str) -> None:
    batch, shape = contestants.SIZES[network]
    ours = make_model(make_config(network, batch, shape).model, 10)
    theirs, images = plain_flax.NETWORKS[network](), jax.random.normal(jax.random.key(0), (2, *shape))
    own, other = (
        jax.eval_shape(lambda: model.init(jax.random.key(1), images, train=False))  # noqa: B023
        for model in (ours, theirs)
    )
    assert jax.tree.map(jnp.shape, own["params"]) == jax.tree.map(jnp.shape, other["params"])
    if not network.startswith("resnet"):  # which would take a while to compile
        variables = ours.init(jax.random.key(1), images)
        apply = functools.partial(theirs.apply, train=True, mutable=["batch_stats"])
        expected, _ = ours.apply(variables, images, train=True, mutable=["batch_stats"])
        np.testing.assert_allclose(apply(variables, images)[0], expected, rtol=1e-4, atol=1e-4)


def test_the_benchmark_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    size = (8, (28, 28, 1))
    monkeypatch.setattr(steps, "SIZES", {"lenet5": size})
    monkeypatch.setattr(steps, "_SECONDS", 0.02)
    (table,) = steps.measure_steps(timing.Settings([], 2))
    assert [row[1] for row in table["rows"]] == ["cnn_jax", "flax"]
    assert table["rows"][0][5] == 1.0
    for row in table["rows"]:
        assert row[4] == pytest.approx(8 / row[2] * 1e3)
    assert [row[7] for row in table["rows"]] == [
        round(measure_costs(build(make_config("lenet5", *size))).peak / 1e6),
        "",
    ]
    assert all(
        50 < row[6] < 5000 for row in table["rows"]
    )  # JAX itself takes so much, and no machine of tests has more


def test_a_contestant_that_cannot_run_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"--torch_python=.*none: it cannot be run"),
        contestants.contestants("lenet5", (28, 28, 1), ["train:8"], str(tmp_path / "none")),
    ):
        pass
    broken = contestants.Contestant("torch", [sys.executable, "-c", "raise SystemExit('no torch here')"])
    with pytest.raises(InputError, match="torch failed: no torch here"):
        broken.wait()
    broken.close()
    with pytest.raises(InputError, match="cnn is not the same network everywhere"):
        contestants.check_same("cnn", {"cnn_jax": {"parameters": 5}, "flax": {"parameters": 6}})
