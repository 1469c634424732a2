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
from jax.extend import core

from jaxphys import jaxprs
from jaxphys.types import Array

_LINEAR = set(
    """
    add add_any broadcast_in_dim concatenate convert_element_type copy copy_p cumsum
    expand_dims neg pad reduce_sum reshape rev slice squeeze stack sub transpose unstack
    """.split()  # noqa: SIM905
)

#: Linear where one operand alone varies; the place it has to have, or None for any.
_LINEAR_IN_ONE = {"dot_general": None, "dynamic_slice": 0, "div": 0, "gather": 0}

_ELEMENTWISE = set(
    """
    abs acos acosh asin asinh atan atan2 atanh cbrt clamp cos cosh div erf exp exp2
    expm1 integer_pow log log1p logistic max min mul neg pow rsqrt select_n sign sin
    sinh sqrt square sub add tan tanh
    """.split()  # noqa: SIM905
)

_LOOPS = {"while", "scan", "cond", "custom_vjp_call", "custom_vjp_call_jaxpr"}


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

    Example:
      >>> x, axes = jnp.array([1.0, 2.0]), jnp.eye(2)
      >>> print(curvature(lambda x: x[0] ** 2 * x[1], (x,), (axes,)).matrix)
      [[4. 2.]
       [2. 0.]]
    """
    closed = jax.make_jaxpr(f)(*point)
    if _names(closed.jaxpr) & _LOOPS:
        return _by_linearizing(f, point, directions)
    tape: list[_Record] = []
    inputs = list(map(_Value, point, directions))
    (output,) = _forward(closed.jaxpr, closed.consts, inputs, tape)
    return _backward(output, inputs, tape)


def _by_linearizing(f: Callable, point: tuple, directions: tuple) -> Curvature:
    """The same by tangents of the gradient, through which loops go as well."""
    gradient, tangent = jax.linearize(jax.grad(f, tuple(range(len(point)))), *point)
    changes = jax.vmap(tangent)(*directions)
    parts = [_paired(u, c) for u, c in zip(directions, changes, strict=True)]
    matrix = sum(parts[1:], parts[0])
    return Curvature(gradient, (matrix + matrix.T) / 2)


def _names(jaxpr: Any) -> set[str]:
    """The primitives of a jaxpr and of those that it inlines."""
    found = set()
    for eqn in jaxpr.eqns:
        found.add(eqn.primitive.name)
        inner = jaxprs.inner(eqn)
        if inner is not None:
            found |= _names(inner[0])
    return found


def _paired(left: Array, right: Array) -> Array:
    """⟨l_i, r_j⟩ for k arrays each, (k, k)."""
    rows = left.shape[0]
    left, right = left.reshape(rows, -1), right.reshape(rows, -1)
    if rows > 4:
        return left @ right.T
    # Small products in a batch are faster as sums, which join the loops around them.
    return jnp.sum(left[:, None] * right, axis=-1)


def _weighed(weights: Array, rows: Array) -> Array:
    """Σ w x_i x_j for k arrays x_i of the shape of w, (k, k)."""
    count = rows.shape[0]
    rows, weights = rows.reshape(count, -1), weights.reshape(-1)
    # Sums of a batch beyond 32 terms XLA takes apart, and keeps all that they are of: a
    # product of a matrix and a vector is twice as fast.
    if count > 4 or rows.shape[1] <= 32:
        return _paired(weights * rows, rows)
    return ((rows[:, None] * rows).reshape(count**2, -1) @ weights).reshape(count, -1)


def _forward(jaxpr: Any, consts: Any, inputs: list, tape: list) -> list[_Value]:
    """Run a jaxpr on values with tangents, and write down what varies."""
    environment: dict = {}

    def read(atom: Any) -> _Value:
        if isinstance(atom, core.Literal):
            return _Value(atom.val)
        return environment[atom]

    environment.update(zip(jaxpr.constvars, map(_Value, consts), strict=True))
    environment.update(zip(jaxpr.invars, inputs, strict=True))
    for eqn in jaxpr.eqns:
        values = [read(atom) for atom in eqn.invars]
        inner = jaxprs.inner(eqn, jaxprs.COMPILED)
        if inner is not None:
            results = _forward(*inner, values, tape)
        else:
            results = _operate(eqn, values, tape)
        environment.update(zip(eqn.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _operate(eqn: Any, values: list[_Value], tape: list) -> list[_Value]:
    """One operation: its values and tangents, and its record if it varies."""
    varying = [i for i, v in enumerate(values) if v.tangents is not None]

    def g(*varied: Array) -> list:
        full = [v.value for v in values]
        for i, x in zip(varying, varied, strict=True):
            full[i] = x
        return jaxprs.bind(eqn, full)

    real = all(jnp.issubdtype(var.aval.dtype, jnp.floating) for var in eqn.outvars)
    if not varying or not real or eqn.primitive.name == "stop_gradient":
        return [_Value(x) for x in g(*(values[i].value for i in varying))]
    inputs = [values[i] for i in varying]
    point = tuple(v.value for v in inputs)
    tangents = tuple(v.tangents for v in inputs)
    out, pull = jax.vjp(g, *point)
    moved = jax.vmap(lambda *u: jax.jvp(g, point, u)[1])(*tangents)
    results = list(map(_Value, out, moved))
    second = None if _is_linear(eqn, varying) else _second(eqn, g, point, tangents)
    tape.append(_Record(inputs, results, pull, second))
    return results


def _is_linear(eqn: Any, varying: list[int]) -> bool:
    name = eqn.primitive.name
    if name in _LINEAR:
        return True
    if name == "mul" or name in _LINEAR_IN_ONE:
        place = _LINEAR_IN_ONE.get(name)
        return len(varying) == 1 and place in (None, varying[0])
    return name == "select_n" and 0 not in varying


def _is_elementwise(eqn: Any) -> bool:
    shape = eqn.outvars[0].aval.shape
    same = all(var.aval.shape in (shape, ()) for var in (*eqn.invars, *eqn.outvars))
    name = eqn.primitive.name
    if name == "custom_jvp_call":
        inner = _names(eqn.params["call_jaxpr"].jaxpr)
        known = _ELEMENTWISE | {"jit", "pjit", "copy", "convert_element_type", "ne"}
        known |= {"eq", "lt", "le", "gt", "ge", "floor", "round", "is_finite", "and"}
        return same and inner <= known | {"broadcast_in_dim", "stop_gradient", "or"}
    return same and name in _ELEMENTWISE


def _second(eqn: Any, g: Callable, point: tuple, tangents: tuple) -> Callable:
    """δ ↦ ⟨δ, g″[ż_i, ż_j]⟩ for all pairs of directions, (k, k)."""
    shapes = {x.shape for x in point}
    if eqn.primitive.name == "mul" and len(shapes) == 1:
        left, right = tangents

        def of_product(delta: list) -> Array:
            half = _paired(left * delta[0], right)
            return half + half.T

        return of_product
    if len(point) == 1 and _is_elementwise(eqn):
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
    return Curvature(gradient, matrix)
