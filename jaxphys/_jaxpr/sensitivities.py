"""The Jacobian of a function with loops in it, by sensitivities that go along.

Weights θ that act at every step of a rollout y ← F(y, θ) have the sensitivities

    S ← A S + B,    S = dy/dθ,  A = ∂F/∂y,  B = ∂F/∂θ.

A and B of one step, by as many reverse passes through it as a state has entries, so
give the Jacobian of all states along the way. Reverse passes through the whole rollout
would be as many as it has outputs, forward ones as many as there are weights.

A function is read as a jaxpr. Its loops are run with S in their carry. What stands
before, between and after them, and in their bodies, is differentiated in whichever way
has the fewest operations.

Reference: Williams & Zipser, A Learning Algorithm for Continually Running Fully
Recurrent Neural Networks, 1989; Griewank & Walther, Evaluating Derivatives, 2008,
chapter 9, on the elimination of inner variables.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from jaxphys._jaxpr import walk
from jaxphys._jaxpr.primitives import Kind, of
from jaxphys.types import Array

#: A reverse pass takes as many operations as three evaluations, a forward one two.
_REVERSE, _FORWARD = 3, 2

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

    def cost(self, columns: int, leaves: Sequence[Any]) -> float:
        """Operations for a Jacobian of P columns, some inputs being parameters."""
        found = 0.0
        for part in self.parts:
            if part.body is None:
                found += _way(part, leaves, columns).cost
                continue
            (loop,) = part.eqns
            consts = zip(
                part.body.jaxpr.invars[: part.first], loop.invars, strict=False
            )
            inner = [var for var, outer in consts if _in(outer, leaves)]
            found += loop.params["length"] * part.body.cost(columns, inner)
        return found


class Part(NamedTuple):
    """Equations that follow one another, or one loop.

    Attributes:
      eqns: the equations.
      inputs: variables from outside that they read and that depend on parameters.
      outputs: variables of theirs that are read elsewhere.
      body: of a loop, the plan of its body; else None.
      moving: of a loop, which of its body's inputs depend on parameters.
      first, end: of a loop, where among its operands its carry begins and ends.
    """

    eqns: list
    inputs: list
    outputs: list
    body: Plan | None = None
    moving: tuple[bool, ...] = ()
    first: int = 0
    end: int = 0


class _Leaf(NamedTuple):
    """The sensitivity of a parameter itself: the identity, from this column on."""

    start: int
    size: int


class _Way(NamedTuple):
    """How a part is differentiated, and how many operations that takes."""

    name: str
    cost: float


def plan(closed: Any, moving: Sequence[bool]) -> Plan | None:
    """How a function is differentiated by some of its inputs.

    Args:
      closed: its jaxpr, closed.
      moving: for each input whether it is a parameter.

    Returns:
      A `Plan`; None where no loop depends on the parameters, or a part has derivatives
      in neither way, as a `while` beside a rule for reverse passes alone.
    """
    made = _plan(closed, moving)
    if all(part.body is None for part in made.parts) or not _possible(made):
        return None
    return made


def reverse_cost(made: Plan) -> float:
    """Operations of one reverse pass through the whole function."""
    return _REVERSE * sum(map(_work, made.jaxpr.eqns))


def jacobian(
    made: Plan, inputs: Sequence[Array], moving: Sequence[bool]
) -> tuple[list[Array], list[Array | None]]:
    """The values of a function, and its Jacobian.

    Args:
      made: the plan of its jaxpr.
      inputs: of the jaxpr.
      moving: for each input whether it is a parameter.

    Returns:
      The outputs, and for each the Jacobian, shape (size, P), columns in the order of
      the parameters; None for outputs that do not depend on any.
    """
    slopes: dict = {}
    columns = 0
    for var, moves in zip(made.jaxpr.invars, moving, strict=True):
        if moves:
            slopes[var] = _Leaf(columns, var.aval.size)
            columns += var.aval.size
    values = _run(made, inputs, slopes, columns)
    outputs = made.jaxpr.outvars
    rows = [
        _dense(slopes[x], columns, x.aval.dtype) if _in(x, slopes) else None
        for x in outputs
    ]
    return [_read(values, x) for x in outputs], rows


def _in(atom: Any, variables: Any) -> bool:
    return not isinstance(atom, core.Literal) and atom in variables


def _read(values: dict, atom: Any) -> Any:
    return atom.val if isinstance(atom, core.Literal) else values[atom]


def _real(var: Any) -> bool:
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


def _plan(closed: Any, moving: Sequence[bool], nested: bool = False) -> Plan:
    closed = _inlined(closed)
    jaxpr = closed.jaxpr
    late = {var for var, moves in zip(jaxpr.invars, moving, strict=True) if moves}
    known, groups = [], []
    for eqn in jaxpr.eqns:
        read = [x for x in eqn.invars if _in(x, late)]
        if not read:
            known.append(eqn)
            continue
        late.update(eqn.outvars)
        if any(map(_real, read)) and _entered(eqn, late, nested):
            groups += [[eqn], []]
        else:
            groups = groups or [[]]
            groups[-1].append(eqn)
    parts: list[Part] = []
    wanted = {x for x in jaxpr.outvars if not isinstance(x, core.Literal)}
    for eqns in reversed([group for group in groups if group]):
        made = {var for eqn in eqns for var in eqn.outvars}
        needed = dict.fromkeys(x for eqn in eqns for x in eqn.invars if _in(x, late))
        inputs = [x for x in needed if x not in made]
        outputs = [x for eqn in eqns for x in eqn.outvars if x in wanted]
        part = Part(eqns, inputs, outputs)
        if len(eqns) == 1 and _entered(eqns[0], late, nested):
            part = _loop(part, late)
        wanted |= set(inputs)
        parts.append(part)
    return Plan(jaxpr, closed.consts, known, parts[::-1], late)


def _entered(eqn: Any, late: set, nested: bool) -> bool:
    """Whether an equation is a loop that is run with sensitivities.

    Of a loop within a loop only its end may count, as of the stages of a step: it is
    then a step like any other.
    """
    if eqn.primitive.name != "scan":
        return False
    first, end = walk.carried(eqn)
    kept = eqn.outvars[end - first :]
    return not nested or any(_real(var) and var in late for var in kept)


def _loop(part: Part, late: set) -> Part:
    """The same part with the plan of its body."""
    (eqn,) = part.eqns
    first, end = walk.carried(eqn)
    closed = eqn.params["jaxpr"]
    moving = [_in(x, late) and _real(x) for x in eqn.invars]
    # A carry depends on parameters once what it becomes does.
    while True:
        after = _depends(closed.jaxpr, moving)[: end - first]
        joined = [a or b for a, b in zip(moving[first:end], after, strict=True)]
        if joined == moving[first:end]:
            break
        moving[first:end] = joined
    body = _plan(closed, moving, True)
    return part._replace(body=body, moving=tuple(moving), first=first, end=end)


def _depends(jaxpr: Any, moving: Sequence[bool]) -> list[bool]:
    """Which outputs of a jaxpr depend on the moving inputs."""
    late = {var for var, moves in zip(jaxpr.invars, moving, strict=True) if moves}
    for eqn in jaxpr.eqns:
        if any(_in(x, late) for x in eqn.invars):
            late.update(eqn.outvars)
    return [_in(x, late) and _real(x) for x in jaxpr.outvars]


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


def _finds(eqns: Sequence[Any], name: str) -> bool:
    """Whether a primitive is among equations, rules of their own left out."""
    return any(
        eqn.primitive.name == name
        or (
            eqn.primitive.name not in _RULED
            and any(_finds(jaxpr.eqns, name) for jaxpr in walk.nested(eqn))
        )
        for eqn in eqns
    )


def _ways(part: Part) -> tuple[bool, bool]:
    """Whether a part has forward and reverse derivatives."""
    return not _finds(part.eqns, "custom_vjp_call"), not _finds(part.eqns, "while")


def _possible(made: Plan) -> bool:
    return all(
        any(_ways(part)) if part.body is None else _possible(part.body)
        for part in made.parts
    )


def _way(part: Part, leaves: Sequence[Any], columns: int) -> _Way:
    """The cheapest way to differentiate a part that is no loop."""
    work = sum(map(_work, part.eqns))
    inputs = [var for var in part.inputs if _real(var)]
    whole = sum(var.aval.size for var in inputs)
    passed = sum(var.aval.size for var in inputs if var not in leaves)
    made = sum(var.aval.size for var in part.outputs if _real(var))
    # What comes in has P columns. It is pushed through with them, or its Jacobian, made
    # for itself, is multiplied by them.
    product = 2.0 * made * passed * columns
    ways = {
        "reverse": _REVERSE * made * work + product,
        "forward": _FORWARD * whole * work + product,
        "push": _FORWARD * columns * work,
    }
    forward, reverse = _ways(part)
    known = [
        _Way(name, cost)
        for name, cost in ways.items()
        if (reverse if name == "reverse" else forward)
    ]
    return min(known, key=lambda way: way.cost)


def _dense(slope: Any, columns: int, dtype: Any) -> Array:
    """A sensitivity as an array of shape (size, P)."""
    if isinstance(slope, _Leaf):
        return jnp.eye(slope.size, columns, slope.start, dtype)
    return slope


def _run(made: Plan, inputs: Sequence[Any], slopes: dict, columns: int) -> dict:
    """The values of all variables that are read; `slopes` gets what changes them."""
    values = dict(zip(made.jaxpr.constvars, made.consts, strict=True))
    values |= dict(zip(made.jaxpr.invars, inputs, strict=True))
    _evaluate(made.known, values)
    for part in made.parts:
        run = _run_equations if part.body is None else _run_loop
        run(part, values, slopes, columns)
    return values


def _evaluate(eqns: Sequence[Any], values: dict) -> None:
    for eqn in eqns:
        results = walk.bind(eqn, [_read(values, x) for x in eqn.invars])
        values.update(zip(eqn.outvars, results, strict=True))


def _run_equations(part: Part, values: dict, slopes: dict, columns: int) -> None:
    moving = [var for var in part.inputs if var in slopes]
    real = [var for var in part.outputs if _real(var)]
    rest = [var for var in part.outputs if not _real(var)]

    def run(inputs: list) -> tuple[list, list]:
        local = {**values, **dict(zip(moving, inputs, strict=True))}
        _evaluate(part.eqns, local)
        return [local[var] for var in real], [local[var] for var in rest]

    leaves = [var for var in moving if isinstance(slopes[var], _Leaf)]
    way = _way(part, leaves, columns).name
    inputs = [values[var] for var in moving]
    known = [slopes[var] for var in moving]
    differentiate = {"reverse": _reverse, "forward": _forward, "push": _push}[way]
    outputs, others, found = differentiate(run, inputs, known, columns)
    values.update(zip(real, outputs, strict=True))
    values.update(zip(rest, others, strict=True))
    slopes.update(zip(real, found, strict=True))


_Run = Callable[[list], tuple[list, list]]
_Found = tuple[list, list, list[Array]]


def _push(run: _Run, inputs: list, known: list, columns: int) -> _Found:
    """Forward passes along all columns."""
    outputs, forward, others = jax.linearize(run, inputs, has_aux=True)
    tangents = [
        _dense(slope, columns, x.dtype).reshape(*jnp.shape(x), columns)
        for x, slope in zip(inputs, known, strict=True)
    ]
    found = jax.vmap(forward, in_axes=-1, out_axes=-1)(tangents)
    return outputs, others, [x.reshape(-1, columns) for x in found]


def _reverse(run: _Run, inputs: list, known: list, columns: int) -> _Found:
    """A reverse pass for each entry of the outputs, and a product by what came in."""
    outputs, back, others = jax.vjp(run, inputs, has_aux=True)
    (rows,) = jax.vmap(back)(_units(outputs))
    blocks = [x.reshape(x.shape[0], -1) for x in rows]
    return outputs, others, _split(_multiplied(blocks, known, columns), outputs)


def _forward(run: _Run, inputs: list, known: list, columns: int) -> _Found:
    """A forward pass for each entry of the inputs, and the same product."""
    outputs, forward, others = jax.linearize(run, inputs, has_aux=True)
    found = jax.vmap(forward)(_units(inputs))
    whole = jnp.concatenate([x.reshape(x.shape[0], -1) for x in found], axis=1).T
    blocks = _split(whole, inputs, axis=1)
    return outputs, others, _split(_multiplied(blocks, known, columns), outputs)


def _units(arrays: list) -> list[Array]:
    """Unit vectors of the space of several arrays, stacked: (n, *shape) each."""
    identity = jnp.eye(sum(x.size for x in arrays), dtype=arrays[0].dtype)
    parts = _split(identity, arrays, axis=1)
    return [
        part.reshape(-1, *x.shape).astype(x.dtype)
        for part, x in zip(parts, arrays, strict=True)
    ]


def _split(whole: Array, arrays: list, axis: int = 0) -> list[Array]:
    """Cut into the entries of several arrays."""
    ends = [0]
    for x in arrays:
        ends.append(ends[-1] + x.size)
    pairs = itertools.pairwise(ends)
    return [jax.lax.slice_in_dim(whole, a, b, axis=axis) for a, b in pairs]


def _multiplied(blocks: list[Array], known: list, columns: int) -> Array:
    """Σ ∂out/∂in · S_in, shape (outputs, P), of blocks (outputs, size of the input)."""
    pairs = list(zip(blocks, known, strict=True))
    at = sorted(
        ((slope, block) for block, slope in pairs if isinstance(slope, _Leaf)),
        key=lambda pair: pair[0].start,
    )
    count, dtype = blocks[0].shape[0], blocks[0].dtype
    # Columns of parameters themselves are put where they belong.
    pieces, end = [], 0
    for slope, block in at:
        pieces += [jnp.zeros((count, slope.start - end), dtype), block]
        end = slope.start + slope.size
    total = jnp.concatenate([*pieces, jnp.zeros((count, columns - end), dtype)], axis=1)
    passed = [pair for pair in pairs if not isinstance(pair[1], _Leaf)]
    if passed:
        local = jnp.concatenate([block for block, _ in passed], axis=1)
        total = total + local @ jnp.concatenate([slope for _, slope in passed])
    return total


def _run_loop(part: Part, values: dict, slopes: dict, columns: int) -> None:
    (eqn,) = part.eqns
    body: Any = part.body
    first, end = part.first, part.end
    variables, ends = body.jaxpr.invars, body.jaxpr.outvars

    def slope_of(number: int) -> Array:
        """Of an operand, dense."""
        outer, aval = eqn.invars[number], eqn.invars[number].aval
        if not _in(outer, slopes):
            return jnp.zeros((aval.size, columns), aval.dtype)
        return _dense(slopes[outer], columns, aval.dtype)

    moving = [number for number, moves in enumerate(part.moving) if moves]
    carried = [number for number in moving if first <= number < end]
    along = [number for number in moving if number >= end]
    fixed = {
        variables[number]: slopes.get(eqn.invars[number], slope_of(number))
        for number in moving
        if number < first
    }
    consts = [_read(values, x) for x in eqn.invars[:first]]
    count = end - first
    kept = [v for v in ends[count:] if _in(v, body.late) and _real(v)]

    def step(state: tuple, x: tuple) -> tuple[tuple, tuple]:
        (carry, rates), (xs, more) = state, x
        local = dict(fixed)
        local |= dict(zip([variables[n] for n in carried], rates, strict=True))
        local |= dict(zip([variables[n] for n in along], more, strict=True))
        found = _run(body, [*consts, *carry, *xs], local, columns)

        def rate(var: Any) -> Array:
            if not _in(var, local):
                return jnp.zeros((var.aval.size, columns), var.aval.dtype)
            return _dense(local[var], columns, var.aval.dtype)

        new = [jnp.asarray(_read(found, v), v.aval.dtype) for v in ends]
        after = [rate(ends[number - first]) for number in carried]
        return (new[:count], after), (new[count:], [rate(v) for v in kept])

    length = eqn.params["length"]
    start = (
        [_read(values, x) for x in eqn.invars[first:end]],
        [slope_of(number) for number in carried],
    )
    rows = (
        [_read(values, x) for x in eqn.invars[end:]],
        [slope_of(number).reshape(length, -1, columns) for number in along],
    )
    (last, rates), (ys, more) = jax.lax.scan(
        step, start, rows, length=length, reverse=eqn.params["reverse"]
    )
    values.update(zip(eqn.outvars, [*last, *ys], strict=True))
    at = [number - first for number in carried]
    slopes.update(zip([eqn.outvars[n] for n in at], rates, strict=True))
    stacked = iter(more)
    for outer, inner in zip(eqn.outvars[count:], ends[count:], strict=True):
        if _in(inner, body.late) and _real(inner):
            slopes[outer] = next(stacked).reshape(-1, columns)
