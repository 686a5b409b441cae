"""Numbers of bytes."""

import jax
import jax.numpy as jnp
import pytest

from cnn_jax.runtime.sizes import describe_size, tree_bytes


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 Bytes"), (12_345, "12.3 kB"), (999_999, "1 MB"), (1.5e9, "1.5 GB"), (2.5e12, "2.5 TB"),
     (float("inf"), "too much")],
)  # fmt: skip
def test_describe_size(count: float, text: str) -> None:
    assert describe_size(count) == text


def test_tree_bytes() -> None:
    tree = {"a": jnp.zeros((3, 5)), "b": [jax.ShapeDtypeStruct((2,), jnp.bfloat16)]}
    assert tree_bytes(tree) == 3 * 5 * 4 + 2 * 2
