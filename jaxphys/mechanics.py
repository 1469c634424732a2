"""From an energy to its dynamics, by automatic differentiation.

Hamilton's equations are dq/dt = ∂H/∂p, dp/dt = −∂H/∂q; the equations of Euler and
Lagrange, solved for the acceleration, M q̈ = ∂L/∂q − (∂²L/∂q∂v) v with M = ∂²L/∂v∂v.
An energy may be analytic or a network; it is a function of one state, unbatched, and
where it depends on time it takes t as a fourth argument.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys._jaxpr.curvature import curvature
from jaxphys._jaxpr.walk import exact_jvp
from jaxphys.linalg import cyclic_solve, symmetric_solve
from jaxphys.roots import RootInfo, find_root
from jaxphys.types import (
    Array,
    Hamiltonian,
    Lagrangian,
    PhaseState,
    PyTree,
    System,
    TangentState,
    VectorField,
    check_pair,
    check_state,
)

Force = Callable[[Array, PyTree, PyTree], Array]


def _scalar(energy: Callable) -> Callable:
    """The same energy, with a clear error where it is not a scalar."""

    def checked(*args):
        value = energy(*args)
        if jnp.shape(value) != ():
            raise ValueError(
                f"the energy returned shape {jnp.shape(value)}; expected a scalar, "
                "shape (). Sum over particles, or index the one entry."
            )
        return value

    return checked


def hamiltonian_vector_field(
    hamiltonian: Hamiltonian,
    *,
    force: Force | None = None,
    dissipation: Callable | None = None,
    time_dependent: bool = False,
) -> VectorField:
    """Hamilton's equations of H: dq/dt = ∂H/∂p, dp/dt = −∂H/∂q − ∂R/∂v + F.

    Args:
      hamiltonian: H(params, q, p) -> scalar, for q, p of shape (n,).
      force: an external generalized force F(t, y, params) -> (n,), y a PhaseState.
      dissipation: Rayleigh's function R(params, q, v) -> scalar, v being ∂H/∂p.
      time_dependent: whether the energy is H(params, q, p, t).

    Returns:
      `f(t, PhaseState, params) -> PhaseState`; it raises a ValueError where q and p are
      not one state of real numbers, or H is not a scalar.

    Example:
      >>> import jax.numpy as jnp
      >>> field = hamiltonian_vector_field(lambda k, q, p: (p @ p + k * q @ q) / 2)
      >>> rate = field(0.0, PhaseState(jnp.array([1.0]), jnp.array([0.0])), 4.0)
      >>> print(rate.q, rate.p)
      [0.] [-4.]

    Reference: Landau & Lifshitz, Mechanics, § 40; for R, § 25.
    """
    gradient = jax.grad(_scalar(hamiltonian), argnums=(1, 2))

    def field(t: Array, y: PhaseState, params: PyTree) -> PhaseState:
        check_state("hamiltonian_vector_field", y, PhaseState)
        dq, v = gradient(params, *y, *((t,) if time_dependent else ()))
        push = -dq
        if dissipation is not None:
            push = push - jax.grad(_scalar(dissipation), 2)(params, y.q, v)
        if force is not None:
            push = push + force(t, y, params)
        return PhaseState(v, push)

    return field


def controlled(
    hamiltonian: Hamiltonian, force: Callable[[Array], Array]
) -> Hamiltonian:
    """Add an external generalized force: H(params, q, p) − q·F(u), args (params, u).

    Args:
      hamiltonian: H(params, q, p).
      force: F(u) of shape (n,), the generalized force of a control u.

    Returns:
      A Hamiltonian whose params are the pair (params, u), so that dp/dt gains F(u).

    Example:
      >>> import jax.numpy as jnp
      >>> free = lambda params, q, p: p @ p / 2
      >>> pushed = controlled(free, lambda u: jnp.array([u]))
      >>> field = hamiltonian_vector_field(pushed)
      >>> state = PhaseState(jnp.zeros(1), jnp.zeros(1))
      >>> print(field(0.0, state, (None, 3.0)).p)
      [3.]
    """

    def total(args, q: Array, p: Array, *t: Array) -> Array:
        params, control = args
        return hamiltonian(params, q, p, *t) - q @ force(control)

    return total


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

    def total(args, q: Array, v: Array, *t: Array) -> Array:
        params, control = args
        return lagrangian(params, q, v, *t) + q @ force(control)

    return total


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
    checked = _scalar(lagrangian)

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

    M is solved in closed form for n ≤ 3, by a factorization above; where it is
    singular the result is not finite, which `mass_condition` foretells and
    `regularization` mends.

    Args:
      lagrangian: L(params, q, v) -> scalar, for q, v of shape (n,).
      force: an external generalized force F(t, y, params) -> (n,), y a TangentState.
      dissipation: Rayleigh's function R(params, q, v) -> scalar.
      time_dependent: whether the Lagrangian is L(params, q, v, t).
      regularization: ε, added to the diagonal of M.
      positive: whether M is positive definite by construction, so that a Cholesky
        factorization serves.

    Returns:
      `a(params, q, v) -> (n,)`, which takes t as a fourth argument where the energy or
      the force depends on it. It raises a ValueError where q and v are not one state
      of real numbers, or L is not a scalar.

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
            push = push - jax.grad(_scalar(dissipation), 2)(params, q, v)
        if force is not None:
            push = push + force(
                t[0] if t else jnp.zeros(()), TangentState(q, v), params
            )
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

    def accelerate(params: PyTree, q: Array, v: Array, *t: Array) -> Array:
        check_pair("the Lagrangian", "v", q, v)
        return _solved(
            lambda *point: motion(params, *point),
            lambda a, *point: unbalanced(a, params, *point),
            (q, v, *(jnp.asarray(x, q.dtype) for x in t)),
            positive,
        )

    return accelerate


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
    gradient = jax.grad(_scalar(lagrangian), argnums=(1, 2))

    def torque(params: PyTree, q: Array, v: Array, a: Array, *t: Array) -> Array:
        check_pair("inverse_dynamics", "v", q, v)

        def momentum_of(q: Array, v: Array, *t: Array) -> tuple[Array, Array]:
            dq, dv = gradient(params, q, v, *t)
            return dv, dq

        ones = tuple(map(jnp.ones_like, t))
        _, rate, dq = jax.jvp(momentum_of, (q, v, *t), (v, a, *ones), has_aux=True)
        if dissipation is not None:
            rate = rate + jax.grad(_scalar(dissipation), 2)(params, q, v)
        return rate - dq

    return torque


class TorqueParts(NamedTuple):
    """What a torque is spent on, each (n,): to accelerate, to turn, to hold."""

    inertia: Array
    coriolis: Array
    gravity: Array


def torque_parts(lagrangian: Lagrangian) -> Callable[..., TorqueParts]:
    """M(q) q̈, C(q, v) v and g(q), told apart by leaving out what they depend on.

    They add up to `inverse_dynamics` where L = ½ vᵀ M(q) v − V(q), as in mechanics.

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
        rest = jnp.zeros_like(v)
        gravity = torque(params, q, rest, rest)
        inertia = torque(params, q, rest, a) - gravity
        return TorqueParts(inertia, torque(params, q, v, rest) - gravity, gravity)

    return parts


