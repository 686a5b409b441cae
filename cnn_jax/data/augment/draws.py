"""Where the randomness of augmentation comes from: (seed, step, the example's global index), and nothing else."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.random.keys import example_keys, stream_key

# A step that no training reaches: draws that belong to an example for good.
_EVERY_STEP = 2**32 - 1


class Draws(NamedTuple):
    """All that a batch's random changes depend on; traced scalars, and the examples' global indices [B].

    Which other examples are in the batch, in what order and on how many devices makes no difference to them. `axis`
    names the devices inside a program for each of them, which sees a part of the batch.
    """

    seed: Any
    step: Any
    epoch: Any
    index: Any
    axis: str | None = None

    def keys(self, position: int) -> jax.Array:
        """Keys [B] of the operation at this place of the pipeline, new at every step."""
        return fold(example_keys(stream_key(self.seed, "augment", self.step), self.index), position)

    def fixed_keys(self, position: int) -> jax.Array:
        """Keys [B] that stay the same at every step."""
        return fold(example_keys(stream_key(self.seed, "augment", jnp.uint32(_EVERY_STEP)), self.index), position)

    def following(self, rows: jax.Array) -> jax.Array:
        """For each of the rows [B, ...] the next one of the batch."""
        return following(rows, self.axis)


def following(rows: jax.Array, axis: str | None = None) -> jax.Array:
    """For each row [B, ...] the next one of the whole batch; after the last comes the first."""
    if axis is None:
        return jnp.roll(rows, -1, axis=0)
    count = lax.axis_size(axis)
    first_of_next = lax.ppermute(rows[:1], axis, [(i, (i - 1) % count) for i in range(count)])
    return jnp.concatenate([rows[1:], first_of_next])


def fold(keys: jax.Array, number: int) -> jax.Array:
    """Other keys [B] out of keys [B]."""
    return jax.vmap(partial(jax.random.fold_in, data=number))(keys)


def uniform(keys: jax.Array, low: float = 0.0, high: float = 1.0, shape: tuple[int, ...] = ()) -> jax.Array:
    """Evenly drawn from [low, high): float32 [B, *shape]."""
    return jax.vmap(lambda key: jax.random.uniform(key, shape, minval=low, maxval=high))(keys)


def integers(keys: jax.Array, low: int, high: int, shape: tuple[int, ...] = ()) -> jax.Array:
    """Evenly drawn from low, ..., high - 1: int32 [B, *shape]."""
    return jax.vmap(lambda key: jax.random.randint(key, shape, low, high))(keys)


def per_image(values: jax.Array) -> jax.Array:
    """[B] -> [B, 1, 1, 1], to meet images."""
    return values.reshape(-1, 1, 1, 1)
