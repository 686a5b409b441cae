"""One step function on one device or eight, under jit or pmap, one step a call or several: the same training."""

import functools
import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.config.tree import override
from cnn_jax.data.feeding.loader import resident_loader
from cnn_jax.data.feeding.order import epoch_order
from cnn_jax.errors import InputError
from cnn_jax.experiment.compile import compile_training, make_training
from cnn_jax.experiment.fitting import build, initial_state
from cnn_jax.models import make_model
from cnn_jax.optimization.losses import cross_entropy
from cnn_jax.runtime.devices import check_batch, choose_devices
from cnn_jax.training.state import TrainState, init_state, update_ema
from cnn_jax.training.step import Batch, StepOptions, make_train_step
from tests.support.helpers import tiny_config

STEPS = 20
# Of float64, as the suite compiles: exponentials have 8 digits (conftest.py). Other images, or another order of them,
# move weights by 1e-4 and more.
ROUNDING = 1e-6
# These move pixels and do not compute with them: float32 arithmetic differs from program to program by its last digits.
EXACT = (("flip", 0.5), ("translate", 1), ("cutout", 3))
MIXING = (("rotate", 10.0), ("mixup", 0.3))
ONE, EIGHT = {"parallel.devices": 1}, {"parallel.devices": 8}
PMAP, SCAN = {"parallel.strategy": "pmap"}, {"steps_per_call": 4}


@pytest.fixture
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


@functools.cache
def trained(steps: int, *changes: tuple[str, Any]) -> dict[str, np.ndarray]:
    """The model's arrays by name after so many steps of two convolutions with BatchNorm, of batches of 64 digits."""
    config = tiny_config(batch_size=64, model__dropout=0, model__filters=(4, 8), augment=EXACT)
    experiment = build(override(config, changes))
    train, feed = make_training(experiment)
    state = initial_state(experiment)
    with feed(0, steps) as works:
        for work, _ in works:
            state, sums = train(state, work)
            assert not np.asarray(sums["nonfinite"]).any()
    leaves = jax.tree_util.tree_leaves_with_path(state.variables)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def after(steps: int, *settings: dict[str, Any]) -> dict[str, np.ndarray]:
    changes: dict[str, Any] = {}
    for setting in settings:
        changes |= setting
    return trained(steps, *changes.items())


def distance(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> float:
    """The largest distance of two arrays of one name, relative to the norm."""
    assert first.keys() == second.keys()
    return max(float(np.linalg.norm(first[k] - second[k]) / np.linalg.norm(first[k])) for k in first)


DOUBLE = {"precision": "float64"}
WAYS = {
    "eight devices": (EIGHT,),
    "pmap": (EIGHT, PMAP),
    "scan": (ONE, SCAN),
    "scan on eight devices": (EIGHT, SCAN),
    "scan under pmap": (EIGHT, PMAP, SCAN),
    "streamed": (EIGHT, {"data.loading": "streamed"}),
    "streamed under pmap": (EIGHT, PMAP, {"data.loading": "streamed"}),
    "pmap of one device": (ONE, PMAP),
}


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("way", WAYS)
def test_twenty_steps_in_float64(way: str) -> None:
    one = after(STEPS, DOUBLE, ONE)
    assert all(array.dtype == np.float64 for array in one.values())
    assert distance(one, after(STEPS, DOUBLE, *WAYS[way])) <= ROUNDING


@pytest.mark.parametrize("way", ["eight devices", "pmap", "scan"])
def test_one_step_in_float32(way: str) -> None:
    mixing = {"augment": MIXING}
    one = after(1, ONE, mixing)
    assert all(array.dtype == np.float32 for array in one.values())
    assert distance(one, after(1, mixing, *WAYS[way])) <= 1e-5
    assert distance(one, after(1, ONE)) > 1e-3


@pytest.mark.usefixtures("float64")
def test_balanced_sampling_draws_the_same_on_eight_devices() -> None:
    balanced = {"data.sampling": "balanced"}
    one = after(2, DOUBLE, ONE, balanced)
    assert distance(one, after(2, DOUBLE, EIGHT, balanced)) <= ROUNDING
    assert distance(one, after(2, DOUBLE, EIGHT, PMAP, balanced)) <= ROUNDING


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("strategy", ["jit", "pmap"])
def test_per_device_batch_norm_is_the_mean_of_what_each_device_does_alone(strategy: str) -> None:
    """With plain SGD an update is linear in the gradient, so eight devices' is the mean of their own."""
    config = tiny_config(
        batch_size=64, model__dropout=0, augment=(), precision="float64", optimizer__name="sgd",
        optimizer__momentum=0, parallel__devices=8, parallel__batch_norm="per_device", parallel__strategy=strategy,
    )  # fmt: skip
    experiment = build(config)
    train, feed = make_training(experiment)
    with feed(0, 1) as works:
        together, _ = train(initial_state(experiment), next(works)[0])
    single = build(override(config, [("batch_size", 8), ("parallel.devices", 1), ("parallel.strategy", "jit")]))
    row = epoch_order(config.seed, 0, len(experiment.splits.train), 64)[0]
    step = jax.jit(make_steps_of(single))
    alone = []
    for part in np.split(row, 8):
        images, labels = experiment.splits.train.read(part), experiment.splits.train.labels[part]
        batch = {"image": images, "label": labels, "index": part, "mask": np.ones(8, bool)}
        alone.append(step(initial_state(single), batch, np.uint32(0))[0].variables)
    mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *alone)
    for one, other in zip(jax.tree.leaves(mean), jax.tree.leaves(together.variables), strict=True):
        np.testing.assert_allclose(one, other, rtol=ROUNDING, atol=1e-9)
    whole = after(1, DOUBLE, ONE, {"augment": (), "optimizer.name": "sgd", "optimizer.momentum": 0})
    assert distance(whole, after(1, DOUBLE, EIGHT, {"augment": (), "optimizer.name": "sgd", "optimizer.momentum": 0,
                                                    "parallel.batch_norm": "per_device"})) > 1e-4  # fmt: skip


