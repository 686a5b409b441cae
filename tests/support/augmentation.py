"""Images, keys and draws for tests of augmentation, and programs that are compiled in a hurry."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.augment.draws import Draws
from cnn_jax.data.augment.pipeline import make_augment
from cnn_jax.random.keys import example_keys, stream_key
from tests.support.helpers import QUICK


def random_images(count: int, height: int = 9, width: int = 7, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), np.uint8)


@functools.cache
def keys(count: int) -> jax.Array:
    return quick(lambda index: example_keys(stream_key(0, "augment", 0), index), np.arange(count))


def quick(function: Any, *arguments: Any) -> Any:
    """The function's result, compiled in a hurry; what is no array is part of the program."""
    static = [i for i, value in enumerate(arguments) if isinstance(value, int | float | str | tuple)]
    return jax.jit(function, static_argnums=static, compiler_options=QUICK)(*arguments)


def make_draws(index: Any, step: int = 5, epoch: int = 0, seed: int = 3) -> Draws:
    return Draws(jnp.uint32(seed), jnp.int32(step), jnp.int32(epoch), jnp.asarray(index))


@functools.cache
def program(pairs: tuple[tuple[str, Any], ...], shape: tuple[int, int, int] = (9, 7, 3), edges: str = "zero") -> Any:
    return jax.jit(make_augment(pairs, shape, 4, edges), compiler_options=QUICK)


def augment(pairs: Any, images: np.ndarray, draws: Draws, edges: str = "zero") -> tuple[np.ndarray, np.ndarray]:
    labels = np.asarray(draws.index) % 4
    result = program(tuple(pairs), images.shape[1:], edges)(jnp.asarray(images), jnp.asarray(labels), draws)
    return np.asarray(result[0]), np.asarray(result[1])
