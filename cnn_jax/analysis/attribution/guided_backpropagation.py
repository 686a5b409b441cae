"""Guided backpropagation: pictures of edges that hardly depend on what a network has learned; a control, no method."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from cnn_jax.analysis.attribution.saliency import saliency
from cnn_jax.analysis.layers import Apply
from cnn_jax.errors import InputError


def guided_backpropagation(
    apply: Apply, variables: Any, images: Any, targets: Any = None, *, chunk: int | None = None
) -> np.ndarray:
    """The gradient [B, H, W, C] where every ReLU lets through only what is positive (Springenberg et al. 2015).

    It looks sharp, and is nearly the same for a network of random weights (Adebayo et al. 2018; Nie, Zhang & Patel
    2018 prove why): it is here so that a sanity check can be seen to fail. The arguments are those of `saliency`.

    Raises:
      InputError: the network has no ReLU.
    """
    return saliency(_with_guided_relu(apply), variables, images, targets, chunk=chunk)


@functools.lru_cache(maxsize=8)  # a function of its own for each network, so that it is compiled once
def _with_guided_relu(apply: Apply) -> Apply:
    def applied(variables: Any, images: jax.Array) -> jax.Array:
        program = jax.make_jaxpr(apply)(variables, images)
        if not any(_is_relu(equation) for equation in program.jaxpr.eqns):
            raise InputError("this network has no ReLU, which guided backpropagation is about")
        return _evaluate(program, *jax.tree.leaves((variables, images)))

    return applied


def _evaluate(program: core.ClosedJaxpr, *inputs: jax.Array) -> jax.Array:
    """The program's only output, with each ReLU a guided one."""
    values = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    values |= dict(zip(program.jaxpr.invars, inputs, strict=True))

    for equation in program.jaxpr.eqns:
        given = [variable for variable in equation.invars if not isinstance(variable, core.Literal)]
        compute = _guided_relu if _is_relu(equation) else _function_of(program.jaxpr, equation, given)
        outputs = compute(*(values[variable] for variable in given))
        values |= dict(zip(equation.outvars, outputs, strict=True))
    [output] = program.jaxpr.outvars
    return values[output]


def _function_of(program: core.Jaxpr, equation: Any, given: list[Any]) -> Callable[..., Sequence[jax.Array]]:
    alone = program.replace(constvars=[], invars=given, outvars=equation.outvars, eqns=[equation])
    return core.jaxpr_as_fun(core.ClosedJaxpr(alone, ()))


def _is_relu(equation: Any) -> bool:
    """Whether it is `jax.nn.relu`: a function with a derivative of its own, around a compiled one of this name."""
    if equation.primitive.name != "custom_jvp_call":
        return False
    return [inner.params.get("name") for inner in equation.params["call_jaxpr"].eqns] == ["relu"]


@jax.custom_vjp
def _guided_relu(x: jax.Array) -> tuple[jax.Array]:
    return (jnp.maximum(x, 0),)


def _forward(x: jax.Array) -> tuple[tuple[jax.Array], jax.Array]:
    return (jnp.maximum(x, 0),), x


def _backward(x: jax.Array, gradients: tuple[jax.Array]) -> tuple[jax.Array]:
    (gradient,) = gradients
    return (jnp.where((x > 0) & (gradient > 0), gradient, 0),)


_guided_relu.defvjp(_forward, _backward)