def _solved(
    motion: Callable, unbalanced: Callable, point: tuple[Array, ...], positive: bool
) -> Array:
    """a = M⁻¹ h, with derivatives da = M⁻¹ d(h − M a) taken at a constant a.

    So they cost what one direction of second derivatives does, whatever the number of
    coordinates, where those of all of M would cost n + 1. What the functions close over
    is differentiated as well.
    """
    moving, first = jax.closure_convert(motion, *point)
    balance, second = jax.closure_convert(unbalanced, point[0], *point)

    # The rule is the derivative itself, so networks are followed through it.
    @exact_jvp
    def solve(point: tuple, first: list, second: list) -> Array:
        return symmetric_solve(*moving(*point, *first), positive=positive)

    @solve.defjvp
    def derivative(values: tuple, rates: tuple) -> tuple[Array, Array]:
        point, first, second = values
        # What does not vary XLA moves out of a loop, from each function by itself, and
        # then no longer sees what they share; so the point is made to vary.
        point, _ = jax.lax.optimization_barrier((point, second))
        mass, push = moving(*point, *first)
        a = symmetric_solve(mass, push, positive=positive)

        def left(point: tuple, second: list) -> Array:
            return balance(a, *point, *second)

        _, change = jax.jvp(left, (point, second), (rates[0], rates[2]))
        return a, symmetric_solve(mass, change, positive=positive)

    return solve(point, first, second)


