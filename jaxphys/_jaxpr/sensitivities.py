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
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from jaxphys._jaxpr import walk
from jaxphys._jaxpr.plans import Part, Plan, among, real
from jaxphys.types import Array


class _Leaf(NamedTuple):
    """The sensitivity of a parameter itself: the identity, from this column on."""

    start: int
    size: int


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
        _dense(slopes[x], columns, x.aval.dtype) if among(x, slopes) else None
        for x in outputs
    ]
    return [_read(values, x) for x in outputs], rows


def _read(values: dict, atom: Any) -> Any:
    return atom.val if isinstance(atom, core.Literal) else values[atom]


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
    outs = [var for var in part.outputs if real(var)]
    rest = [var for var in part.outputs if not real(var)]

    def run(inputs: list) -> tuple[list, list]:
        local = {**values, **dict(zip(moving, inputs, strict=True))}
        _evaluate(part.eqns, local)
        return [local[var] for var in outs], [local[var] for var in rest]

    inputs = [values[var] for var in moving]
    known = [slopes[var] for var in moving]
    if not (outs and moving):
        # Of whole numbers nothing has a derivative, though they depend on parameters.
        for names, found in zip((outs, rest), run(inputs), strict=True):
            values.update(zip(names, found, strict=True))
        return
    differentiate = _WAYS[part.way]
    outputs, others, found = differentiate(run, inputs, known, columns)
    values.update(zip(outs, outputs, strict=True))
    values.update(zip(rest, others, strict=True))
    for var, slope in zip(outs, found, strict=True):
        slopes[var] = slope.astype(var.aval.dtype)


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
    dtype = np.result_type(*(x.dtype for x in found))
    rows = [x.reshape(x.shape[0], -1).astype(dtype) for x in found]
    whole = jnp.concatenate(rows, axis=1).T
    blocks = _split(whole, inputs, axis=1)
    return outputs, others, _split(_multiplied(blocks, known, columns), outputs)


_WAYS = {"reverse": _reverse, "forward": _forward, "push": _push}


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
    # States and weights may be of several precisions, and promotion be left to nobody.
    dtype = np.result_type(*(block.dtype for block in blocks))
    count = blocks[0].shape[0]
    # Columns of parameters themselves are put where they belong.
    pieces, end = [], 0
    for slope, block in at:
        pieces += [jnp.zeros((count, slope.start - end), dtype), block.astype(dtype)]
        end = slope.start + slope.size
    total = jnp.concatenate([*pieces, jnp.zeros((count, columns - end), dtype)], axis=1)
    passed = [pair for pair in pairs if not isinstance(pair[1], _Leaf)]
    if passed:
        local = jnp.concatenate([block.astype(dtype) for block, _ in passed], axis=1)
        coming = jnp.concatenate([slope.astype(dtype) for _, slope in passed])
        total = total + local @ coming
    return total


def _run_loop(part: Part, values: dict, slopes: dict, columns: int) -> None:
    (eqn,) = part.eqns
    body: Any = part.body
    first, end = part.first, part.end
    variables, ends = body.jaxpr.invars, body.jaxpr.outvars

    def slope_of(number: int) -> Array:
        """Of an operand, dense."""
        outer, aval = eqn.invars[number], eqn.invars[number].aval
        if not among(outer, slopes):
            return jnp.zeros((aval.size, columns), aval.dtype)
        return _dense(slopes[outer], columns, aval.dtype)

    moving = [number for number, moves in enumerate(part.moving) if moves]
    carried = [number for number in moving if first <= number < end]
    along = [number for number in moving if number >= end]
    fixed = {
        variables[number]: slopes[eqn.invars[number]]
        for number in moving
        if number < first and among(eqn.invars[number], slopes)
    }
    consts = [_read(values, x) for x in eqn.invars[:first]]
    count = end - first
    kept = [v for v in ends[count:] if among(v, body.late) and real(v)]

    def step(state: tuple, x: tuple) -> tuple[tuple, tuple]:
        (carry, rates), (xs, more) = state, x
        local = dict(fixed)
        local |= dict(zip([variables[n] for n in carried], rates, strict=True))
        local |= dict(zip([variables[n] for n in along], more, strict=True))
        found = _run(body, [*consts, *carry, *xs], local, columns)

        def rate(var: Any) -> Array:
            if not among(var, local):
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
        if among(inner, body.late) and real(inner):
            slopes[outer] = next(stacked).reshape(-1, columns)
