"""Lookahead: slow weights that every few steps go a part of the way to the fast ones, which then begin anew there."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class LookaheadState(NamedTuple):
    """Of an optimizer with Lookahead.

    Attributes:
      made: updates made so far.
      slow: weights, like the parameters.
      inner: the state of the optimizer that moves the fast weights.
    """

    made: jax.Array
    slow: Any
    inner: Any


def lookahead(
    optimizer: optax.GradientTransformation, every: int, decay: float, steps: int
) -> optax.GradientTransformation:
    """Zhang et al. 2019 (arXiv 1907.08610, algorithm 1) with the schedule of Jordan 2024 (arXiv 2404.00498).

    After every `every`th of all `steps` updates, t of them made, slow = d * slow + (1 - d) * fast with
    d = decay ** every * (t / steps) ** 3, and fast = slow. So in the beginning nothing is slowed, and in the end the
    weights are an average; after the last update they are the slow ones. The optimizer's momentum stays as it is.
    """

    def init(params: Any) -> LookaheadState:
        # A copy: training reuses the memory of its state.
        slow = jax.tree.map(jnp.array, params)
        return LookaheadState(jnp.zeros((), jnp.int32), slow, optimizer.init(params))

    def update(updates: Any, state: LookaheadState, params: Any = None) -> tuple[Any, LookaheadState]:
        updates, inner = optimizer.update(updates, state.inner, params)
        made = optax.safe_increment(state.made)
        meets = made % every == 0
        kept = jnp.where(meets, decay**every * (made / steps) ** 3, 1.0)
        fast = optax.apply_updates(params, updates)
        slow = jax.tree.map(lambda old, new: (old + (1 - kept) * (new - old)).astype(old.dtype), state.slow, fast)
        back = meets | (made >= steps)
        updates = jax.tree.map(lambda step, to, here: jnp.where(back, to - here, step), updates, slow, params)
        return updates, LookaheadState(made, slow, inner)

    return optax.GradientTransformation(init, update)
