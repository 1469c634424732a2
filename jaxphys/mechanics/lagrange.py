"""The equations of Euler and Lagrange, solved for the acceleration.

M q̈ = ∂L/∂q − (∂²L/∂q∂v) v with M = ∂²L/∂v∂v, by differentiating L, which may be
analytic or a network. Where L depends on time it takes t as a fourth argument.

Reference: Cranmer et al., Lagrangian Neural Networks, 2020,
https://arxiv.org/abs/2003.04630.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys._jaxpr.curvature import curvature
from jaxphys._jaxpr.walk import exact_jvp
from jaxphys.checks import check_function, checked, has
from jaxphys.linalg import cyclic_solve, symmetric_solve
from jaxphys.mechanics._checks import Force, of_law, scalar
from jaxphys.mechanics.hamilton import hamiltonian_vector_field
from jaxphys.precision import exact
from jaxphys.types import (
    Array,
    Lagrangian,
    PyTree,
    System,
    TangentState,
    VectorField,
    check_pair,
    check_state,
)

__all__ = [
    "TorqueParts",
    "acceleration",
    "controlled_lagrangian",
    "energy",
    "equations_of_motion",
    "inverse_dynamics",
    "lagrangian_vector_field",
    "lattice_acceleration",
    "mass_condition",
    "mass_matrix",
    "momentum",
    "split_torque",
    "torque_parts",
    "vector_field",
]


@checked(lagrangian=check_function, force=check_function)
def controlled_lagrangian(
    lagrangian: Lagrangian, force: Callable[[Array], Array]
) -> Lagrangian:
    """Add an external generalized force: L(params, q, v) + q·F(u), args (params, u).

    Example:
      >>> import jax.numpy as jnp
      >>> free = lambda mass, q, v: mass * v @ v / 2
      >>> pushed = controlled_lagrangian(free, lambda u: jnp.array([u]))
      >>> print(acceleration(pushed)((2.0, 3.0), jnp.zeros(1), jnp.zeros(1)))
      [1.5]
    """

    @exact
    def total(args, q: Array, v: Array, *t: Array) -> Array:
        check_pair("controlled_lagrangian", "v", q, v)
        params, control = args
        return lagrangian(params, q, v, *t) + q @ force(control)

    return total


@checked(lagrangian=check_function)
def equations_of_motion(
    lagrangian: Lagrangian, *, time_dependent: bool = False
) -> Callable[..., tuple[Array, Array]]:
    """M and h of M(q, v) q̈ = h, with h = ∂L/∂q − (∂²L/∂q∂v) v − ∂²L/∂t∂v.

    All of it comes of one sweep with n + 1 tangents (`jaxphys.curvature`): along each
    velocity, and along the motion as it is without acceleration.

    Args:
      lagrangian: L(params, q, v) -> scalar, or L(params, q, v, t).
      time_dependent: whether L takes t.

    Returns:
      `equations(params, q, v) -> (M, h)`, or of (params, q, v, t), with M symmetric of
      shape (n, n) and h of shape (n,).

    Example:
      >>> import jax.numpy as jnp
      >>> fall = lambda g, q, v: 2.0 * v @ v / 2 - 2.0 * g * q[0]
      >>> M, h = equations_of_motion(fall)(9.8, jnp.ones(1), jnp.ones(1))
      >>> print(M, h)
      [[2.]] [-19.6]
    """
    checked = scalar(lagrangian)

    @exact
    def equations(params: PyTree, q: Array, v: Array, *t: Array):
        check_pair("the Lagrangian", "v", q, v)
        n = q.shape[0]
        point = (q, v, jnp.asarray(t[0], q.dtype)) if time_dependent else (q, v)
        # Row i < n moves v along its axis i, the last moves q along v, and t with it.
        along_q = jnp.concatenate([jnp.zeros((n, n), v.dtype), v[None]])
        along_v = jnp.eye(n + 1, n, dtype=v.dtype)
        along_t = jnp.eye(1, n + 1, n, dtype=v.dtype)[0]
        directions = (along_q, along_v, along_t)[: len(point)]
        bent = curvature(lambda *point: checked(params, *point), point, directions)
        return bent.matrix[:n, :n], bent.gradient[0] - bent.matrix[n, :n]

    return equations


@of_law
def acceleration(
    lagrangian: Lagrangian,
    *,
    force: Force | None = None,
    dissipation: Callable | None = None,
    time_dependent: bool = False,
    regularization: float = 0.0,
    positive: bool = False,
) -> Callable[..., Array]:
    """q̈ = (M + ε I)⁻¹ [∂L/∂q − (∂²L/∂q∂v) v − ∂R/∂v + F], with M = ∂²L/∂v∂v.

    M is solved in closed form for n ≤ 3, by a factorization for n > 3. If it is
    singular the result is not finite; `mass_condition` detects that, `regularization`
    avoids it.

    Args:
      lagrangian: L(params, q, v) -> scalar, for q, v of shape (n,).
      force: an external generalized force F(t, y, params) -> (n,), y a TangentState.
      dissipation: Rayleigh's function R(params, q, v) -> scalar.
      time_dependent: whether the Lagrangian is L(params, q, v, t).
      regularization: ε, added to the diagonal of M.
      positive: whether M is positive definite by construction, so that a Cholesky
        factorization can be used.

    Returns:
      `a(params, q, v) -> (n,)`, with t as a fourth argument if the energy or the force
      depends on it. It raises a ValueError unless q and v are one state of real numbers
      and L is a scalar.

    Example:
      >>> import jax.numpy as jnp
      >>> pendulum = lambda g, q, v: v @ v / 2 + g * jnp.cos(q[0])
      >>> print(acceleration(pendulum)(9.8, jnp.array([jnp.pi / 2]), jnp.zeros(1)))
      [-9.8]

    Reference: Cranmer et al., Lagrangian Neural Networks, 2020,
    https://arxiv.org/abs/2003.04630, eq. 6.
    """
    equations = equations_of_motion(lagrangian, time_dependent=time_dependent)
    torque = inverse_dynamics(lagrangian)

    def outside(params: PyTree, q: Array, v: Array, *t: Array) -> Array:
        push = jnp.zeros_like(q)
        if dissipation is not None:
            push = push - jax.grad(scalar(dissipation), 2)(params, q, v)
        if force is not None:
            at = t[0] if t else jnp.zeros(())
            push = push + force(at, TangentState(q, v), params)
        return push

    def motion(params: PyTree, q: Array, v: Array, *t: Array) -> tuple[Array, Array]:
        mass, push = equations(params, q, v, *t)
        if regularization:
            mass = mass + regularization * jnp.eye(q.shape[0], dtype=mass.dtype)
        return mass, push + outside(params, q, v, *t)

    def unbalanced(a: Array, params: PyTree, q: Array, v: Array, *t: Array) -> Array:
        """h − M a, by the derivative of ∂L/∂v along the motion with this a."""
        needed = torque(params, q, v, a, *(t if time_dependent else ()))
        return outside(params, q, v, *t) - needed - regularization * a

    @exact
    def accelerate(params: PyTree, q: Array, v: Array, *t: Array) -> Array:
        check_pair("the Lagrangian", "v", q, v)
        return _solved(
            lambda *point: motion(params, *point),
            lambda a, *point: unbalanced(a, params, *point),
            (q, v, *(jnp.asarray(x, q.dtype) for x in t)),
            positive,
        )

    return accelerate


def _solved(
    motion: Callable, unbalanced: Callable, point: tuple[Array, ...], positive: bool
) -> Array:
    """a = M⁻¹ h, with derivatives da = M⁻¹ d(h − M a) taken at a constant a."""
    # This costs one direction of second derivatives for any n; differentiating all of M
    # would cost n + 1. The values that the functions close over, such as the params,
    # become arguments, as a custom derivative is one by its arguments only.
    moving, first = jax.closure_convert(motion, *point)
    balance, second = jax.closure_convert(unbalanced, point[0], *point)

    # The rule is the derivative itself, so networks are followed through it.
    @exact_jvp
    def solve(point: tuple, first: list, second: list) -> Array:
        return symmetric_solve(*moving(*point, *first), positive=positive)

    @solve.defjvp
    def derivative(values: tuple, rates: tuple) -> tuple[Array, Array]:
        point, first, second = values
        # XLA moves what is constant in a loop out of `moving` and out of `balance`, and
        # then no longer sees what both share. The barrier hides that the point may be
        # constant.
        point, _ = jax.lax.optimization_barrier((point, second))
        mass, push = moving(*point, *first)
        a = symmetric_solve(mass, push, positive=positive)

        def left(point: tuple, second: list) -> Array:
            return balance(a, *point, *second)

        _, change = jax.jvp(left, (point, second), (rates[0], rates[2]))
        return a, symmetric_solve(mass, change, positive=positive)

    return solve(point, first, second)


@checked(density=check_function)
def lattice_acceleration(density: Lagrangian) -> Callable[..., Array]:
    """The acceleration of L = Σ ℓ(bond i) on a ring of nodes, in linear time.

    A bond joins node i and its right neighbor. Each adds a 2 × 2 part to M and two
    forces, so M is cyclic tridiagonal.

    Args:
      density: ℓ(params, q, v) -> scalar, for the two coordinates of a bond, (2,) each.

    Returns:
      `a(params, q, v) -> (n,)` for n ≥ 3 nodes.

    Example:
      >>> import jax.numpy as jnp
      >>> string = lambda c, q, v: v[0] ** 2 / 2 - c * (q[1] - q[0]) ** 2 / 2
      >>> q = jnp.array([1.0, 0.0, 0.0, 0.0])
      >>> print(lattice_acceleration(string)(1.0, q, jnp.zeros(4)))
      [-2.  1.  0.  1.]
    """
    equations = equations_of_motion(density)

    @exact
    def accelerate(params: PyTree, q: Array, v: Array) -> Array:
        check_pair("the lattice", "v", q, v)
        if q.shape[0] < 3:
            raise ValueError(
                f"the lattice got {q.shape[0]} nodes; expected at least 3, a ring."
            )
        bonds = (jnp.stack([x, jnp.roll(x, -1)], axis=1) for x in (q, v))
        mass, push = jax.vmap(equations, (None, 0, 0))(params, *bonds)
        return cyclic_solve(
            mass[:, 0, 0] + jnp.roll(mass[:, 1, 1], 1),
            mass[:, 0, 1],
            push[:, 0] + jnp.roll(push[:, 1], 1),
        )

    return accelerate


@of_law
def lagrangian_vector_field(
    lagrangian: Lagrangian,
    *,
    force: Force | None = None,
    dissipation: Callable | None = None,
    time_dependent: bool = False,
    regularization: float = 0.0,
    positive: bool = False,
) -> VectorField:
    """The equations of Euler and Lagrange: dq/dt = v, dv/dt = `acceleration`.

    Args: those of `acceleration`.

    Returns:
      `f(t, TangentState, params) -> TangentState`.

    Example:
      >>> import jax.numpy as jnp
      >>> field = lagrangian_vector_field(lambda k, q, v: (v @ v - k * q @ q) / 2)
      >>> rate = field(0.0, TangentState(jnp.array([1.0]), jnp.array([0.5])), 4.0)
      >>> print(rate.q, rate.v)
      [0.5] [-4.]
    """
    accelerate = acceleration(
        lagrangian,
        force=force,
        dissipation=dissipation,
        time_dependent=time_dependent,
        regularization=regularization,
        positive=positive,
    )
    timed = time_dependent or force is not None

    @exact
    def field(t: Array, y: TangentState, params: PyTree) -> TangentState:
        check_state("lagrangian_vector_field", y, TangentState)
        return TangentState(y.v, accelerate(params, *y, *((t,) if timed else ())))

    return field


@checked(system=has("a System", "params", "sample"))
def vector_field(system: System) -> VectorField:
    """A system's equations of motion, with its dissipation and its external force.

    Hamilton's equations, of a PhaseState, if the system has a Hamiltonian; those of
    Euler and Lagrange, of a TangentState, otherwise.

    Raises:
      ValueError: for a system with neither energy.
    """
    options: dict = {"force": system.force, "dissipation": system.dissipation}
    if system.hamiltonian is not None:
        return hamiltonian_vector_field(system.hamiltonian, **options)
    if system.lagrangian is not None:
        return lagrangian_vector_field(system.lagrangian, **options)
    raise ValueError(
        f"{system.name} has neither a Hamiltonian nor a Lagrangian; give it one."
    )


@checked(lagrangian=check_function, dissipation=check_function)
def inverse_dynamics(
    lagrangian: Lagrangian, *, dissipation: Callable | None = None
) -> Callable[..., Array]:
    """The force that gives an acceleration: τ = d/dt ∂L/∂v − ∂L/∂q + ∂R/∂v.

    d/dt is a directional derivative, along the motion with that acceleration.

    Args:
      lagrangian: L(params, q, v) -> scalar, or L(params, q, v, t).
      dissipation: Rayleigh's function R(params, q, v) -> scalar.

    Returns:
      `torque(params, q, v, a) -> (n,)`, or of (params, q, v, a, t).

    Example:
      >>> import jax.numpy as jnp
      >>> pendulum = lambda g, q, v: v @ v / 2 + g * jnp.cos(q[0])
      >>> at = jnp.array([jnp.pi / 2]), jnp.zeros(1), jnp.array([1.0])
      >>> print(inverse_dynamics(pendulum)(9.8, *at))
      [10.8]
    """
    gradient = jax.grad(scalar(lagrangian), argnums=(1, 2))

    @exact
    def torque(params: PyTree, q: Array, v: Array, a: Array, *t: Array) -> Array:
        check_pair("inverse_dynamics", "v", q, v, a=a)

        def momentum_of(q: Array, v: Array, *t: Array) -> tuple[Array, Array]:
            dq, dv = gradient(params, q, v, *t)
            return dv, dq

        ones = tuple(map(jnp.ones_like, t))
        _, rate, dq = jax.jvp(momentum_of, (q, v, *t), (v, a, *ones), has_aux=True)
        if dissipation is not None:
            rate = rate + jax.grad(scalar(dissipation), 2)(params, q, v)
        return rate - dq

    return torque


class TorqueParts(NamedTuple):
    """The parts of a torque, each (n,): M q̈, C(q, v) v and g(q)."""

    inertia: Array
    coriolis: Array
    gravity: Array


@checked(lagrangian=check_function)
def torque_parts(lagrangian: Lagrangian) -> Callable[..., TorqueParts]:
    """M(q) q̈, C(q, v) v and g(q), separated by setting v or q̈ to zero.

    They add up to `inverse_dynamics` if L = ½ vᵀ M(q) v − V(q).

    Returns:
      `parts(params, q, v, a) -> TorqueParts`.

    Example:
      >>> import jax.numpy as jnp
      >>> pendulum = lambda g, q, v: v @ v / 2 + g * jnp.cos(q[0])
      >>> at = jnp.array([jnp.pi / 2]), jnp.ones(1), jnp.array([2.0])
      >>> [float(x[0]) for x in torque_parts(pendulum)(9.0, *at)]
      [2.0, 0.0, 9.0]

    Reference: Lutter, Ritter & Peters, Deep Lagrangian Networks, 2019,
    https://arxiv.org/abs/1907.04490.
    """
    return split_torque(inverse_dynamics(lagrangian))


@checked(torque=check_function)
def split_torque(torque: Callable[..., Array]) -> Callable[..., TorqueParts]:
    """The parts of any inverse model `torque(params, q, v, a)`; see `torque_parts`.

    Example:
      >>> import jax.numpy as jnp
      >>> push = lambda mass, q, v, a: mass * a + 3.0
      >>> parts = split_torque(push)(2.0, jnp.ones(1), jnp.ones(1), jnp.ones(1))
      >>> [float(x[0]) for x in parts]
      [2.0, 0.0, 3.0]
    """

    def parts(params: PyTree, q: Array, v: Array, a: Array) -> TorqueParts:
        check_pair("split_torque", "v", q, v, a=a)
        rest = jnp.zeros_like(v)
        gravity = torque(params, q, rest, rest)
        inertia = torque(params, q, rest, a) - gravity
        return TorqueParts(inertia, torque(params, q, v, rest) - gravity, gravity)

    return parts


@checked(lagrangian=check_function)
def momentum(lagrangian: Lagrangian) -> Callable[..., Array]:
    """The momentum conjugate to q: p(params, q, v) = ∂L/∂v, shape (n,).

    Example:
      >>> import jax.numpy as jnp
      >>> print(momentum(lambda m, q, v: m * v @ v / 2)(3.0, jnp.ones(1), jnp.ones(1)))
      [3.]
    """

    @exact
    def conjugate(params: PyTree, q: Array, v: Array, *t: Array) -> Array:
        check_pair("momentum", "v", q, v)
        return jax.grad(scalar(lagrangian), 2)(params, q, v, *t)

    return conjugate


@checked(lagrangian=check_function)
def energy(lagrangian: Lagrangian) -> Callable[..., Array]:
    """The energy of a Lagrangian, e(params, q, v) = v·∂L/∂v − L, a scalar.

    Example:
      >>> import jax.numpy as jnp
      >>> spring = lambda k, q, v: (v @ v - k * q @ q) / 2
      >>> print(energy(spring)(4.0, jnp.array([1.0]), jnp.array([2.0])))
      4.0
    """

    @exact
    def total(params: PyTree, q: Array, v: Array, *t: Array) -> Array:
        check_pair("energy", "v", q, v)
        value, p = jax.value_and_grad(scalar(lagrangian), 2)(params, q, v, *t)
        return v @ p - value

    return total


@checked(lagrangian=check_function)
def mass_matrix(lagrangian: Lagrangian) -> Callable[..., Array]:
    """M(params, q, v) = ∂²L/∂v∂v, shape (n, n), symmetric.

    Example:
      >>> import jax.numpy as jnp
      >>> free = lambda m, q, v: m * v @ v / 2
      >>> print(mass_matrix(free)(3.0, jnp.ones(1), jnp.ones(1)))
      [[3.]]
    """

    @exact
    def matrix(params: PyTree, q: Array, v: Array, *t: Array) -> Array:
        check_pair("mass_matrix", "v", q, v)
        hessian = jax.hessian(scalar(lagrangian), 2)(params, q, v, *t)
        return (hessian + hessian.T) / 2

    return matrix


@checked(lagrangian=check_function)
def mass_condition(lagrangian: Lagrangian) -> Callable[..., Array]:
    """The smallest over the largest |eigenvalue| of M: near zero, M is singular.

    Example:
      >>> import jax.numpy as jnp
      >>> flat = lambda params, q, v: (v[0] + v[1]) ** 2
      >>> print(mass_condition(flat)(None, jnp.ones(2), jnp.ones(2)) < 1e-6)
      True
    """
    matrix = mass_matrix(lagrangian)

    @exact
    def condition(params: PyTree, q: Array, v: Array, *t: Array) -> Array:
        sizes = jnp.abs(jnp.linalg.eigvalsh(matrix(params, q, v, *t)))
        largest = jnp.max(sizes)
        return jnp.where(largest > 0, jnp.min(sizes) / largest, 0)

    return condition
