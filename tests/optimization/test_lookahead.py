"""Lookahead against a written-out version, and through a run that is stopped."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.config.keys import OPTIMIZERS
from cnn_jax.config.tree import default_config, override
from cnn_jax.experiment.fitting import fit
from cnn_jax.inference.run import load_run
from cnn_jax.optimization.optimizers import make_optimizer
from cnn_jax.runs.checkpoints import Checkpoints
from tests.support.helpers import tiny_config


def by_hand(w: np.ndarray, gradients: list[np.ndarray], every: int, decay: float) -> list[np.ndarray]:
    """The loop of airbench: SGD with Nesterov's momentum 0.85 and rate 0.1; the weights after each step."""
    slow, momentum, seen = w.copy(), np.zeros_like(w), []
    for t, gradient in enumerate(gradients, 1):
        momentum = 0.85 * momentum + gradient
        w = w - 0.1 * (gradient + 0.85 * momentum)
        if t % every == 0:
            share = decay**every * (t / len(gradients)) ** 3
            slow = share * slow + (1 - share) * w
            w = slow
        if t == len(gradients):
            w = slow
        seen.append(w)
    return seen


@pytest.mark.parametrize("steps", [10, 12])  # the slow weights move in the last step, or two steps before
def test_lookahead_is_airbenchs(steps: int) -> None:
    draw = np.random.default_rng(0)
    start, gradients = draw.standard_normal(5), list(draw.standard_normal((steps, 5)))
    arguments = {key: entry.default for key, entry in OPTIMIZERS["sgd"].items()} | {
        "name": "sgd", "momentum": 0.85, "nesterov": True, "lookahead_steps": 5
    }  # fmt: skip
    optimizer = make_optimizer(arguments, lambda base: lambda step: base, freeze="still", steps=steps)
    w = {"moved": jnp.asarray(start, jnp.float32), "still": jnp.ones(2)}
    state, update = optimizer.init(w), jax.jit(optimizer.update)
    for gradient, expected in zip(gradients, by_hand(start, gradients, 5, 0.95), strict=True):
        updates, state = update({"moved": jnp.asarray(gradient, jnp.float32), "still": jnp.ones(2)}, state, w)
        w = optax.apply_updates(w, updates)
        np.testing.assert_allclose(w["moved"], expected, atol=1e-5)
        np.testing.assert_array_equal(w["still"], 1)


def config(**changes: Any) -> Any:
    fresh = override(tiny_config(), [("num_epochs", 2), ("model.filters", (4,))])
    sgd = default_config(model="cnn", optimizer="sgd", schedule="constant")
    fresh.optimizer, fresh.schedule = sgd.optimizer, sgd.schedule
    fresh.optimizer.lookahead_steps = 3
    return override(fresh, [(key.replace("__", "."), value) for key, value in changes.items()])


def test_a_run_that_is_stopped_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit(config(), tmp_path / "whole")

    save = Checkpoints.save

    def save_and_stop(self: Any, *arguments: Any, **named: Any) -> Any:
        save(self, *arguments, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            fit(config(), tmp_path / "parts")
    again = fit(config(), tmp_path / "parts")
    assert again["test_loss"] == whole["test_loss"]
    ours, theirs = (load_run(tmp_path / name).variables for name in ("whole", "parts"))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    plain = fit(config(optimizer__lookahead_steps=0), tmp_path / "plain")
    assert plain["test_loss"] != whole["test_loss"]
