"""Walking through a jaxpr: what is to be entered, and how an equation is run again.

`optim.layers`, `curvature` and `scalars` each read a traced function equation by
equation. Which inner jaxprs they enter is theirs to say; how is here.
"""

from collections.abc import Collection
from typing import Any

CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}

#: Calls that change nothing but how the function is compiled.
COMPILED = ("jit", "pjit", "closed_call", "core_call")

#: Those and the ones that change when values are kept.
PLAIN = (*COMPILED, "remat", "remat2", "checkpoint")


def inner(eqn: Any, names: Collection[str] = tuple(CALLS)) -> tuple[Any, Any] | None:
    """The jaxpr and the constants of a call by one of these names; None for others.

    Example:
      >>> import jax
      >>> traced = jax.make_jaxpr(jax.jit(lambda x: x + 1))(1.0)
      >>> jaxpr, consts = inner(traced.jaxpr.eqns[0])
      >>> [eqn.primitive.name for eqn in jaxpr.eqns]
      ['add']
    """
    name = eqn.primitive.name
    found = eqn.params.get(CALLS.get(name, "")) if name in names else None
    if found is None:
        return None
    return getattr(found, "jaxpr", found), getattr(found, "consts", [])


def bind(eqn: Any, values: Collection[Any]) -> list:
    """The equation's outputs for these inputs, in its own context."""
    with eqn.ctx.manager:
        result = eqn.primitive.bind(
            *values, **eqn.primitive.get_bind_params(eqn.params)
        )
    return list(result) if eqn.primitive.multiple_results else [result]