def lattice_acceleration(density: Lagrangian) -> Callable[..., Array]:
    """The acceleration of L = Σ ℓ(bond i) on a ring of nodes, in linear time.

    A bond joins node i and its right neighbour. Each adds its own 2 × 2 part to M and
    its own two forces, so that M is tridiagonal but for the corners.

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

    def field(t: Array, y: TangentState, params: PyTree) -> TangentState:
        check_state("lagrangian_vector_field", y, TangentState)
        return TangentState(y.v, accelerate(params, *y, *((t,) if timed else ())))

    return field


def vector_field(system: System) -> VectorField:
    """A system's equations of motion, with its dissipation and its external force.

    They are Hamilton's, of a PhaseState, where the system has a Hamiltonian, and those
    of Euler and Lagrange, of a TangentState, otherwise.
    """
    force, dissipation = system.force, system.dissipation
    if system.hamiltonian is not None:
        return hamiltonian_vector_field(
            system.hamiltonian, force=force, dissipation=dissipation
        )
    if system.lagrangian is not None:
        return lagrangian_vector_field(
            system.lagrangian, force=force, dissipation=dissipation
        )
    raise ValueError(f"{system.name} has neither a Hamiltonian nor a Lagrangian.")


def momentum(lagrangian: Lagrangian) -> Callable[..., Array]:
    """The momentum conjugate to q: p(params, q, v) = ∂L/∂v, shape (n,).

    Example:
      >>> import jax.numpy as jnp
      >>> print(momentum(lambda m, q, v: m * v @ v / 2)(3.0, jnp.ones(1), jnp.ones(1)))
      [3.]
    """

    def conjugate(params: PyTree, q: Array, v: Array, *t: Array) -> Array:
        check_pair("momentum", "v", q, v)
        return jax.grad(_scalar(lagrangian), 2)(params, q, v, *t)

    return conjugate


def velocity(hamiltonian: Hamiltonian) -> Callable[..., Array]:
    """The velocity v(params, q, p) = ∂H/∂p, shape (n,).

    Example:
      >>> import jax.numpy as jnp
      >>> energy = lambda m, q, p: p @ p / (2 * m)
      >>> print(velocity(energy)(2.0, jnp.ones(1), jnp.ones(1)))
      [0.5]
    """

    def conjugate(params: PyTree, q: Array, p: Array, *t: Array) -> Array:
        check_pair("velocity", "p", q, p)
        return jax.grad(_scalar(hamiltonian), 2)(params, q, p, *t)

    return conjugate


def energy(lagrangian: Lagrangian) -> Callable[..., Array]:
    """The energy of a Lagrangian, e(params, q, v) = v·∂L/∂v − L, a scalar.

    Example:
      >>> import jax.numpy as jnp
      >>> spring = lambda k, q, v: (v @ v - k * q @ q) / 2
      >>> print(energy(spring)(4.0, jnp.array([1.0]), jnp.array([2.0])))
      4.0
    """

    def total(params: PyTree, q: Array, v: Array, *t: Array) -> Array:
        check_pair("energy", "v", q, v)
        value, p = jax.value_and_grad(_scalar(lagrangian), 2)(params, q, v, *t)
        return v @ p - value

    return total


def mass_matrix(lagrangian: Lagrangian) -> Callable[..., Array]:
    """M(params, q, v) = ∂²L/∂v∂v, shape (n, n), symmetric.

    Example:
      >>> import jax.numpy as jnp
      >>> free = lambda m, q, v: m * v @ v / 2
      >>> print(mass_matrix(free)(3.0, jnp.ones(1), jnp.ones(1)))
      [[3.]]
    """

    def matrix(params: PyTree, q: Array, v: Array, *t: Array) -> Array:
        check_pair("mass_matrix", "v", q, v)
        hessian = jax.hessian(_scalar(lagrangian), 2)(params, q, v, *t)
        return (hessian + hessian.T) / 2

    return matrix


def mass_condition(lagrangian: Lagrangian) -> Callable[..., Array]:
    """The smallest over the largest |eigenvalue| of M: near zero, M is singular.

    Example:
      >>> import jax.numpy as jnp
      >>> flat = lambda params, q, v: (v[0] + v[1]) ** 2
      >>> print(mass_condition(flat)(None, jnp.ones(2), jnp.ones(2)) < 1e-6)
      True
    """
    matrix = mass_matrix(lagrangian)

    def condition(params: PyTree, q: Array, v: Array, *t: Array) -> Array:
        sizes = jnp.abs(jnp.linalg.eigvalsh(matrix(params, q, v, *t)))
        largest = jnp.max(sizes)
        return jnp.where(largest > 0, jnp.min(sizes) / largest, 0)

    return condition


def natural(
    mass: Callable[[PyTree, Array], Array],
    potential: Callable[[PyTree, Array], Array],
) -> tuple[Hamiltonian, Lagrangian]:
    """Both energies of T − V: H = ½ pᵀ M⁻¹(q) p + V(q), L = ½ vᵀ M(q) v − V(q).

    Args:
      mass: M(params, q), shape (n, n), symmetric and positive definite.
      potential: V(params, q), a scalar.

    Returns:
      H(params, q, p) and L(params, q, v).

    Example:
      >>> import jax.numpy as jnp
      >>> H, L = natural(lambda m, q: jnp.array([[m]]), lambda m, q: q @ q)
      >>> print(H(2.0, jnp.ones(1), jnp.ones(1)), L(2.0, jnp.ones(1), jnp.ones(1)))
      1.25 0.0
    """

    def hamiltonian(params: PyTree, q: Array, p: Array) -> Array:
        v = symmetric_solve(mass(params, q), p, positive=True)
        return p @ v / 2 + potential(params, q)

    def lagrangian(params: PyTree, q: Array, v: Array) -> Array:
        return v @ (mass(params, q) @ v) / 2 - potential(params, q)

    return hamiltonian, lagrangian


def conjugate(
    energy: Hamiltonian | Lagrangian,
    *,
    tolerance: float | None = None,
    max_iterations: int = 50,
) -> Callable[..., tuple[Array, RootInfo]]:
    """The x at which ∂f/∂x(params, q, x) = w: v of a momentum, or p of a velocity.

    Newton's method with halved steps, from x = 0; one iteration where f is quadratic.

    Args:
      energy: f, a Lagrangian or a Hamiltonian.
      tolerance, max_iterations: those of `jaxphys.roots.find_root`.

    Returns:
      `solve(params, q, w) -> (x, RootInfo)`, differentiable.

    Example:
      >>> import jax.numpy as jnp
      >>> v, info = conjugate(lambda m, q, v: m * v @ v / 2)(
      ...     2.0, jnp.zeros(1), jnp.ones(1)
      ... )
      >>> print(v, info.converged)
      [0.5] True
    """
    gradient = jax.grad(_scalar(energy), 2)

    def solve(params: PyTree, q: Array, w: Array, *t: Array):
        check_pair("the Legendre transform", "its second argument", q, w)
        return find_root(
            lambda x: gradient(params, q, x, *t) - w,
            jnp.zeros_like(w),
            tolerance=tolerance,
            max_iterations=max_iterations,
            backtrack=True,
        )

    return solve


def legendre(
    energy: Hamiltonian | Lagrangian,
    *,
    tolerance: float | None = None,
    max_iterations: int = 50,
) -> Callable[..., Array]:
    """The Legendre transform f*(params, q, w) = w·x − f(params, q, x), w = ∂f/∂x.

    It takes a Lagrangian to its Hamiltonian and a Hamiltonian to its Lagrangian: it is
    its own inverse. The root x is found by Newton's method (`conjugate`) and
    differentiated by the implicit function theorem, up to the third order.

    Args:
      energy: a Lagrangian L(params, q, v) or a Hamiltonian H(params, q, p), convex in
        its last argument.
      tolerance, max_iterations: those of `jaxphys.roots.find_root`.

    Returns:
      The other energy, a function of the same form. It is NaN where no root is found:
      ask `conjugate`, which says so.

    Example:
      >>> import jax.numpy as jnp
      >>> lagrangian = lambda m, q, v: m * v @ v / 2 - q[0]
      >>> print(legendre(lagrangian)(2.0, jnp.ones(1), jnp.array([4.0])))
      5.0

    Reference: Arnold, Mathematical Methods of Classical Mechanics, § 14–15.
    """
    solve = conjugate(energy, tolerance=tolerance, max_iterations=max_iterations)

    def transformed(params: PyTree, q: Array, w: Array, *t: Array) -> Array:
        x, info = solve(params, q, w, *t)
        value = w @ x - _scalar(energy)(params, q, x, *t)
        return jnp.where(info.converged, value, jnp.nan)

    return transformed


def poisson_bracket(f: Hamiltonian, g: Hamiltonian) -> Hamiltonian:
    """{f, g} = ∂f/∂q · ∂g/∂p − ∂f/∂p · ∂g/∂q, itself a function of (params, q, p).

    Example:
      >>> import jax.numpy as jnp
      >>> position, momentum = lambda c, q, p: q[0], lambda c, q, p: p[0]
      >>> print(poisson_bracket(position, momentum)(None, jnp.ones(2), jnp.ones(2)))
      1.0

    Reference: Landau & Lifshitz, Mechanics, § 42.
    """

    def bracket(params: PyTree, q: Array, p: Array) -> Array:
        check_pair("poisson_bracket", "p", q, p)
        fq, fp = jax.grad(_scalar(f), argnums=(1, 2))(params, q, p)
        gq, gp = jax.grad(_scalar(g), argnums=(1, 2))(params, q, p)
        return fq @ gp - fp @ gq

    return bracket


class Constrained(NamedTuple):
    """Motion under holonomic constraints φ(q) = 0.

    Attributes:
      acceleration: `a(params, q, v) -> (q̈ of shape (n,), multipliers of shape (k,))`;
        the force of constraint is Gᵀ λ with G = ∂φ/∂q.
      vector_field: `f(t, TangentState, params) -> TangentState`.
      project: `project(TangentState, params) -> TangentState`, the nearest state that
        obeys φ = 0 and G v = 0, in the metric of the mass matrix; give it to
        `integrators.projected`.
    """

    acceleration: Callable[..., tuple[Array, Array]]
    vector_field: VectorField
    project: Callable[[TangentState, PyTree], TangentState]


def constrained(
    lagrangian: Lagrangian,
    constraint: Callable[[PyTree, Array], Array],
    *,
    stabilization: float = 0.0,
    projections: int = 3,
) -> Constrained:
    """Lagrange's equations of the first kind: M q̈ = h + Gᵀ λ, φ(q) = 0.

    The constraint is differentiated twice (index 1): G q̈ = −vᵀ ∂²φ v − 2αφ̇ − α²φ.
    Integration then drifts off φ = 0 slowly; `project` brings it back.

    Args:
      lagrangian: L(params, q, v).
      constraint: φ(params, q) -> (k,), zero where the constraint holds.
      stabilization: Baumgarte's rate α, in 1/time; with projection none is needed.
      projections: Newton iterations of `project`.

    Returns:
      A `Constrained`. Where constraints are redundant, its values are not finite.

    Example:
      >>> import jax.numpy as jnp
      >>> fall = lambda g, q, v: v @ v / 2 - g * q[1]
      >>> circle = lambda g, q: (q @ q - 1)[None]
      >>> swing = constrained(fall, circle)
      >>> a, tension = swing.acceleration(9.8, jnp.array([0.0, -1.0]), jnp.zeros(2))
      >>> print(a, tension)
      [0. 0.] [-4.9]

    Reference: Hairer & Wanner, Solving Ordinary Differential Equations II, § VII.1–2.
    """
    equations = equations_of_motion(lagrangian)

    def checked(params: PyTree, q: Array) -> Array:
        value = constraint(params, q)
        if jnp.ndim(value) != 1:
            raise ValueError(
                f"the constraint returned shape {jnp.shape(value)}; expected one value "
                "a constraint, shape (k,)."
            )
        return value

    def push_back(mass: Array, slope: Array, gap: Array) -> tuple[Array, Array]:
        """M⁻¹ Gᵀ μ and μ with G M⁻¹ Gᵀ μ = gap."""
        spread = symmetric_solve(mass, slope.T)
        multipliers = symmetric_solve(slope @ spread, gap)
        return spread @ multipliers, multipliers

    def accelerate(params: PyTree, q: Array, v: Array) -> tuple[Array, Array]:
        mass, push = equations(params, q, v)

        def rate(q: Array) -> Array:
            return jax.jvp(lambda q: checked(params, q), (q,), (v,))[1]

        speed, bend = jax.jvp(rate, (q,), (v,))
        slope = jax.jacfwd(checked, 1)(params, q)
        free = symmetric_solve(mass, push)
        wanted = -bend
        if stabilization:
            gap = checked(params, q)
            wanted = wanted - 2 * stabilization * speed - stabilization**2 * gap
        change, multipliers = push_back(mass, slope, wanted - slope @ free)
        return free + change, multipliers

    def field(t: Array, y: TangentState, params: PyTree) -> TangentState:
        del t
        check_state("constrained", y, TangentState)
        return TangentState(y.v, accelerate(params, y.q, y.v)[0])

    def project(y: TangentState, params: PyTree) -> TangentState:
        q, v = y
        mass, _ = equations(params, q, v)
        for _ in range(projections):
            slope = jax.jacfwd(checked, 1)(params, q)
            q = q - push_back(mass, slope, checked(params, q))[0]
        mass, _ = equations(params, q, v)
        slope = jax.jacfwd(checked, 1)(params, q)
        return TangentState(q, v - push_back(mass, slope, slope @ v)[0])

    return Constrained(accelerate, field, project)
