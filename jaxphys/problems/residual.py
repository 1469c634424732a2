"""An equation that a network is to solve, as a problem to be trained.

A network u(x) is to satisfy F(u, x) = 0 at every point of a region, and B_j(u, x) = 0
on its boundaries or at the first time. What is lowered is the mean over points of

    |F(u, x)|² + Σ_j w_j |B_j(u, x_j)|².

A sample is one point of the region and one for each condition. A batch therefore has
both means at once, each sample has a few rows, and no row is computed to be masked.
Second-order methods know the rows one by one; a dense layer that is differentiated is
still one, so that the Gram matrix comes from the layers' factors.

References: Lagaris, Likas & Fotiadis, IEEE Transactions on Neural Networks 9, 1998;
Raissi, Perdikaris & Karniadakis, Journal of Computational Physics 378, 2019.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxphys import losses
from jaxphys.checks import check_count, check_function, check_positive, checked
from jaxphys.precision import exact
from jaxphys.problems.composed import closed_loop
from jaxphys.types import Array, Problem, PyTree

__all__ = ["Condition", "derivatives", "residual", "solution"]

#: A function of a point, u(x).
_Field = Callable[[Array], Array]
#: What draws points, `points(key) -> x`; or an array of them.
_Points = Callable[[Array], Array] | Array


class Condition(NamedTuple):
    """What holds on a boundary, or at the first time.

    Attributes:
      rows: `rows(u, x) -> ()` or `(k,)`, zero where the condition holds.
      points: `points(key) -> x`, one random point there; or an array of points.
      weight: w > 0 of its squares, beside those of the equation.
    """

    rows: Callable[[_Field, Array], Array]
    points: _Points
    weight: float = 1.0


@checked(u=check_function)
def derivatives(
    u: _Field, x: Array, axis: int | None = None, *, order: int = 2
) -> tuple[Array, ...]:
    """A function and its derivatives along one axis: (u, ∂u, ∂²u, …) at x.

    They are forward derivatives of each other, which cost less than reverse ones.

    Args:
      u: `u(x)`, a scalar or an array.
      x: the point, shape () or (n,).
      axis: which coordinate of x; None for a scalar x.
      order: of the highest derivative, ≥ 0.

    Returns:
      order + 1 arrays of the shape of u.

    Raises:
      ValueError: for an axis that x does not have.

    Example:
      >>> u = lambda x: x[0] * x[1] ** 3
      >>> print(*derivatives(u, jnp.array([1.0, 2.0]), 1))
      8.0 12.0 12.0
    """
    check_count("order", order, 0)
    x = jnp.asarray(x)
    if axis is None:
        fits = x.ndim == 0
    else:
        fits = isinstance(axis, int) and x.ndim == 1 and -x.size <= axis < x.size
    if not fits:
        raise ValueError(
            f"got axis {axis} for a point of shape {x.shape}; expected axis=None for a "
            "scalar, or one of the coordinates of a vector."
        )
    along = jnp.ones_like(x) if axis is None else jnp.zeros_like(x).at[axis].set(1)

    def all_to(highest: int) -> Callable[[Array], tuple[Array, ...]]:
        if highest == 0:
            return lambda x: (jnp.asarray(u(x)),)
        lower = all_to(highest - 1)

        def found(x: Array) -> tuple[Array, ...]:
            values, rates = jax.jvp(lower, (x,), (along,))
            return (*values, rates[-1])

        return found

    return all_to(order)(x)


@checked(equation=check_function)
def residual(
    equation: Callable[[_Field, Array], Array],
    points: _Points,
    *,
    conditions: Sequence[Condition] = (),
    ansatz: Callable[[_Field, Array], Array] | None = None,
    num_fields: int = 1,
    num_inputs: int | None = None,
    name: str = "residual",
) -> Problem:
    """The problem of an equation, whose solution is a network.

    Args:
      equation: `equation(u, x) -> ()` or `(k,)`, zero where u solves it. u is a
        function: differentiate it by `derivatives`, `jax.grad`, `jax.jvp`.
      points: `points(key) -> x`, one random point of the region, of shape () or (n,);
        or an array of points with a leading axis, which stay what they are.
      conditions: a `Condition` each, of what holds on boundaries and at first.
      ansatz: `ansatz(network, x) -> u(x)`, which makes conditions hold for any weights:
        `lambda net, t: x0 + t * net(t)` starts at x0. None for u = network. What cannot
        be violated needs no row, no weight and no points, and trains much better.
      num_fields: outputs of the network. With one of them `network(x)` is a scalar,
        else of shape (num_fields,).
      num_inputs: of the network, where the ansatz hands it something else than x, such
        as (t, sin x, cos x); by default the size of x.
      name: of the problem.

    Returns:
      A `Problem` whose sample is a tuple of points, of the region and of each
      condition. It composes with `outputs`, `steered` and `jaxphys.compare` as the
      others do. Its `simulate` takes the network itself, `simulate(network, points) ->
      (d,)`, and `follow(network, x) -> u(x)` is the solution; see `solution`.

    Raises:
      ValueError: where shapes do not fit together, or a weight is not positive.

    Example:
      x′ = −x from 1, whose solution has no residual:

      >>> problem = residual(
      ...     lambda u, t: jax.grad(u)(t) + u(t),
      ...     lambda key: jax.random.uniform(key, maxval=2.0),
      ...     conditions=[Condition(lambda u, t: u(t) - 1, jnp.zeros(1))],
      ... )
      >>> point, _ = problem.sample(jax.random.key(0), 5)
      >>> rows = jax.vmap(lambda x: problem.simulate(lambda t: jnp.exp(-t), x))(point)
      >>> rows.shape, bool(jnp.all(jnp.abs(rows) < 1e-6))
      ((5, 2), True)
    """
    check_count("num_fields", num_fields)
    if num_inputs is not None:
        check_count("num_inputs", num_inputs)
    for number, condition in enumerate(conditions):
        check_positive(f"the weight of condition {number}", condition.weight)
    everywhere = [points, *(condition.points for condition in conditions)]
    asked = [equation, *(condition.rows for condition in conditions)]
    roots = [1.0, *(condition.weight**0.5 for condition in conditions)]

    def solved(network: Callable, x: Array) -> Array:
        def field(z: Array) -> Array:
            values = network(jnp.ravel(z))
            if num_fields > 1:
                return values
            return jnp.reshape(values, ())

        return field(x) if ansatz is None else ansatz(field, x)

    @exact
    def simulate(network: Callable, inputs: tuple[Array, ...]) -> Array:
        def u(x: Array) -> Array:
            return solved(network, x)

        rows = [
            root * jnp.ravel(held(u, x))
            for root, held, x in zip(roots, asked, inputs, strict=True)
        ]
        return jnp.concatenate(rows)

    def sample(key: Array, num_samples: int) -> tuple[PyTree, PyTree]:
        keys = jax.random.split(key, len(everywhere))
        found = tuple(
            _drawn(each, key, num_samples)
            for each, key in zip(everywhere, keys, strict=True)
        )
        return found, found

    size, rows = _sizes(everywhere, asked, simulate, ansatz, num_fields, num_inputs)
    return Problem(
        name=name,
        num_inputs=size,
        num_controls=num_fields,
        num_outputs=rows,
        sample=sample,
        simulate=simulate,
        objective=losses.squared_size,
        follow=exact(solved),
    )


def solution(problem: Problem, model: Any) -> Callable[[PyTree, Array], Array]:
    """What a network makes of an equation, `u(params, x)` at one point.

    Args:
      problem: of `residual`.
      model: the network; see `network_for`.

    Example:
      >>> from jaxphys import models
      >>> problem = residual(
      ...     lambda u, t: jax.grad(u)(t) + u(t),
      ...     lambda key: jax.random.uniform(key),
      ...     ansatz=lambda net, t: 1 + t * net(t),
      ... )
      >>> model = models.mlp((1, 8, 1))
      >>> u = solution(problem, model)
      >>> print(u(model.init(jax.random.key(0)), jnp.array(0.0)))
      1.0
    """
    return closed_loop(problem, model)


def _drawn(points: _Points, key: Array, num_samples: int) -> Array:
    """_Points of a sampler; or of an array, each as often as any other."""
    if callable(points):
        return jax.vmap(points)(jax.random.split(key, num_samples))
    fixed = jnp.asarray(points)
    order = jax.random.permutation(key, len(fixed))
    return fixed[order[jnp.arange(num_samples) % len(fixed)]]


def _sizes(
    everywhere: list,
    asked: list,
    simulate: Callable,
    ansatz: Callable | None,
    num_fields: int,
    num_inputs: int | None,
) -> tuple[int, int]:
    """Of the network's inputs, and of the rows of a sample; checks that all fit."""
    found: list[Any] = []
    for number, points in enumerate(everywhere):
        where = "the region" if number == 0 else f"condition {number - 1}"
        point: Any
        if callable(points):
            point = jax.eval_shape(points, jax.random.key(0))
        elif getattr(points, "ndim", 0) in (1, 2) and len(points):
            point = jax.eval_shape(lambda x: jnp.asarray(x)[0], points)
        else:
            point = None
        if getattr(point, "ndim", 2) > 1:
            got = getattr(points if point is None else point, "shape", repr(points))
            raise ValueError(
                f"the points of {where} are {got}; expected points(key) that gives "
                "shape () or (n,), or an array of such points with a leading axis."
            )
        found.append(point)
    shapes = {point.shape for point in found}
    if len(shapes) > 1:
        raise ValueError(
            f"points have shapes {sorted(shapes)}; expected one shape for the region "
            "and all conditions."
        )
    size = num_inputs or max(1, found[0].size)
    shape = None if ansatz is not None and num_inputs is None else (size,)

    def network(z: Array) -> Array:
        if shape is not None and z.shape != shape:
            raise ValueError(
                f"the network is handed shape {z.shape}; expected {shape}. Set "
                "num_inputs to what the ansatz hands it."
            )
        return jnp.zeros(num_fields, z.dtype)

    rows: Any = jax.eval_shape(lambda *x: simulate(network, x), *found)
    return size, rows.size
