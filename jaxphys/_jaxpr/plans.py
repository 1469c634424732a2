"""In which order, and by which passes, a function with loops in it is differentiated.

A jaxpr is cut into parts: each loop that depends on the parameters is one, and what
stands before, between and after them, or in their bodies, is cut where few numbers are
handed on, if that saves operations. Each part takes forward or reverse passes by
itself, or is pushed along with all columns, whichever has the fewest operations; that
count, of sizes alone, is what `jaxphys.optim.columns` compares with other ways.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from jaxphys._jaxpr import walk
from jaxphys._jaxpr.primitives import Kind, of

#: A reverse pass takes as many operations as three evaluations, a forward one two.
_REVERSE, _FORWARD = 3, 2

#: A part of more equations is not divided further; of shorter ones so many of the
#: narrowest places are tried, and a cut is to save a tenth.
_MOST_DIVIDED, _CUTS, _WORTH = 400, 12, 0.9

_RULED = of(Kind.RULED)


class Plan(NamedTuple):
    """A function in the order in which it is run with sensitivities.

    Attributes:
      jaxpr, consts: all of it.
      known: equations that do not depend on the parameters.
      parts: those that do, in order.
      late: the variables that do.
    """

    jaxpr: Any
    consts: list
    known: list
    parts: list["Part"]
    late: set

    @property
    def cost(self) -> float:
        """About how many operations the Jacobian takes."""
        return sum(part.cost for part in self.parts)


class Part(NamedTuple):
    """Equations that follow one another, or one loop.

    Attributes:
      eqns: the equations.
      inputs: variables from outside that they read and that depend on parameters.
      outputs: variables of theirs that are read elsewhere.
      way: how it is differentiated, of what is no loop: "reverse", "forward", "push".
      cost: about how many operations that takes; infinite where there is no way.
      body: of a loop, the plan of its body; else None.
      moving: of a loop, which of its body's inputs depend on parameters.
      first, end: of a loop, where among its operands its carry begins and ends.
    """

    eqns: list
    inputs: list
    outputs: list
    way: str = ""
    cost: float = math.inf
    body: Plan | None = None
    moving: tuple[bool, ...] = ()
    first: int = 0
    end: int = 0


class _Columns(NamedTuple):
    """What the Jacobian's columns belong to.

    Attributes:
      total: P, of all parameters.
      leaves: the variables that are parameters themselves.
    """

    total: int
    leaves: set


def plan(closed: Any, moving: Sequence[bool]) -> Plan | None:
    """How a function is differentiated by some of its inputs.

    Args:
      closed: its jaxpr, closed.
      moving: for each input whether it is a parameter.

    Returns:
      A `Plan`; None where no loop depends on the parameters, or a part has derivatives
      in neither way, as a `while` beside a rule for reverse passes alone.
    """
    closed = _inlined(closed)
    inputs = closed.jaxpr.invars
    leaves = {var for var, moves in zip(inputs, moving, strict=True) if moves}
    columns = _Columns(sum(var.aval.size for var in leaves), leaves)
    made = _plan(closed, moving, columns)
    if all(part.body is None for part in made.parts) or made.cost == math.inf:
        return None
    return made


def reverse_cost(made: Plan) -> float:
    """Operations of one reverse pass through the whole function."""
    return _REVERSE * sum(map(_work, made.jaxpr.eqns))


def among(atom: Any, variables: Any) -> bool:
    """Whether an atom is one of some variables; a literal is none."""
    return not isinstance(atom, core.Literal) and atom in variables


def real(var: Any) -> bool:
    """Whether a variable can have derivatives."""
    return bool(jnp.issubdtype(var.aval.dtype, jnp.floating))


def _inlined(closed: Any) -> Any:
    """The same function, calls entered that only compile it or keep its values."""

    def apply(eqn: Any, values: list) -> list:
        called = walk.inner(eqn, walk.PLAIN)
        if called is None:
            return walk.bind(eqn, values)
        return walk.run(*called, values, lambda x, aval: x, apply)

    def run(*inputs: Any) -> list:
        return walk.run(
            closed.jaxpr, closed.consts, list(inputs), lambda x, aval: x, apply
        )

    kinds = [var.aval for var in closed.jaxpr.invars]
    return jax.make_jaxpr(run)(*(jax.ShapeDtypeStruct(k.shape, k.dtype) for k in kinds))


def _plan(
    closed: Any, moving: Sequence[bool], columns: _Columns, nested: bool = False
) -> Plan:
    """The plan of a jaxpr whose calls are inlined."""
    jaxpr = closed.jaxpr
    late = {var for var, moves in zip(jaxpr.invars, moving, strict=True) if moves}
    known, groups = [], []
    for eqn in jaxpr.eqns:
        read = [x for x in eqn.invars if among(x, late)]
        if not read:
            known.append(eqn)
            continue
        late.update(eqn.outvars)
        if any(map(real, read)) and _entered(eqn, late, nested):
            groups += [[eqn], []]
        else:
            groups = groups or [[]]
            groups[-1].append(eqn)
    parts: list[Part] = []
    wanted = {x for x in jaxpr.outvars if not isinstance(x, core.Literal)}
    for eqns in reversed([group for group in groups if group]):
        if len(eqns) == 1 and _entered(eqns[0], late, nested):
            found = [_loop(_part(eqns, late, wanted, columns), late, columns)]
        else:
            found = _divided(eqns, late, wanted, columns)
        found = [part for part in found if part.outputs]
        for part in found:
            wanted |= set(part.inputs)
        parts = found + parts
    return Plan(jaxpr, closed.consts, known, parts, late)


def _part(eqns: list, late: set, wanted: set, columns: _Columns) -> Part:
    """Equations as one part, differentiated in the cheapest way."""
    made = {var for eqn in eqns for var in eqn.outvars}
    read = dict.fromkeys(x for eqn in eqns for x in eqn.invars if among(x, late))
    inputs = [x for x in read if x not in made]
    outputs = [x for eqn in eqns for x in eqn.outvars if x in wanted]
    return _cheapest(Part(eqns, inputs, outputs), columns)


def _divided(eqns: list, late: set, wanted: set, columns: _Columns) -> list[Part]:
    """Equations as one part or as several, if that is cheaper.

    A policy hands few numbers on to the physics. Up to there it takes a reverse pass
    for each of them, and the physics, which knows no weights, a cheap one for each of
    what it makes.
    """
    whole = _part(eqns, late, wanted, columns)
    if len(eqns) < 2 or len(eqns) > _MOST_DIVIDED:
        return [whole]
    best, least = [whole], _WORTH * whole.cost
    for cut in _narrow(eqns, late):
        after = _part(eqns[cut:], late, wanted, columns)
        before = _part(eqns[:cut], late, wanted | set(after.inputs), columns)
        if before.cost + after.cost < least:
            best, least = [before, after], before.cost + after.cost
    if len(best) == 1:
        return best
    before, after = best
    read = wanted | set(after.inputs)
    return [
        *_divided(before.eqns, late, read, columns),
        *_divided(after.eqns, late, wanted, columns),
    ]


def _narrow(eqns: list, late: set) -> list[int]:
    """Where the fewest numbers are handed on from one equation to those after it."""
    last = {x: n for n, eqn in enumerate(eqns) for x in eqn.invars if among(x, late)}
    sizes: list[tuple[int, int]] = []
    open_: dict[Any, int] = {}
    for number, eqn in enumerate(eqns[:-1]):
        open_ |= {var: var.aval.size for var in eqn.outvars if var in last}
        open_ = {var: size for var, size in open_.items() if last[var] > number}
        sizes.append((sum(open_.values()), number + 1))
    return [cut for _, cut in sorted(sizes)[:_CUTS]]


def _entered(eqn: Any, late: set, nested: bool) -> bool:
    """Whether an equation is a loop that is run with sensitivities.

    Of a loop within a loop only its end may count, as of the stages of a step: it is
    then a step like any other.
    """
    if eqn.primitive.name != "scan":
        return False
    first, end = walk.carried(eqn)
    kept = eqn.outvars[end - first :]
    return not nested or any(real(var) and var in late for var in kept)


def _loop(part: Part, late: set, columns: _Columns) -> Part:
    """The same part with the plan of its body."""
    (eqn,) = part.eqns
    first, end = walk.carried(eqn)
    closed = _inlined(eqn.params["jaxpr"])
    moving = [among(x, late) and real(x) for x in eqn.invars]
    # A carry depends on parameters once what it becomes does.
    while True:
        after = _depends(closed.jaxpr, moving)[: end - first]
        joined = [a or b for a, b in zip(moving[first:end], after, strict=True)]
        if joined == moving[first:end]:
            break
        moving[first:end] = joined
    consts = zip(closed.jaxpr.invars[:first], eqn.invars[:first], strict=True)
    leaves = {inner for inner, outer in consts if among(outer, columns.leaves)}
    body = _plan(closed, moving, columns._replace(leaves=leaves), True)
    cost = eqn.params["length"] * body.cost
    return part._replace(
        body=body, cost=cost, moving=tuple(moving), first=first, end=end
    )


def _depends(jaxpr: Any, moving: Sequence[bool]) -> list[bool]:
    """Which outputs of a jaxpr depend on the moving inputs."""
    late = {var for var, moves in zip(jaxpr.invars, moving, strict=True) if moves}
    for eqn in jaxpr.eqns:
        if any(among(x, late) for x in eqn.invars):
            late.update(eqn.outvars)
    return [among(x, late) and real(x) for x in jaxpr.outvars]


def _work(eqn: Any) -> float:
    """About how many operations an equation takes."""
    made = sum(math.prod(var.aval.shape) for var in eqn.outvars)
    if eqn.primitive.name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        shape = eqn.invars[0].aval.shape
        return 2.0 * made * math.prod(shape[axis] for axis in contracted)
    inside = sum(_work(each) for jaxpr in walk.nested(eqn) for each in jaxpr.eqns)
    if not inside:
        return float(made)
    return inside * eqn.params.get("length", 1)


def _ways(part: Part) -> tuple[bool, bool]:
    """Whether a part has forward and reverse derivatives.

    Of complex numbers, as of a wave function, derivatives are left to JAX.
    """
    variables = [var for eqn in part.eqns for var in eqn.outvars]
    kinds = (var.aval.dtype for var in (*variables, *part.inputs))
    if any(jnp.issubdtype(kind, jnp.complexfloating) for kind in kinds):
        return False, False
    names = {eqn.primitive.name for eqn in walk.everywhere(part.eqns, _RULED)}
    return "custom_vjp_call" not in names, "while" not in names


def _cheapest(part: Part, columns: _Columns) -> Part:
    """The same part, with the way of the fewest operations."""
    work = sum(map(_work, part.eqns))
    inputs = [var for var in part.inputs if real(var)]
    whole = sum(var.aval.size for var in inputs)
    passed = sum(var.aval.size for var in inputs if var not in columns.leaves)
    made = sum(var.aval.size for var in part.outputs if real(var))
    # What comes in has P columns. It is pushed through with them, or its Jacobian, made
    # for itself, is multiplied by them. What is made is written down in any case.
    product = 2.0 * made * passed * columns.total
    written = made * columns.total
    ways = {
        "reverse": _REVERSE * made * work + product,
        "forward": _FORWARD * whole * work + product,
        "push": _FORWARD * columns.total * work,
    }
    forward, reverse = _ways(part)
    for name in ways:
        cost = ways[name] + written
        if (reverse if name == "reverse" else forward) and cost < part.cost:
            part = part._replace(way=name, cost=cost)
    return part
