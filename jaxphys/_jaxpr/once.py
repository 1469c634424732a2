"""A function that is called again and again while something is traced, traced once.

A step of Runge and Kutta calls its vector field four times, a train step its network
six. Where the field is a Lagrangian's, with two derivatives in it, tracing it takes
longer than compiling what comes of it.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax

__all__ = ["replayed", "traced_once"]


def traced_once(function: Callable) -> Callable:
    """The same function, traced at its first call with arguments of their types.

    Later ones repeat what it did, operation by operation. Arguments that are known, in
    part or all of them, go to the function as they are.

    Args:
      function: of pytrees. It is to live no longer than the trace around it, as what it
        closes over belongs to that.

    Example:
      >>> calls = []
      >>> double = traced_once(lambda x: calls.append(x) or 2 * x)
      >>> print(jax.jit(lambda x: double(double(x)))(3.0), len(calls))
      12.0 1
    """
    found: list[tuple[Any, Callable]] = []

    @functools.wraps(function)
    def once(*args: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)
        if not all(isinstance(x, jax.core.Tracer) for x in leaves):
            return function(*args)
        # Products are as precise as where they were traced.
        precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
        asked = (tree, [jax.typeof(x) for x in leaves], precision)
        for kinds, again in found:
            if kinds == asked:
                return again(*args)
        again = replayed(*jax.make_jaxpr(function, return_shape=True)(*args))
        found.append((asked, again))
        return again(*args)

    return once


def replayed(closed: Any, shape: Any) -> Callable:
    """What was traced, as a function of the pytrees that it was traced with.

    Args:
      closed: what `jax.make_jaxpr` gives.
      shape: what it gives beside it with `return_shape`.

    Example:
      >>> traced = jax.make_jaxpr(lambda x: {"y": 2 * x}, return_shape=True)(1.0)
      >>> print(replayed(*traced)(3.0)["y"])
      6.0
    """
    tree = jax.tree.structure(shape)

    def again(*args: Any) -> Any:
        leaves = jax.tree.leaves(args)
        outputs = jax.core.eval_jaxpr(closed.jaxpr, closed.consts, *leaves)
        return jax.tree.unflatten(tree, outputs)

    return again
