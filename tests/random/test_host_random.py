"""The draws without JAX are those with JAX, to the bit."""

import jax
import numpy as np
import pytest

from cnn_jax.random import host as host_random
from cnn_jax.random.keys import example_keys, stream_key


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
@pytest.mark.parametrize("counters", [(), (0,), (7, 1_000_003)])
def test_keys(seed: int, counters: tuple[int, ...]) -> None:
    expected = jax.random.key_data(stream_key(seed, "augment", *counters))
    np.testing.assert_array_equal(host_random.stream_key(seed, "augment", *counters), expected)


def test_uniform_numbers_of_each_example() -> None:
    index = np.array([0, 5, 123_456, 3], np.int32)
    keys = example_keys(stream_key(3, "augment", 17), index)
    keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, 2)
    expected = jax.vmap(lambda key: jax.random.uniform(key, (10, 4)))(keys)
    host_keys = host_random.fold_in(host_random.fold_in(host_random.stream_key(3, "augment", 17), index), 2)
    np.testing.assert_array_equal(host_random.uniform(host_keys, (10, 4)), expected)


@pytest.mark.parametrize("count", [1, 2, 10, 1797, 100_000])
def test_permutations(count: int) -> None:
    expected = jax.random.permutation(stream_key(5, "shuffle", 2), count)
    np.testing.assert_array_equal(host_random.permutation(host_random.stream_key(5, "shuffle", 2), count), expected)