def make_steps_of(experiment: Any) -> Any:
    from cnn_jax.experiment.compile import make_steps

    return make_steps(experiment)[0]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("devices", "strategy"), [(1, "jit"), (8, "jit"), (8, "pmap")])
def test_accumulation_is_one_large_batch(devices: int, strategy: str) -> None:
    """Four parts of 64 are a batch of 256 where nothing looks at the batch as a whole."""
    shared = {**DOUBLE, "model.norm": "none", "batch_size": 256}
    whole = after(3, ONE, shared)
    parts = after(3, shared, {"accumulate_steps": 4, "parallel.devices": devices, "parallel.strategy": strategy})
    assert distance(whole, parts) <= ROUNDING
    assert distance(whole, after(2, ONE, shared)) > 1e-4


def test_accumulation_updates_batch_norm_part_by_part() -> None:
    """The running mean of the first normalisation after one step, by hand: each part moves it by a tenth."""
    config = tiny_config(batch_size=128, augment=(), model__dropout=0, accumulate_steps=2)
    experiment = build(config)
    train, feed = make_training(experiment)
    start = initial_state(experiment)
    kernel = np.asarray(start.params["block1"]["conv1"]["kernel"])
    row = epoch_order(config.seed, 0, len(experiment.splits.train), 128)[0]
    mean = np.zeros(kernel.shape[-1])
    for part in (row[0::2], row[1::2]):
        images = experiment.splits.train.read(part) / 255.0
        pixels = (images - experiment.normalization.mean[0]) / experiment.normalization.std[0]
        maps = jax.lax.conv_general_dilated(
            jnp.float32(pixels), kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        mean = 0.9 * mean + 0.1 * np.asarray(maps).mean(axis=(0, 1, 2))
    with feed(0, 1) as works:
        state, _ = train(start, next(works)[0])
    np.testing.assert_allclose(state.batch_stats["block1"]["norm1"]["mean"], mean, atol=1e-5)


@pytest.mark.parametrize("strategy", ["jit", "pmap"])
def test_images_go_where_they_are_needed_and_nowhere_else(strategy: str) -> None:
    """No device gathers what others hold; of a batch only the examples and their partners in mixing move."""
    config = tiny_config(parallel__devices=8, parallel__strategy=strategy, accumulate_steps=2, augment=MIXING)
    text = compile_training(build(config), 1)[0].as_text()
    found = set(re.findall(r" (all-gather|all-to-all|reduce-scatter|all-reduce|collective-permute)\(", text))
    assert found == {"reduce-scatter", "all-reduce", "collective-permute"}


def test_calls_of_several_steps_end_with_the_epoch() -> None:
    labels, devices = np.zeros(110, np.int32), choose_devices(count=1)
    with resident_loader(labels, 0, 10, False, 4, devices, 0, 33) as works:
        assert [count for _, count in works] == [4, 4, 3] * 3
    with resident_loader(labels, 0, 10, False, 4, devices, 6, 22) as works:  # goes on within a call
        assert [count for _, count in works] == [2, 3, 4, 4, 3]


@pytest.mark.parametrize(
    ("size", "parts", "most", "advice"),
    [(100, 8, 1000, "choose 96 or 104"), (5, 8, 1000, "choose 8"), (100, 8, 100, "choose 96"), (5, 8, 7, "fewer of")],
)
def test_batches_that_cannot_be_shared(size: int, parts: int, most: int, advice: str) -> None:
    check_batch("batch_size", parts, parts, "8 devices", most)
    with pytest.raises(InputError, match=rf"config\.batch_size={size}: 8 devices cannot share it evenly; .*{advice}"):
        check_batch("batch_size", size, parts, "8 devices", most)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parallel__devices": 8, "batch_size": 100}, "8 devices cannot share it evenly; choose 96 or 104"),
        ({"parallel__devices": 4, "accumulate_steps": 3, "batch_size": 32}, "4 devices with 3 parts each .*24 or 36"),
        ({"parallel__devices": 9}, r"parallel\.devices=9: there are only 8 \(cpu\)"),
        ({"data__loading": "streamed", "steps_per_call": 3}, r"steps_per_call=3: several steps"),
    ],
)
def test_what_devices_cannot_do_is_said(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        build(tiny_config(**changes))


# The other options of a step, on a network of one layer.


def step_with(preprocess: Any, **options: Any) -> tuple[Any, TrainState]:
    model = make_model({"name": "linear", "initialization": "lecun_normal"}, 3)
    optimizer = optax.sgd(0.1, 0.9)
    state = init_state(model, optimizer, (2, 2, 1), 0, with_averages="ema_decay" in options)
    return jax.jit(make_train_step(model, optimizer, cross_entropy, preprocess, StepOptions(**options))), state


def batch() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (6, 2, 2, 1), np.uint8), np.arange(6, dtype=np.int32) % 3
    return {"image": images, "label": labels, "index": np.arange(6), "mask": np.ones(6, bool)}


