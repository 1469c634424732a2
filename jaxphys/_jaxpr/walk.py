"""Walking through a jaxpr: running its equations in order, entering its calls.

`layers`, `curvature` and `scalars` each run a traced function on values of their own
kind. What they do with an equation is theirs to say; the walk is here.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from jaxphys._jaxpr.primitives import Kind, of

CALLS = of(Kind.COMPILED | Kind.KEPT | Kind.RULED)

#: Calls whose derivatives are those of the function they call.
PLAIN = of(Kind.COMPILED | Kind.KEPT)

COMPILED = of(Kind.COMPILED)

_EXACT = "jaxphys_exact_rule"


def run(jaxpr: Any, consts: Any, inputs: list, lift: Callable, apply: Callable) -> list:
    """Run a jaxpr on values of the caller's kind.

    Args:
      jaxpr: an open jaxpr.
      consts: the values of its constants, arrays.
      inputs: its inputs, of the caller's kind.
      lift: `lift(array, aval)` makes a constant or a literal one of the caller's kind.
      apply: `apply(eqn, values)` gives an equation's outputs.

    Example:
      >>> traced = jax.make_jaxpr(lambda x: 2 * x + 1)(1.0)
      >>> run(traced.jaxpr, traced.consts, [5.0], lambda x, aval: float(x),
      ...     lambda eqn, values: [float(x) for x in bind(eqn, values)])
      [11.0]
    """
    environment: dict = {}

    def read(atom: Any) -> Any:
        if isinstance(atom, core.Literal):
            return lift(atom.val, atom.aval)
        return environment[atom]

    for var, const in zip(jaxpr.constvars, consts, strict=True):
        environment[var] = lift(const, var.aval)
    environment.update(zip(jaxpr.invars, inputs, strict=True))
    for eqn in jaxpr.eqns:
        results = apply(eqn, [read(atom) for atom in eqn.invars])
        environment.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def inner(eqn: Any, names: Collection[str] = CALLS) -> tuple[Any, Any] | None:
    """The jaxpr and the constants of a call by one of these names; None for others.

    Example:
      >>> traced = jax.make_jaxpr(jax.jit(lambda x: x + 1))(1.0)
      >>> jaxpr, consts = inner(traced.jaxpr.eqns[0])
      >>> [eqn.primitive.name for eqn in jaxpr.eqns]
      ['add']
    """
    if eqn.primitive.name not in names:
        return None
    called = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
    # A call that keeps its function under a name we do not know is not entered.
    if called is None:
        return None
    # Some calls have an open jaxpr and take constants as operands, some a closed one.
    return getattr(called, "jaxpr", called), getattr(called, "consts", [])


def equations(jaxpr: Any, names: Collection[str] = CALLS) -> list:
    """The equations of a jaxpr, and in place of the calls by these names, theirs too.

    Example:
      >>> traced = jax.make_jaxpr(jax.jit(lambda x: x + 1))(1.0)
      >>> [eqn.primitive.name for eqn in equations(traced.jaxpr)]
      ['add']
    """
    found: list = []
    for eqn in jaxpr.eqns:
        called = inner(eqn, names)
        found += [eqn] if called is None else equations(called[0], names)
    return found


def nested(eqn: Any) -> list:
    """All jaxprs among an equation's parameters, whatever they are there for.

    Example:
      >>> traced = jax.make_jaxpr(lambda x: jax.lax.cond(x > 0, abs, jax.jit(abs), x))
      >>> len(nested(traced(1.0).jaxpr.eqns[-1]))
      2
    """
    # Branches come in a tuple, the parts of a linear solver in a named one.
    parts: list = []
    for value in eqn.params.values():
        parts += value if isinstance(value, tuple | list) else (value,)
    kinds = core.ClosedJaxpr | core.Jaxpr
    return [getattr(part, "jaxpr", part) for part in parts if isinstance(part, kinds)]


def everywhere(eqns: Iterable, closed: Collection[str] = ()) -> Iterator[Any]:
    """Equations, and all within them at any depth, but not within those named closed.

    Example:
      >>> traced = jax.make_jaxpr(lambda x: jax.lax.map(lambda y: y + 1, x))
      >>> eqns = traced(jax.numpy.ones(3)).jaxpr.eqns
      >>> [eqn.primitive.name for eqn in everywhere(eqns)]
      ['scan', 'add']
    """
    for eqn in eqns:
        yield eqn
        if eqn.primitive.name not in closed:
            for jaxpr in nested(eqn):
                yield from everywhere(jaxpr.eqns, closed)


def carried(eqn: Any) -> tuple[int, int]:
    """Where among a scan's operands its carry begins, and where it ends.

    Example:
      >>> loop = lambda c, x: jax.lax.scan(lambda y, a: (y * c + a, y), c, x)
      >>> traced = jax.make_jaxpr(loop)(1.0, jax.numpy.ones(3))
      >>> carried(traced.jaxpr.eqns[-1])
      (1, 2)
    """
    # What the loop runs over, and what it collects, has one axis more outside. How JAX
    # counts them differs from version to version.
    body = eqn.params["jaxpr"].jaxpr
    num_carry, num_xs = (
        sum((outer.aval.ndim == inner.aval.ndim) == same for outer, inner in pairs)
        for pairs, same in (
            (zip(eqn.outvars, body.outvars, strict=True), True),
            (zip(eqn.invars, body.invars, strict=True), False),
        )
    )
    end = len(eqn.invars) - num_xs
    return end - num_carry, end


def bind(eqn: Any, values: Collection[Any]) -> list:
    """The equation's outputs for these inputs, in its own context."""
    # The context holds what the equation was traced under, as `jax.enable_x64`. Inner
    # functions are parameters of a traced equation and arguments of `bind`.
    with eqn.ctx.manager:
        result = eqn.primitive.bind(
            *values, **eqn.primitive.get_bind_params(eqn.params)
        )
    return list(result) if eqn.primitive.multiple_results else [result]


def is_real(x: Any) -> bool:
    """Whether an array, or a type of arrays, is of numbers that can have derivatives.

    Example:
      >>> is_real(1.0), is_real(1), is_real(1j)
      (True, False, True)
    """
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def placed(values: Iterable, where: Iterable[int], new: Iterable) -> list:
    """The values, with new ones at some places.

    Example:
      >>> placed("abc", [0, 2], [1, 2])
      [1, 'b', 2]
    """
    found = list(values)
    for place, value in zip(where, new, strict=True):
        found[place] = value
    return found


def exact_jvp(function: Callable) -> Any:
    """`jax.custom_jvp` for a rule that is the function's derivative, only cheaper.

    A rule may say anything: what a gradient is to be clipped to, or passed straight
    through. So readers do not replace a rule by the derivative of the function, but
    where the function says, by its name, that they are the same.

    Example:
      >>> @exact_jvp
      ... def double(x):
      ...     return x + x
      >>> double.defjvps(lambda rate, _, x: 2 * rate)
      >>> is_exact(jax.make_jaxpr(double)(1.0).jaxpr.eqns[0])
      True
    """
    function.__name__ = _EXACT
    return jax.custom_jvp(function)


def is_exact(eqn: Any) -> bool:
    """Whether the equation is a call of what `exact_jvp` made."""
    called = inner(eqn, ("custom_jvp_call",))
    if called is None:
        return False
    # Where a transformation has lost the name, the call is one with any other rule.
    source = getattr(getattr(called[0], "debug_info", None), "func_src_info", None)
    return str(source).split(" ")[0] == _EXACT
