"""A program as textbooks have it: what it calls is written out, and platforms have no ways of their own.

On a CPU a convolution may go by Winograd's tiles, whose gradient is 1e-8 where it should be 0, and a maximum by slices.
Here it is XLA's convolution and XLA's maximum, with XLA's gradients: slower, and exactly zero where nothing is seen.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun

_WRITTEN_OUT = ("jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint", "custom_vjp_call")


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of pytrees of arrays, by textbook operations.

    Gradient rules of `jax.custom_vjp` are not kept: here they are for speed alone. Those of `jax.custom_jvp` are.
    """

    def written_out(*arguments: Any) -> Any:
        leaves, tree = jax.tree.flatten(arguments)
        program, shapes = jax.make_jaxpr(
            lambda *flat: function(*jax.tree.unflatten(tree, flat)), return_shape=True
        )(*leaves)  # fmt: skip
        return jax.tree.unflatten(jax.tree.structure(shapes), _evaluate(program, leaves))

    return written_out


def called_by(equation: JaxprEqn) -> ClosedJaxpr | None:
    """The program that an equation stands for on a platform without ways of its own; None where it is an operation."""
    name, params = equation.primitive.name, equation.params
    if name == "cond" and None in (params.get("branches_platforms") or ()):
        called = params["branches"][params["branches_platforms"].index(None)]
    elif name in _WRITTEN_OUT:
        called = params["call_jaxpr"] if "call_jaxpr" in params else params["jaxpr"]
    else:
        return None
    return ClosedJaxpr(called, ()) if isinstance(called, Jaxpr) else called


def inputs_of(equation: JaxprEqn) -> Sequence[Any]:
    """What the program of `called_by` is given: the number of a platform is not."""
    return equation.invars[1:] if equation.primitive.name == "cond" else equation.invars


def _evaluate(program: ClosedJaxpr, inputs: Sequence[Any]) -> list[Any]:
    jaxpr = program.jaxpr
    known: dict[Var, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*program.consts, *inputs], strict=True))

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    outputs: Sequence[Any]
    for equation in jaxpr.eqns:
        called = called_by(equation)
        if called is not None:
            outputs = _evaluate(called, [value(atom) for atom in inputs_of(equation)])
        elif equation.primitive.name == "platform_index":
            continue  # only a choice between platforms reads it
        else:
            outputs = _operate(jaxpr, equation, value)
        known |= dict(zip(equation.outvars, outputs, strict=True))
    return [value(atom) for atom in jaxpr.outvars]


def _operate(jaxpr: Jaxpr, equation: JaxprEqn, value: Callable[[Any], Any]) -> Sequence[Any]:
    read = [atom for atom in equation.invars if not isinstance(atom, Literal)]
    # Some operations hold programs, which each version of JAX binds in its own way: it knows how.
    alone = jaxpr.replace(constvars=(), invars=read, outvars=list(equation.outvars), eqns=[equation])
    outputs: Sequence[Any] = jaxpr_as_fun(ClosedJaxpr(alone, ()))(*map(value, read))
    return outputs