def broken_at(*steps: int) -> Any:
    """Pixels, of which those of some steps are infinite."""

    def preprocess(batch: Batch, seed: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        bad = jnp.isin(step, jnp.array(steps, jnp.int32))
        return batch["image"].astype(jnp.float32) / 255 + jnp.where(bad, jnp.inf, 0.0), batch["label"]

    return preprocess


def run(step: Any, state: TrainState, count: int) -> tuple[list[TrainState], list[dict[str, float]]]:
    states, sums = [state], []
    for _ in range(count):
        state, figures = step(states[-1], batch(), np.uint32(0))
        states.append(state)
        sums.append({name: float(value) for name, value in figures.items()})
    return states, sums


def test_a_step_that_is_not_finite_is_skipped() -> None:
    states, sums = run(*step_with(broken_at(1, 2), skip_nonfinite=True, ema_decay=0.9), 4)
    assert [figures["nonfinite"] for figures in sums] == [0, 1, 1, 0]
    assert [figures["count"] for figures in sums] == [6, 0, 0, 6]
    assert [figures["steps"] for figures in sums] == [1, 0, 0, 1]
    assert [figures["gradient_norm"] > 0 for figures in sums] == [True, False, False, True]
    assert [int(state.step) for state in states] == [0, 1, 2, 3, 4]
    for name in ("params", "opt_state", "ema"):
        for one, other in zip(*(jax.tree.leaves(getattr(state, name)) for state in states[1:4:2]), strict=True):
            np.testing.assert_array_equal(one, other)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(states[-1].params))
    assert not np.array_equal(states[3].params["head"]["logits"]["bias"], states[4].params["head"]["logits"]["bias"])


def test_without_skipping_it_is_counted_and_goes_through() -> None:
    states, sums = run(*step_with(broken_at(1)), 2)
    assert [figures["nonfinite"] for figures in sums] == [0, 1]
    assert not np.isfinite(states[2].params["head"]["logits"]["kernel"]).all()


def test_averages_follow_their_formula() -> None:
    states, _ = run(*step_with(broken_at(), ema_decay=0.5), 12)
    kernels = [np.asarray(state.params["head"]["logits"]["kernel"], np.float64) for state in states]
    average = kernels[0]
    for t, kernel in enumerate(kernels[1:]):
        decay = min(0.5, (1 + t) / (10 + t))
        average = decay * average + (1 - decay) * kernel
        np.testing.assert_allclose(states[t + 1].ema["params"]["head"]["logits"]["kernel"], average, rtol=1e-5)
    assert states[-1].averaged is not None


def test_averages_hold_batch_statistics_too() -> None:
    ema = {"params": {}, "batch_stats": {"mean": jnp.zeros(2)}}
    after = update_ema(ema, {"params": {}, "batch_stats": {"mean": jnp.ones(2)}}, 0.99, jnp.int32(10**6))
    np.testing.assert_allclose(after["batch_stats"]["mean"], 0.01, rtol=1e-4)
