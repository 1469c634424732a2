"""From an energy to its dynamics, by automatic differentiation.

Hamilton's equations are dq/dt = ∂H/∂p, dp/dt = −∂H/∂q. The energy may be analytic or a
network; it is a function of one state, unbatched.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxphys.types import Array, Hamiltonian, PhaseState, PyTree, VectorField


def _check_pair(name: str, q: Array, p: Array) -> None:
    if jnp.ndim(q) != 1 or jnp.shape(q) != jnp.shape(p):
        raise ValueError(
            f"{name} got q of shape {jnp.shape(q)} and p of shape {jnp.shape(p)}; "
            "expected one state, both of shape (n,). For a batch use jax.vmap."
        )
    if not jnp.issubdtype(jnp.result_type(q, p), jnp.floating):
        raise ValueError(
            f"{name} got q, p of dtype {jnp.result_type(q, p)}; expected a real "
            "floating dtype, as derivatives of integers are not defined."
        )


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


def hamiltonian_vector_field(hamiltonian: Hamiltonian) -> VectorField:
    """Hamilton's equations of H: dq/dt = ∂H/∂p, dp/dt = −∂H/∂q.

    Args:
      hamiltonian: H(params, q, p) -> scalar, for q, p of shape (n,).

    Returns:
      `f(t, PhaseState, params) -> PhaseState`; it raises a ValueError where q and p are
      not one state of real numbers, or H is not a scalar.

    Example:
      >>> import jax.numpy as jnp
      >>> field = hamiltonian_vector_field(lambda k, q, p: (p @ p + k * q @ q) / 2)
      >>> rate = field(0.0, PhaseState(jnp.array([1.0]), jnp.array([0.0])), 4.0)
      >>> print(rate.q, rate.p)
      [0.] [-4.]

    Reference: Landau & Lifshitz, Mechanics, § 40.
    """

    def field(t: Array, y: PhaseState, params: PyTree) -> PhaseState:
        del t
        _check_pair("hamiltonian_vector_field", y.q, y.p)
        dq, dp = jax.grad(_scalar(hamiltonian), argnums=(1, 2))(params, y.q, y.p)
        return PhaseState(dp, jax.tree.map(jnp.negative, dq))

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

    def total(args, q: Array, p: Array) -> Array:
        params, control = args
        return hamiltonian(params, q, p) - q @ force(control)

    return total
