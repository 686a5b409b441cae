"""Convolution, normalisation, activation and pooling in one: the same numbers in a faster order."""

import re
from collections.abc import Callable, Iterable
from functools import partial

import flax.linen as nn
import jax

from cnn_jax.models.activations import MONOTONE, Activation
from cnn_jax.models.layers import BatchNorm, Conv, Pool


def conv_norm_act(
    x: jax.Array,
    conv: Conv,
    norm: nn.Module | None = None,
    act: Activation | None = None,
    pool: Pool | None = None,
    *,
    train: bool,
    pool_before_norm: bool = False,
) -> jax.Array:
    """pool(act(norm(conv(x)))), or act(norm(pool(conv(x)))) with `pool_before_norm`; parts that are None are left out.

    [B, H, W, in] -> [B, H', W', features]. It computes the same faster: a maximum moves forward as far as that changes
    nothing, and leaves less to do for what is behind it. With `compute.in_order` it does not, and the activation is a
    module of its own: `act1` behind `conv1`.

    Args:
      conv, norm, pool: bound modules, whose names are the caller's affair; norm is of `make_norm`.
      train: whether BatchNorm takes the statistics of the batch.
    """

    def normalize(y: jax.Array) -> jax.Array:
        return norm(y, use_running_average=not train) if isinstance(norm, BatchNorm) else norm(y)  # type: ignore[misc]

    if conv.compute.in_order:
        named = [] if act is None else [_Activation(act, name=_name_of_act(conv))]
        pools = [] if pool is None else [pool]
        norms = [] if norm is None else [normalize]
        return _apply([*pools, *norms, *named] if pool_before_norm else [*norms, *named, *pools], conv(x))
    steps = [conv.add_bias, *([] if norm is None else [normalize]), *([] if act is None else [act])]
    if pool is None:
        return _apply(steps[1:], conv(x))
    y = conv(x, before=pool)
    place = 1 if pool_before_norm else len(steps)
    ahead, behind = steps[:place], steps[place:]
    if pool.kind == "max":
        if ahead[-1] in MONOTONE:  # max(f(a), f(b)) = f(max(a, b)) where f does not fall
            behind.insert(0, ahead.pop())
        if len(ahead) == 1:  # max(a + c, b + c) = max(a, b) + c
            behind.insert(0, ahead.pop())
        elif isinstance(norm, BatchNorm) and train and ahead[-1] is normalize and _fuses(norm, pool, y):
            # One operation takes half the time of the two.
            ahead[-1] = partial(norm, use_running_average=False, window=(pool.window, pool.window))
            return _apply([*ahead, *behind], y)
    return _apply([*ahead, pool, *behind], y)


def _apply(steps: Iterable[Callable[[jax.Array], jax.Array]], x: jax.Array) -> jax.Array:
    for step in steps:
        x = step(x)
    return x


def _fuses(norm: BatchNorm, pool: Pool, x: jax.Array) -> bool:
    return not norm.is_frozen and pool.is_tiling and min(x.shape[1:3]) >= pool.window


class _Activation(nn.Module):
    """An activation as a module, so that what it gives out has a name."""

    function: Activation

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.function(x)


def _name_of_act(conv: Conv) -> str:
    """`act1` of `conv1`, and `stem_act` of `stem`."""
    name = conv.name or "conv"
    return re.sub("conv", "act", name) if "conv" in name else f"{name}_act"
