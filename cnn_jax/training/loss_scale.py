"""Dynamic loss scaling: keeps the gradients of float16 away from zero and from infinity.

The loss is multiplied by the scale before differentiation and the gradients divided by it after (Micikevicius et al.
2018, "Mixed precision training", section 3.2). A step whose gradients are not finite halves the scale and is left out;
2,000 good steps in a row double it, as in PyTorch's GradScaler and NVIDIA's Apex. They begin at 2**16; we begin one
lower, as Keras does, and end at Apex's 2**24. Powers of two cost no digit.
"""

import jax
import jax.numpy as jnp

LossScale = dict[str, jax.Array]

_FIRST, _LEAST, _MOST = 2.0**15, 1.0, 2.0**24
_GOOD_STEPS = 2000


def init_loss_scale() -> LossScale:
    """{"scale": float32, "good_steps": int32}, scalars; the latter are those since the scale was last changed."""
    return {"scale": jnp.float32(_FIRST), "good_steps": jnp.int32(0)}


def update_loss_scale(loss_scale: LossScale, finite: jax.Array) -> LossScale:
    """After a step; `finite`: bool, whether the loss and all gradients were."""
    scale, good_steps = loss_scale["scale"], loss_scale["good_steps"] + 1
    grow = good_steps >= _GOOD_STEPS
    grown = jnp.where(grow, jnp.minimum(scale * 2, _MOST), scale)
    return {
        "scale": jnp.where(finite, grown, jnp.maximum(scale / 2, _LEAST)),
        "good_steps": jnp.where(finite & ~grow, good_steps, 0),
    }
