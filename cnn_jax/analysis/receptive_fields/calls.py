"""What a program calls: on a CPU a convolution may go by tiles and a maximum by slices; here all goes XLA's own way."""

from collections.abc import Sequence
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

_CALLS = (
    "jit",
    "pjit",
    "closed_call",
    "core_call",
    "remat",
    "remat2",
    "checkpoint",
    "custom_vjp_call",
    "custom_jvp_call",
)


def called_by(equation: JaxprEqn) -> ClosedJaxpr | None:
    """The program that an equation stands for on a platform without ways of its own; None where it is an operation."""
    name, params = equation.primitive.name, equation.params
    if name == "cond" and None in (params.get("branches_platforms") or ()):
        called = params["branches"][params["branches_platforms"].index(None)]
    elif name in _CALLS:
        called = params["call_jaxpr"] if "call_jaxpr" in params else params["jaxpr"]
    else:
        return None
    return ClosedJaxpr(called, ()) if isinstance(called, Jaxpr) else called


def inputs_of(equation: JaxprEqn) -> Sequence[Any]:
    """What the program of `called_by` is given: the number of a platform is not."""
    return equation.invars[1:] if equation.primitive.name == "cond" else equation.invars
