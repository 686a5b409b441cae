"""Everything that training changes."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from cnn_jax.random import stream_key


@struct.dataclass
class TrainState:
    """`step` counts the updates made so far; params, batch_stats and opt_state are pytrees of arrays."""

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def init_state(
    model: nn.Module, optimizer: optax.GradientTransformation, image_shape: tuple[int, int, int], seed: jax.Array | int
) -> TrainState:
    """The state before the first step, a function of the seed; fit for `jit` and `eval_shape`."""
    variables = model.init(stream_key(seed, "init"), jnp.zeros((1, *image_shape), jnp.float32))
    params = variables["params"]
    return TrainState(jnp.zeros((), jnp.int32), params, variables.get("batch_stats", {}), optimizer.init(params))
