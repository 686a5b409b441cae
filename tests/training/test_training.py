"""The pure steps and exact evaluation."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.data.feeding.batches import padded_batches
from cnn_jax.data.feeding.device_dataset import gather_batch, put_on_device
from cnn_jax.data.normalize import Normalization
from cnn_jax.data.splits import Examples
from cnn_jax.experiment.compile import make_steps
from cnn_jax.experiment.fitting import Experiment, build, initial_state
from cnn_jax.inference.metrics import softmax
from cnn_jax.inference.run import make_apply
from cnn_jax.models.mlp import MLP, Linear
from cnn_jax.optimization.losses import cross_entropy
from cnn_jax.runtime.devices import choose_devices
from cnn_jax.training.evaluation import device_get_delayed, evaluate
from cnn_jax.training.metrics import finalize
from cnn_jax.training.parallel import compile_eval_step, compile_resident_step
from cnn_jax.training.state import TrainState, init_state
from cnn_jax.training.step import Batch, make_eval_step, make_train_step
from tests.support.helpers import tiny_config

ONE = choose_devices(count=1)
UNIT = Normalization("unit", (0.0,), (1.0,))


def pixels(batch: Batch, seed: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Images in [0, 1], with the labels as they are."""
    return batch["image"].astype(jnp.float32) / 255, batch["label"]


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return build(tiny_config())


def examples(count: int, classes: int = 10) -> Examples:
    random = np.random.default_rng(0)
    return Examples(
        random.integers(0, 256, (count, 8, 8, 1), np.uint8), random.integers(0, classes, count).astype(np.int32)
    )


def test_evaluation_is_exact_for_any_batch_size_and_compiles_once(experiment: Experiment) -> None:
    """Three splits of different sizes, one program per batch size, one figure for all."""
    state = initial_state(experiment)
    traces = 0
    apply = make_apply(experiment.model, experiment.normalization)

    def counting(variables: object, images: jax.Array) -> jax.Array:
        nonlocal traces
        traces += 1
        return apply(variables, images)

    held_out = examples(137)
    logits = np.asarray(jax.jit(apply)(state.variables, held_out.images))
    probabilities = softmax(logits)
    exact = {
        "accuracy": (logits.argmax(1) == held_out.labels).mean(),
        "loss": -np.log(probabilities[np.arange(137), held_out.labels]).mean(),
    }
    for batch_size in (1, 10, 64, 137, 500):
        traces = 0
        program = compile_eval_step(make_eval_step(counting), ONE)
        for count in (137, 1, 64):
            part = Examples(held_out.images[:count], held_out.labels[:count])
            figures = evaluate(program, state.variables, part, batch_size)
            if count == 137:
                assert figures["accuracy"] == exact["accuracy"]
                assert figures["loss"] == pytest.approx(exact["loss"], abs=1e-6)
        assert traces == 1
        assert program._cache_size() == 1  # type: ignore[attr-defined]


def resident_step(experiment: Experiment) -> Any:
    return compile_resident_step(make_steps(experiment)[0], ONE)


def test_training_compiles_once(experiment: Experiment) -> None:
    train = resident_step(experiment)
    state, resident = initial_state(experiment), put_on_device(experiment.splits.train, ONE)
    order = jnp.arange(experiment.steps_per_epoch * 128, dtype=jnp.int32).reshape(-1, 128)
    for seed in (0, 0, 1):
        state, _ = train(state, resident, order, jnp.uint32(seed))
    assert train._cache_size() == 1
    assert int(state.step) == 3


def test_the_gradient_step_is_the_closed_form() -> None:
    """Softmax regression: dL/dW = x (p - y)^T / B, by hand in NumPy."""
    batch = examples(16, classes=3)
    model = Linear(num_classes=3)
    step = make_train_step(model, optax.sgd(0.5), cross_entropy, pixels)
    state = init_state(model, optax.sgd(0.5), (8, 8, 1), 0)
    pieces = gather_batch(put_on_device(batch, ONE), jnp.arange(16))
    new, sums = step(state, pieces, jnp.uint32(0))
    x = batch.images.reshape(16, 64) / 255.0
    kernel = np.asarray(state.params["head"]["logits"]["kernel"], np.float64)
    probabilities = softmax(x @ kernel)
    error = probabilities - np.eye(3)[batch.labels]
    np.testing.assert_allclose(new.params["head"]["logits"]["kernel"], kernel - 0.5 * x.T @ error / 16, atol=1e-6)
    np.testing.assert_allclose(new.params["head"]["logits"]["bias"], -0.5 * error.mean(0), atol=1e-6)
    assert float(sums["loss"]) == pytest.approx(-np.log(probabilities[np.arange(16), batch.labels]).sum(), rel=1e-5)
    norm = np.sqrt(np.square(x.T @ error / 16).sum() + np.square(error.mean(0)).sum())
    assert float(sums["gradient_norm"]) == pytest.approx(norm, rel=1e-5)


