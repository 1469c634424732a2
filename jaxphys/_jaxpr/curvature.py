"""Second derivatives of a scalar along a few directions, in one sweep each way.

For a scalar f with intermediate values z, second derivatives along directions u_i are

    u_iᵀ (∂²f) u_j = Σ_e ⟨δ_e, g_e″[ż_i, ż_j]⟩,

summed over the operations z′ = g_e(z) that are not linear, where δ_e is ∂f/∂z′ and ż_i
the tangent of z along u_i. So a network needs its tangents going forward and its
gradient going back, once, and no tangent of the gradient: 2 + k passes for k directions
in place of the 2 + 2k of a gradient that is differentiated forward. The operations are
read off the function's jaxpr.

Reference: Gower & Mello, A new framework for the computation of Hessians, Optimization
Methods and Software 27, 2012 (edge pushing).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxphys._jaxpr import walk
from jaxphys._jaxpr.primitives import Kind, of
from jaxphys.checks import check_array, check_function, checked
from jaxphys.types import Array

__all__ = ["Curvature", "curvature"]

_LINEAR = of(Kind.LINEAR)
_LINEAR_ALONE = of(Kind.LINEAR_ALONE)
_LINEAR_FIRST = of(Kind.LINEAR_FIRST)
_ELEMENTWISE = of(Kind.ELEMENTWISE)
_LOOPS = of(Kind.LOOP)


class Curvature(NamedTuple):
    """First derivatives of a scalar, and second ones along some directions.

    Attributes:
      gradient: ∂f/∂x for each argument.
      matrix: u_iᵀ (∂²f) u_j, shape (k, k), symmetric.
    """

    gradient: tuple[Array, ...]
    matrix: Array


class _Value(NamedTuple):
    """A value, and its tangents along every direction; None for a constant."""

    value: Any
    tangents: Any = None


class _Record(NamedTuple):
    """What the way back needs of one operation."""

    inputs: list
    outputs: list
    pull: Callable
    second: Callable | None


def _check_arrays(name: str, value: tuple[Array, ...]) -> None:
    if not isinstance(value, tuple | list) or not value:
        raise TypeError(f"{name} is {value!r}; expected a tuple of arrays.")
    for each in value:
        check_array(name, each)


@checked(f=check_function, point=_check_arrays, directions=_check_arrays)
def curvature(
    f: Callable[..., Array], point: tuple[Array, ...], directions: tuple[Array, ...]
) -> Curvature:
    """The gradient of a scalar f at a point, and its second derivatives along k u's.

    Args:
      f: f(*point) -> scalar; it may close over what is differentiated further.
      point: its arguments, real arrays.
      directions: for each argument an array of k directions, (k, *shape).

    Returns:
      A `Curvature`, itself differentiable.

    Raises:
      ValueError: if f returns no scalar.

    Example:
      >>> x, axes = jnp.array([1.0, 2.0]), jnp.eye(2)
      >>> print(curvature(lambda x: x[0] ** 2 * x[1], (x,), (axes,)).matrix)
      [[4. 2.]
       [2. 0.]]
    """
    if [x.shape for x in point] != [x.shape[1:] for x in directions]:
        raise ValueError(
            f"directions have shapes {[x.shape for x in directions]}; expected (k, "
            f"*shape) for each of {[x.shape for x in point]}."
        )
    closed = jax.make_jaxpr(f)(*point)
    shapes = [var.aval.shape for var in closed.jaxpr.outvars]
    if shapes != [()]:
        raise ValueError(
            f"f(*point) gave arrays of the shapes {shapes}; expected one scalar. Sum "
            "its entries, or use jax.vmap for a batch of points."
        )
    if not _is_readable(closed.jaxpr):
        return _by_linearizing(f, point, directions)
    tape: list[_Record] = []
    inputs = list(map(_Value, point, directions))
    (output,) = _forward(closed.jaxpr, closed.consts, inputs, tape)
    return _backward(output, inputs, tape)


def _is_readable(jaxpr: Any) -> bool:
    """Whether one sweep each way is right for all of it, and cheap.

    A loop as one operation would be run anew for each pair of directions. A function
    with cotangents of its own has no tangents. And the sum over operations pairs real
    numbers, which a complex value is not.
    """
    if any(
        eqn.primitive.name == "custom_vjp_call" for eqn in walk.everywhere(jaxpr.eqns)
    ):
        return False
    for eqn in walk.equations(jaxpr):
        if eqn.primitive.name in _LOOPS:
            return False
        # Only outputs: the point is real, and what is complex and constant meets it in
        # an operation that has a complex output.
        kinds = [var.aval.dtype for var in eqn.outvars]
        if any(jnp.issubdtype(kind, jnp.complexfloating) for kind in kinds):
            return False
    return True


def _by_linearizing(f: Callable, point: tuple, directions: tuple) -> Curvature:
    """The same by tangents of the gradient, through which loops go as well."""
    gradient, tangent = jax.linearize(jax.grad(f, tuple(range(len(point)))), *point)
    changes = jax.vmap(tangent)(*directions)
    parts = [_paired(u, c) for u, c in zip(directions, changes, strict=True)]
    matrix = sum(parts[1:], parts[0])
    return Curvature(gradient, (matrix + matrix.T) / 2)


def _paired(left: Array, right: Array) -> Array:
    """⟨l_i, r_j⟩ for k arrays each, (k, k)."""
    rows = left.shape[0]
    left, right = left.reshape(rows, -1), right.reshape(rows, -1)
    if rows > 4:
        return left @ right.T
    # Small products in a batch are faster as sums, which join the loops around them.
    return jnp.sum(left[:, None] * right[None], axis=-1)


def _weighed(weights: Array, rows: Array) -> Array:
    """Σ w x_i x_j for k arrays x_i of the shape of w, (k, k)."""
    count = rows.shape[0]
    rows, weights = rows.reshape(count, -1), weights.reshape(-1)
    # Sums of a batch beyond 32 terms XLA takes apart, and keeps all that they are of: a
    # product of a matrix and a vector is twice as fast.
    if count > 4 or rows.shape[1] <= 32:
        return _paired(weights[None] * rows, rows)
    pairs = (rows[:, None] * rows[None]).reshape(count**2, -1)
    return (pairs @ weights).reshape(count, -1)


def _forward(jaxpr: Any, consts: Any, inputs: list, tape: list) -> list[_Value]:
    """Run a jaxpr on values with tangents, and write down what varies."""

    def apply(eqn: Any, values: list[_Value]) -> list[_Value]:
        # A call that keeps values for the way back, or brings a rule, is one operation.
        inner = walk.inner(eqn, walk.COMPILED)
        if inner is not None:
            return _forward(*inner, values, tape)
        return _operate(eqn, values, tape)

    return walk.run(jaxpr, consts, inputs, lambda x, aval: _Value(x), apply)


def _operate(eqn: Any, values: list[_Value], tape: list) -> list[_Value]:
    """One operation: its values and tangents, and its record if it varies."""
    varying = [i for i, v in enumerate(values) if v.tangents is not None]
    # An operation may have real outputs beside others: the largest entries and where
    # they are, a factorization and its pivots. Only the real ones vary.
    real = [jnp.issubdtype(var.aval.dtype, jnp.floating) for var in eqn.outvars]

    def bound(*varied: Array) -> list:
        full = walk.placed([v.value for v in values], varying, varied)
        return walk.bind(eqn, full)

    def split(*varied: Array) -> tuple[list, list]:
        outputs = list(zip(bound(*varied), real, strict=True))
        return [x for x, is_real in outputs if is_real], [
            x for x, is_real in outputs if not is_real
        ]

    def g(*varied: Array) -> list:
        return split(*varied)[0]

    if not varying or not any(real) or eqn.primitive.name == "stop_gradient":
        return [_Value(x) for x in bound(*(values[i].value for i in varying))]
    inputs = [values[i] for i in varying]
    point = tuple(v.value for v in inputs)
    tangents = tuple(v.tangents for v in inputs)
    out, pull, others = jax.vjp(split, *point, has_aux=True)
    moved = jax.vmap(lambda *u: jax.jvp(g, point, u)[1])(*tangents)
    results = list(map(_Value, out, moved))
    second = None if _is_linear(eqn, varying) else _second(eqn, g, point, tangents)
    tape.append(_Record(inputs, results, pull, second))
    varied, constant = iter(results), map(_Value, others)
    return [next(varied if is_real else constant) for is_real in real]


def _is_linear(eqn: Any, varying: list[int]) -> bool:
    name = eqn.primitive.name
    if name in _LINEAR:
        return True
    if name in _LINEAR_FIRST:
        return varying == [0]
    return name in _LINEAR_ALONE and len(varying) == 1


def _bends_by_entry(eqn: Any, g: Callable, point: tuple) -> bool:
    """Whether g is of one array, and g″[u, w] = c u w entry by entry."""
    (out, *more), shape = eqn.outvars, point[0].shape
    # A scalar that an array is clamped by, or that is spread out, reaches all entries.
    if len(point) != 1 or more or out.aval.shape != shape:
        return False
    if eqn.primitive.name in _ELEMENTWISE:
        return True
    if eqn.primitive.name != "custom_jvp_call":
        return False
    # The function may be elementwise and its rule, which says what the derivatives are,
    # not: what the rule makes of second derivatives is read, not the function.

    def twice(x: Array, u: Array, w: Array) -> list:
        def rate(x: Array) -> list:
            return jax.jvp(g, (x,), (u,))[1]

        return jax.jvp(rate, (x,), (w,))[1]

    x = jax.ShapeDtypeStruct(shape, point[0].dtype)
    return _is_elementwise(jax.make_jaxpr(twice)(x, x, x).jaxpr, shape)


def _is_elementwise(jaxpr: Any, shape: tuple[int, ...]) -> bool:
    """Whether no entry of arrays of this shape reaches another, in all of a jaxpr."""
    for eqn in walk.equations(jaxpr):
        if any(v.aval.shape not in (shape, ()) for v in (*eqn.invars, *eqn.outvars)):
            return False
        # To spread a scalar is to write a constant: no entry becomes a scalar here.
        if eqn.primitive.name not in (*_ELEMENTWISE, "broadcast_in_dim"):
            return False
    return True


def _second(eqn: Any, g: Callable, point: tuple, tangents: tuple) -> Callable:
    """δ ↦ ⟨δ, g″[ż_i, ż_j]⟩ for all pairs of directions, (k, k)."""
    shapes = {x.shape for x in point}
    if eqn.primitive.name == "mul" and len(shapes) == 1:
        left, right = tangents

        def of_product(delta: list) -> Array:
            half = _paired(left * delta[0], right)
            return half + half.T

        return of_product
    if _bends_by_entry(eqn, g, point):
        (x,), (u,) = point, tangents
        one = jnp.ones_like(x)

        def slope(x: Array) -> Array:
            return jax.jvp(lambda x: g(x)[0], (x,), (one,))[1]

        bend = jax.jvp(slope, (x,), (one,))[1]
        return lambda delta: _weighed(bend * delta[0], u)

    def of_pair(delta: list, u: tuple, w: tuple) -> Array:
        def rate(*point: Array) -> list:
            return jax.jvp(g, point, u)[1]

        changes = jax.jvp(rate, point, w)[1]
        shares = [jnp.sum(d * c) for d, c in zip(delta, changes, strict=True)]
        return sum(shares[1:], shares[0])

    def of_pairs(delta: list) -> Array:
        each = jax.vmap(jax.vmap(of_pair, (None, None, 0)), (None, 0, None))
        return each(delta, tangents, tangents)

    return of_pairs


def _backward(output: _Value, inputs: list[_Value], tape: list[_Record]) -> Curvature:
    """The gradient, and on its way every operation's share of the curvature."""
    # By identity, as values are arrays or tracers; the tape keeps them all, so that no
    # identity is used twice.
    deltas: dict[int, Array] = {id(output): jnp.ones_like(output.value)}
    rows = inputs[0].tangents.shape[0]
    matrix = jnp.zeros((rows, rows), inputs[0].value.dtype)
    for record in reversed(tape):
        if not any(id(out) in deltas for out in record.outputs):
            continue
        delta = [
            deltas[id(out)] if id(out) in deltas else jnp.zeros_like(out.value)
            for out in record.outputs
        ]
        if record.second is not None:
            matrix = matrix + record.second(delta)
        for value, change in zip(record.inputs, record.pull(delta), strict=True):
            known = deltas.get(id(value))
            deltas[id(value)] = change if known is None else known + change
    gradient = tuple(
        deltas[id(x)] if id(x) in deltas else jnp.zeros_like(x.value) for x in inputs
    )
    # In between, f may have computed in another precision.
    return Curvature(gradient, matrix.astype(inputs[0].value.dtype))
