"""Averages of weights over the ends of epochs: what they are, their BatchNorm statistics, stopping and going on."""

import dataclasses
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.config.tree import override
from cnn_jax.data.feeding.order import epoch_order
from cnn_jax.data.normalize import normalize
from cnn_jax.errors import InputError, Interrupted
from cnn_jax.experiment import epoch_callbacks
from cnn_jax.experiment.ending import describe_end
from cnn_jax.experiment.epoch_callbacks import make_update_averages
from cnn_jax.experiment.fitting import build, fit, initial_state
from cnn_jax.inference.evaluation import assess
from cnn_jax.inference.run import load_run
from cnn_jax.runs.checkpoints import open_checkpoints
from cnn_jax.runs.metrics_file import read_rows
from cnn_jax.training.evaluation import device_get_delayed
from cnn_jax.training.swa import update_average
from tests.support.helpers import read_json, tiny_config
from tests.support.runs import assert_same_run, final_state, signal_at

# A rate and a momentum that do not depend on the length of the run, so that it can be made longer.
SWA: dict[str, Any] = {
    "num_epochs": 3, "swa_start": 2, "schedule__name": "CyclicLR", "checkpoint__keep": 9, "model__filters": (8,),
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with averages from epoch 2 of 3 on, all its checkpoints kept."""
    workdir = tmp_path_factory.mktemp("averaged") / "run"
    fit(tiny_config(**SWA), workdir)
    return workdir


def states(workdir: Path, config: Any) -> list[Any]:
    with open_checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        return [checkpoints.restore(step, initial_state(build(config))) for step in checkpoints.steps()]


def test_entering_is_the_mean() -> None:
    trees = [{"w": np.random.RandomState(i).normal(size=(3, 2)).astype(np.float32)} for i in range(7)]
    mean: Any = jax.tree.map(lambda leaf: leaf + np.float32(np.nan), trees[0])  # what was there before counts nothing
    for count, tree in enumerate(trees):
        mean = update_average(mean, tree, jnp.int32(count))
        if count == 0:
            np.testing.assert_array_equal(mean["w"], tree["w"])
    np.testing.assert_allclose(mean["w"], np.mean([tree["w"] for tree in trees], axis=0), rtol=1e-5, atol=1e-7)


def test_the_average_is_the_mean_of_the_weights_that_epochs_end_with(averaged: Path) -> None:
    _, second, third = states(averaged, tiny_config(**SWA))
    jax.tree.map(np.testing.assert_array_equal, second.ema["params"], second.params)
    mean = jax.tree.map(
        lambda a, b: (a.astype(np.float64) + b) / 2, *(jax.device_get(s.params) for s in (second, third))
    )
    assert_close(third.ema["params"], mean, 1e-6)
    assert not np.allclose(jax.tree.leaves(mean)[-1], jax.tree.leaves(third.params)[-1], rtol=1e-3)


def assert_close(ours: Any, expected: Any, rtol: float) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * 0.1), ours, expected)


def direct_statistics(config: Any, params: Any, epoch: int) -> dict[str, Any]:
    """Of a network whose BatchNorm sees what its first convolution gives: the mean over batches, in NumPy."""
    experiment = build(config)
    train = build(override(config, [("data.loading", "resident")])).splits.train
    kernel = params["block1"]["conv1"]["kernel"]
    means, variances = [], []
    for rows in epoch_order(config.seed, epoch - 1, len(train), config.batch_size):
        images = normalize(jnp.asarray(train.images[rows]), experiment.normalization, jnp.float32)
        dimensions = ("NHWC", "HWIO", "NHWC")
        maps = jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=dimensions)
        for part in np.asarray(maps, np.float64).reshape(-1, config.accumulate_steps, *maps.shape[1:]).swapaxes(0, 1):
            means.append(part.mean(axis=(0, 1, 2)))
            variances.append(part.var(axis=(0, 1, 2)))
    return {"mean": np.mean(means, axis=0), "var": np.mean(variances, axis=0)}


DEVICES: list[dict[str, Any]] = [
    {},
    {"data__loading": "streamed"},
    {"accumulate_steps": 4},
    {"parallel__devices": 4},
    {"parallel__devices": 4, "parallel__strategy": "pmap"},
    {"parallel__devices": 4, "accumulate_steps": 2, "steps_per_call": 3},
]


@pytest.mark.parametrize("changes", DEVICES, ids=str)
def test_statistics_are_the_means_over_the_batches_of_the_epoch(changes: dict[str, Any]) -> None:
    config = tiny_config(swa_start=1, augment=(), model__filters=(8,), **changes)
    experiment = build(config)
    state = initial_state(experiment)
    fetched = []

    def fetch(values: Iterable[Any]) -> Iterator[Any]:
        for value in device_get_delayed(values):
            fetched.append(value)
            yield value

    new = make_update_averages(experiment)(state, 2, fetch)
    assert len(fetched) == (4 if "steps_per_call" in changes else 10)
    expected = direct_statistics(config, state.params, 2)
    assert_close(new.ema["batch_stats"]["block1"]["norm1"], expected, 1e-4)
    other = direct_statistics(config, state.params, 3)
    assert not np.allclose(expected["mean"], other["mean"], rtol=2e-4, atol=0)
    for name in ("params", "batch_stats", "opt_state", "step"):  # nothing else, and nothing is given away
        jax.tree.map(np.testing.assert_array_equal, getattr(new, name), getattr(state, name))


def test_statistics_of_each_device_are_averaged() -> None:
    config = tiny_config(swa_start=1, augment=(), model__filters=(8,), parallel__devices=4)
    parted = override(config, [("parallel.batch_norm", "per_device"), ("parallel.devices", 4)])
    experiment = build(parted)
    state = initial_state(experiment)
    new = make_update_averages(experiment)(state, 1, device_get_delayed)
    expected = direct_statistics(config, state.params, 1)["mean"]
    # The mean of the parts' means is that of the whole; the parts' variances lack what lies between them.
    stats = new.ema["batch_stats"]["block1"]["norm1"]
    np.testing.assert_allclose(stats["mean"], expected, rtol=1e-3, atol=1e-5)
    assert (np.asarray(stats["var"]) < direct_statistics(config, state.params, 1)["var"]).all()


def test_what_is_frozen_keeps_its_statistics() -> None:
    experiment = build(tiny_config(swa_start=1, freeze="block1"))
    state = initial_state(experiment)
    state = dataclasses.replace(state, batch_stats=jax.tree.map(lambda leaf: leaf + 0.25, state.batch_stats))
    stats = make_update_averages(experiment)(state, 1, device_get_delayed).ema["batch_stats"]
    jax.tree.map(np.testing.assert_array_equal, stats["block1"], state.batch_stats["block1"])
    assert not np.allclose(stats["block2"]["norm1"]["var"], state.batch_stats["block2"]["norm1"]["var"])


def test_without_batchnorm_no_pass_is_made() -> None:
    experiment = build(tiny_config(swa_start=1, model__norm="group", model__norm_groups=4))

    def never(values: Iterable[Any]) -> Iterator[Any]:
        raise AssertionError("a batch was looked at")

    state = initial_state(experiment)
    new = make_update_averages(experiment)(state, 1, never)
    assert new.ema["batch_stats"] == {}
    jax.tree.map(np.testing.assert_array_equal, new.ema["params"], state.params)


def test_rows_and_summary_know_them(averaged: Path) -> None:
    rows = read_rows(averaged / "metrics.jsonl")
    assert [row["epoch"] for row in rows if row["split"] == "validation_swa"] == [2, 3]
    assert [row["epoch"] for row in rows if row["split"] == "validation"] == [1, 2, 3]
    summary = read_json(averaged / "summary.json")
    split = {"swa": "validation_swa", "raw": "validation"}[summary["weights"]]
    best = next(row for row in rows if row["epoch"] == summary["best_epoch"] and row["split"] == split)
    assert summary["validation_accuracy"] == best["accuracy"]
    assert best["accuracy"] == max(row["accuracy"] for row in rows if row["split"].startswith("validation"))


def test_without_validation_data_the_average_is_the_result(tmp_path: Path) -> None:
    changes = {"num_epochs": 2, "swa_start": 2, "data__validation": 0.0, "model__filters": (8,)}
    config, workdir = tiny_config(**changes), tmp_path / "run"
    summary = fit(config, workdir)
    assert summary["weights"] == "swa"
    jax.tree.map(np.testing.assert_array_equal, load_run(workdir).variables, final_state(workdir, config).ema)
    assert assess(workdir).figures["accuracy"] == pytest.approx(summary["test_accuracy"])
    assert "these are the averaged weights of epoch 2" in describe_end(summary, config, str(workdir))


def in_the_pass(patch: pytest.MonkeyPatch, call: int) -> None:
    """A signal in the given call of the program that takes statistics."""
    original = epoch_callbacks.make_statistics

    def make(experiment: Any) -> tuple[Callable[..., Any], Any]:
        (program, feed), count = original(experiment), 0

        def counted(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count == call:
                signal.raise_signal(signal.SIGTERM)
            return program(*arguments)

        return counted, feed

    patch.setattr(epoch_callbacks, "make_statistics", make)


def test_stopped_at_the_end_of_an_epoch_it_goes_on_to_the_same_run(
    averaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the pass for statistics, in the evaluation of an average that is not entered yet, and of the last one."""
    config = tiny_config(**SWA)
    stops: list[tuple[Callable[[pytest.MonkeyPatch], None], int]] = [
        (lambda patch: in_the_pass(patch, 4), 20),
        (lambda patch: signal_at(patch, 3, 1), 20),
        (lambda patch: signal_at(patch, 5, 1), 30),
    ]
    for stop, step in stops:
        with monkeypatch.context() as patch:
            stop(patch)
            with pytest.raises(Interrupted, match=f"step {step} of 30"):
                fit(config, tmp_path / "run")
    fit(config, tmp_path / "run")
    assert_same_run(averaged, tmp_path / "run", config)


def test_a_longer_run_goes_on_averaging(averaged: Path, tmp_path: Path) -> None:
    """Equal to a run that was that long from the start."""
    short = tiny_config(**{**SWA, "num_epochs": 2})
    fit(short, tmp_path / "run")
    fit(tiny_config(**SWA), tmp_path / "run")
    assert_same_run(averaged, tmp_path / "run", tiny_config(**SWA))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ema_decay": 0.9}, "swa_start=2: a run keeps one kind of averages; set ema_decay to None"),
        ({"num_epochs": 1}, "swa_start=2: it must be an epoch of the run, and num_epochs=1"),
        ({"swa_start": 0}, "swa_start=0: it must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        tiny_config(**{**SWA, **changes})
