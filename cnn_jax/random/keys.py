"""Named streams of random keys, each a pure function of (seed, stream, counters).

No key is ever stored or split along the way: whoever knows the seed, the step and the index of an example
knows its randomness. That is what makes a resumed run, or one on another number of devices, draw the same.
"""

import jax

from cnn_jax.random.streams import STREAMS


def stream_key(seed: int | jax.Array, stream: str, *counters: int | jax.Array) -> jax.Array:
    """The key of `stream` at `counters` (an epoch, or a step); the seed and the counters may be traced."""
    key = jax.random.fold_in(jax.random.key(seed), STREAMS[stream])
    for counter in counters:
        key = jax.random.fold_in(key, counter)
    return key


def example_keys(key: jax.Array, index: jax.Array) -> jax.Array:
    """One key per example, from the examples' global indices [B]; where in the batch they stand does not matter."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, index)
