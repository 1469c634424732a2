"""From a Lagrangian to its Hamiltonian and back, f*(w) = w·x − f(x) with w = ∂f/∂x.

`legendre` does so for any convex energy, by Newton's method; `natural` writes down both
forms of kinetic minus potential energy.

Reference: Arnold, Mathematical Methods of Classical Mechanics, § 14–15.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxphys.checks import check_count, check_function, check_positive, checked
from jaxphys.linalg import symmetric_solve
from jaxphys.mechanics._checks import scalar
from jaxphys.precision import exact
from jaxphys.roots import RootInfo, find_root
from jaxphys.types import Array, Hamiltonian, Lagrangian, PyTree, check_pair

__all__ = ["conjugate", "legendre", "natural"]


@checked(mass=check_function, potential=check_function)
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

    @exact
    def hamiltonian(params: PyTree, q: Array, p: Array) -> Array:
        check_pair("natural", "p", q, p)
        v = symmetric_solve(mass(params, q), p, positive=True)
        return p @ v / 2 + potential(params, q)

    @exact
    def lagrangian(params: PyTree, q: Array, v: Array) -> Array:
        check_pair("natural", "v", q, v)
        return v @ (mass(params, q) @ v) / 2 - potential(params, q)

    return hamiltonian, lagrangian


@checked(energy=check_function, tolerance=check_positive, max_iterations=check_count)
def conjugate(
    energy: Hamiltonian | Lagrangian,
    *,
    tolerance: float | None = None,
    max_iterations: int = 50,
) -> Callable[..., tuple[Array, RootInfo]]:
    """The x at which ∂f/∂x(params, q, x) = w: v of a momentum, or p of a velocity.

    Newton's method with halved steps, from x = 0; one iteration if f is quadratic.

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
    gradient = jax.grad(scalar(energy), 2)

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


@checked(energy=check_function, tolerance=check_positive, max_iterations=check_count)
def legendre(
    energy: Hamiltonian | Lagrangian,
    *,
    tolerance: float | None = None,
    max_iterations: int = 50,
) -> Callable[..., Array]:
    """The Legendre transform f*(params, q, w) = w·x − f(params, q, x), w = ∂f/∂x.

    It turns a Lagrangian into its Hamiltonian and a Hamiltonian into its Lagrangian: it
    is its own inverse. The root x is found by Newton's method (`conjugate`) and
    differentiated by the implicit function theorem, up to the third order.

    Args:
      energy: a Lagrangian L(params, q, v) or a Hamiltonian H(params, q, p), convex in
        its last argument.
      tolerance, max_iterations: those of `jaxphys.roots.find_root`.

    Returns:
      The other energy, a function of the same form. It is NaN if no root is found;
      the `RootInfo` of `conjugate` tells so.

    Example:
      >>> import jax.numpy as jnp
      >>> lagrangian = lambda m, q, v: m * v @ v / 2 - q[0]
      >>> print(legendre(lagrangian)(2.0, jnp.ones(1), jnp.array([4.0])))
      5.0

    Reference: Arnold, Mathematical Methods of Classical Mechanics, § 14–15.
    """
    solve = conjugate(energy, tolerance=tolerance, max_iterations=max_iterations)

    @exact
    def transformed(params: PyTree, q: Array, w: Array, *t: Array) -> Array:
        x, info = solve(params, q, w, *t)
        value = w @ x - scalar(energy)(params, q, x, *t)
        return jnp.where(info.converged, value, jnp.nan)

    return transformed
