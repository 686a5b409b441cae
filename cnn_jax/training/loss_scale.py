"""Loss scaling."""

from typing import Any

import jax
import jax.numpy as jnp


def init_loss_scale() -> dict[str, jax.Array]:
    return {"scale": jnp.float32(2**15), "good_steps": jnp.int32(0)}


def update_loss_scale(loss_scale: Any, finite: jax.Array) -> dict[str, jax.Array]:
    good = jnp.where(finite, loss_scale["good_steps"] + 1, 0)
    scale = jnp.where(finite, loss_scale["scale"], jnp.maximum(loss_scale["scale"] / 2, 1))
    grow = good >= 2000
    return {
        "scale": jnp.where(grow, jnp.minimum(scale * 2, 2.0**24), scale),
        "good_steps": jnp.where(grow, 0, good).astype(jnp.int32),
    }
