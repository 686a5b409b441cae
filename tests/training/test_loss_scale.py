"""Dynamic loss scaling against a loop in Python, and for what it is there."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnn_jax.training.loss_scale import init_loss_scale, update_loss_scale


def scales(finite: list[bool], start: dict[str, Any] | None = None) -> list[tuple[float, int]]:
    def step(loss_scale: Any, one: jax.Array) -> Any:
        after = update_loss_scale(loss_scale, one)
        return after, (after["scale"], after["good_steps"])

    _, (scale, good_steps) = lax.scan(step, start or init_loss_scale(), jnp.array(finite))
    return list(zip(scale.tolist(), good_steps.tolist(), strict=True))


def by_hand(finite: list[bool], scale: float = 2.0**15) -> list[tuple[float, int]]:
    found, good_steps = [], 0
    for one in finite:
        if not one:
            scale, good_steps = max(scale / 2, 1.0), 0
        elif good_steps + 1 == 2000:
            scale, good_steps = min(scale * 2, 2.0**24), 0
        else:
            good_steps += 1
        found.append((scale, good_steps))
    return found


@pytest.mark.parametrize("share", [0.0, 1e-4, 0.01, 0.9])
def test_the_scale_is_that_of_a_loop(share: float) -> None:
    finite = (np.random.default_rng(0).random(30_000) >= share).tolist()
    finite[1998:2001] = [True, share != 0.01, True]  # a bad step in the place of the 2,000th good one
    found = scales(finite)
    assert found == by_hand(finite)
    assert found[-1][0] == {0.0: 2.0**24, 0.9: 1.0}.get(share, found[-1][0])


def test_types_stay_so_that_a_state_keeps_its_program() -> None:
    start = init_loss_scale()
    after = jax.jit(update_loss_scale)(start, jnp.array(True))
    assert jax.tree.map(lambda leaf: (leaf.dtype, leaf.shape), after) == {
        "scale": (jnp.float32, ()), "good_steps": (jnp.int32, ()),
    }  # fmt: skip


def test_a_small_gradient_survives_float16_with_the_scale_and_not_without() -> None:
    def gradient(scale: Any) -> jax.Array:
        return jax.grad(lambda w: (w.astype(jnp.float16) * jnp.float16(1e-4)).astype(jnp.float32) * 1e-4 * scale)(1.0)

    scale = init_loss_scale()["scale"]
    assert gradient(1.0) == 0
    assert float(gradient(scale) / scale) == pytest.approx(1e-8, rel=1e-2)
