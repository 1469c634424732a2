"""Hamilton's equations, dq/dt = ∂H/∂p and dp/dt = −∂H/∂q, by differentiating H.

H may be analytic or a network. Where it depends on time it takes t as a fourth
argument.

Reference: Landau & Lifshitz, Mechanics, § 40.
"""

from collections.abc import Callable

import jax

from jaxphys.checks import check_function, checked
from jaxphys.mechanics._checks import Force, scalar
from jaxphys.precision import exact
from jaxphys.types import (
    Array,
    Hamiltonian,
    PhaseState,
    PyTree,
    VectorField,
    check_pair,
    check_state,
)

__all__ = ["controlled", "hamiltonian_vector_field", "poisson_bracket", "velocity"]


@checked(hamiltonian=check_function, force=check_function, dissipation=check_function)
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
      `f(t, PhaseState, params) -> PhaseState`. It raises a ValueError unless q and p
      are one state of real numbers and H is a scalar.

    Example:
      >>> import jax.numpy as jnp
      >>> field = hamiltonian_vector_field(lambda k, q, p: (p @ p + k * q @ q) / 2)
      >>> rate = field(0.0, PhaseState(jnp.array([1.0]), jnp.array([0.0])), 4.0)
      >>> print(rate.q, rate.p)
      [0.] [-4.]

    Reference: Landau & Lifshitz, Mechanics, § 40; for R, § 25.
    """
    gradient = jax.grad(scalar(hamiltonian), argnums=(1, 2))

    @exact
    def field(t: Array, y: PhaseState, params: PyTree) -> PhaseState:
        check_state("hamiltonian_vector_field", y, PhaseState)
        dq, v = gradient(params, *y, *((t,) if time_dependent else ()))
        push = -dq
        if dissipation is not None:
            push = push - jax.grad(scalar(dissipation), 2)(params, y.q, v)
        if force is not None:
            push = push + force(t, y, params)
        return PhaseState(v, push)

    return field


@checked(hamiltonian=check_function, force=check_function)
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

    @exact
    def total(args, q: Array, p: Array, *t: Array) -> Array:
        check_pair("controlled", "p", q, p)
        params, control = args
        return hamiltonian(params, q, p, *t) - q @ force(control)

    return total


@checked(hamiltonian=check_function)
def velocity(hamiltonian: Hamiltonian) -> Callable[..., Array]:
    """The velocity v(params, q, p) = ∂H/∂p, shape (n,).

    Example:
      >>> import jax.numpy as jnp
      >>> energy = lambda m, q, p: p @ p / (2 * m)
      >>> print(velocity(energy)(2.0, jnp.ones(1), jnp.ones(1)))
      [0.5]
    """

    @exact
    def conjugate(params: PyTree, q: Array, p: Array, *t: Array) -> Array:
        check_pair("velocity", "p", q, p)
        return jax.grad(scalar(hamiltonian), 2)(params, q, p, *t)

    return conjugate


@checked(f=check_function, g=check_function)
def poisson_bracket(f: Hamiltonian, g: Hamiltonian) -> Hamiltonian:
    """{f, g} = ∂f/∂q · ∂g/∂p − ∂f/∂p · ∂g/∂q, itself a function of (params, q, p).

    Example:
      >>> import jax.numpy as jnp
      >>> position, momentum = lambda c, q, p: q[0], lambda c, q, p: p[0]
      >>> print(poisson_bracket(position, momentum)(None, jnp.ones(2), jnp.ones(2)))
      1.0

    Reference: Landau & Lifshitz, Mechanics, § 42.
    """

    @exact
    def bracket(params: PyTree, q: Array, p: Array) -> Array:
        check_pair("poisson_bracket", "p", q, p)
        fq, fp = jax.grad(scalar(f), argnums=(1, 2))(params, q, p)
        gq, gp = jax.grad(scalar(g), argnums=(1, 2))(params, q, p)
        return fq @ gp - fp @ gq

    return bracket
