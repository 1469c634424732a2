"""Walking through a jaxpr: running its equations in order, entering its calls.

`layers`, `curvature` and `scalars` each run a traced function on values of their own
kind. What they do with an equation is theirs to say; the walk is here.
"""

from collections.abc import Callable, Collection
from typing import Any

import jax
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


def carried(eqn: Any) -> tuple[int, int]:
    """How many operands of a `scan` are constants, and how many its carry.

    Example:
      >>> traced = jax.make_jaxpr(
      ...     lambda x: jax.lax.fori_loop(0, 3, lambda i, c: c * x, 1.0)
      ... )(2.0)
      >>> carried(traced.jaxpr.eqns[-1])
      (1, 2)
    """
    params = eqn.params
    if "num_carry" in params:
        return params["num_consts"], params["num_carry"]
    # Since JAX 0.12 they are told by trees without leaves.
    consts, carry, _ = params["ft_in"].unpack()
    return len(consts), len(carry)


def bind(eqn: Any, values: Collection[Any]) -> list:
    """The equation's outputs for these inputs, in its own context."""
    # The context holds what the equation was traced under, as `jax.enable_x64`. Inner
    # functions are parameters of a traced equation and arguments of `bind`.
    with eqn.ctx.manager:
        result = eqn.primitive.bind(
            *values, **eqn.primitive.get_bind_params(eqn.params)
        )
    return list(result) if eqn.primitive.multiple_results else [result]


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
