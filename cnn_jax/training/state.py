"""Everything that training changes."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from cnn_jax.random.keys import stream_key


@struct.dataclass
class TrainState:
    """What a step takes and gives; pytrees of arrays.

    Attributes:
      step: counts the steps made so far.
      ema: averages of {"params", "batch_stats"}, over steps or (SWA) over the ends of epochs; {} where none are taken.
      loss_scale: {"scale", "good_steps"} of float16; {} in other precisions.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    ema: Any = struct.field(default_factory=dict)
    loss_scale: Any = struct.field(default_factory=dict)

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    @property
    def averaged(self) -> dict[str, Any] | None:
        """The averaged variables, where they are taken."""
        return self.ema or None


def init_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    image_shape: tuple[int, int, int],
    seed: jax.Array | int,
    *,
    with_averages: bool = False,
    loss_scale: Any = None,
    given: Mapping[str, Any] | None = None,
) -> TrainState:
    """The state before the first step, a function of the seed; fit for `jit` and `eval_shape`.

    `given` holds parameters that are not drawn, nested as in "params".
    """
    variables = model.init(stream_key(seed, "init"), jnp.zeros((1, *image_shape), jnp.float32))
    params, batch_stats = _with(variables["params"], given or {}), variables.get("batch_stats", {})
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.init(params),
        ema={"params": params, "batch_stats": batch_stats} if with_averages else {},
        loss_scale=loss_scale or {},
    )


def _with(params: Any, given: Mapping[str, Any]) -> Any:
    """The parameters with those of `given` in their places and types."""
    if not isinstance(given, Mapping):
        return jnp.asarray(given, params.dtype)
    return {name: _with(part, given[name]) if name in given else part for name, part in params.items()}


def update_ema(ema: Any, variables: Any, decay: float, step: jax.Array) -> Any:
    """decay * average + (1 - decay) * newest, with a smaller decay in the beginning.

    After t steps the decay is at most (1 + t) / (10 + t), so that the arbitrary first values are soon forgotten (as in
    TensorFlow's ExponentialMovingAverage with num_updates). The running statistics of BatchNorm are averaged with the
    parameters: averaged parameters want theirs.
    """
    t = step.astype(jnp.float32)
    share = 1 - jnp.minimum(decay, (1 + t) / (10 + t))
    return jax.tree.map(
        lambda average, newest: average + share.astype(average.dtype) * (newest - average), ema, variables
    )