def test_masked_examples_have_no_part_in_an_update() -> None:
    model = MLP(num_classes=3, hidden=(4,))
    step = jax.jit(make_train_step(model, optax.sgd(0.5), cross_entropy, pixels))
    state = init_state(model, optax.sgd(0.5), (8, 8, 1), 0)
    batch = gather_batch(put_on_device(examples(6, classes=3), ONE), jnp.arange(6))
    whole, _ = step(state, batch, 0)
    twice_more = jnp.array([0, 1, 2, 3, 4, 5, 0, 0])
    padded, sums = step(state, {k: v[twice_more] for k, v in batch.items()} | {"mask": jnp.arange(8) < 6}, 0)
    for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(padded.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)
    assert float(sums["count"]) == 6


def test_a_step_is_a_function_of_its_arguments(experiment: Experiment) -> None:
    train = resident_step(experiment)
    resident = put_on_device(experiment.splits.train, ONE)
    order = jnp.arange(experiment.steps_per_epoch * 128, dtype=jnp.int32).reshape(-1, 128)

    def after(seed: int) -> TrainState:
        state, _ = train(initial_state(experiment), resident, order, jnp.uint32(seed))
        return state

    first, again, other = after(0), after(0), after(1)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, first, again))
    assert not jax.tree.all(jax.tree.map(jnp.array_equal, first.params, other.params))


def test_sums_are_added_in_order_and_divided_once() -> None:
    held_out = examples(10, classes=3)
    counts = [int(batch["mask"].sum()) for batch in padded_batches(held_out, 4)]
    assert counts == [4, 4, 2]
    seen = np.concatenate([batch["label"][batch["mask"]] for batch in padded_batches(held_out, 4)])
    assert np.array_equal(seen, held_out.labels)
    assert finalize({"count": 10.0, "loss": 5.0, "correct": 7.0}) == {"loss": 0.5, "accuracy": 0.7}
    assert finalize({"count": 10.0, "gradient_norm": 6.0, "steps": 4.0}) == {"gradient_norm": 1.5}


def test_device_get_delayed_keeps_order() -> None:
    asked: list[int] = []

    def source() -> object:
        for i in range(6):
            asked.append(i)
            yield i

    received = []
    for value in device_get_delayed(source(), delay=2):  # type: ignore[arg-type]
        received.append(value)
        assert len(asked) - len(received) <= 2
    assert received == list(range(6))


def test_per_image_normalization_reaches_the_model() -> None:
    model = Linear(num_classes=2)
    variables = model.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    images = examples(3).images
    brighter = (images // 2 + 100).astype(np.uint8)
    per_image = make_apply(model, Normalization("per_image", (0.0,), (1.0,)))
    plain = make_apply(model, UNIT)
    np.testing.assert_allclose(per_image(variables, images), per_image(variables, brighter), atol=0.02)
    assert np.abs(plain(variables, images) - plain(variables, brighter)).max() > 0.05


def test_data_programs_do_not_hold_the_data_as_constants() -> None:
    """A closed-over array would be folded into the program, at the price of minutes of compiling."""
    model = Linear(num_classes=10)
    step = make_train_step(model, optax.sgd(0.1), cross_entropy, pixels)
    resident = put_on_device(examples(2000), ONE)
    order = jnp.zeros((1, 4), jnp.int32)
    state = init_state(model, optax.sgd(0.1), (8, 8, 1), 0)
    lowered = compile_resident_step(step, ONE).lower(state, resident, order, jnp.uint32(0))  # type: ignore[attr-defined]
    assert len(lowered.as_text()) < 100_000


def test_smoothing_is_for_training_only(experiment: Experiment) -> None:
    smooth = partial(cross_entropy, label_smoothing=0.5)
    model = Linear(num_classes=10)
    step = make_train_step(model, optax.sgd(0.1), smooth, pixels)
    state = init_state(model, optax.sgd(0.1), (8, 8, 1), 0)
    batch = gather_batch(put_on_device(examples(12), ONE), jnp.arange(12))
    _, sums = step(state, batch, 0)
    plain = make_eval_step(make_apply(model, UNIT))(state.variables, batch)
    assert float(sums["loss"]) != pytest.approx(float(plain["loss"]), rel=1e-3)
