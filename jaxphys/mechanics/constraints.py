"""Motion under holonomic constraints φ(q) = 0: Lagrange's equations of the first kind.

The constraint is differentiated twice and solved with the accelerations for its
multipliers; a projection removes the drift that integration leaves.

Reference: Hairer & Wanner, Solving Ordinary Differential Equations II, § VII.1–2.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys.checks import check_count, check_function, check_not_negative, checked
from jaxphys.linalg import symmetric_solve
from jaxphys.mechanics.lagrange import equations_of_motion
from jaxphys.precision import exact
from jaxphys.types import (
    Array,
    Lagrangian,
    PyTree,
    TangentState,
    VectorField,
    check_state,
)

__all__ = ["Constrained", "constrained"]


class Constrained(NamedTuple):
    """Motion under holonomic constraints φ(q) = 0.

    Attributes:
      acceleration: `a(params, q, v) -> (q̈ of shape (n,), multipliers of shape (k,))`;
        the force of constraint is Gᵀ λ with G = ∂φ/∂q.
      vector_field: `f(t, TangentState, params) -> TangentState`.
      project: `project(TangentState, params) -> TangentState`, the nearest state with
        φ = 0 and G v = 0, in the metric of the mass matrix, for
        `integrators.projected`.
    """

    acceleration: Callable[..., tuple[Array, Array]]
    vector_field: VectorField
    project: Callable[[TangentState, PyTree], TangentState]


@checked(
    lagrangian=check_function,
    constraint=check_function,
    stabilization=check_not_negative,
    projections=check_count,
)
def constrained(
    lagrangian: Lagrangian,
    constraint: Callable[[PyTree, Array], Array],
    *,
    stabilization: float = 0.0,
    projections: int = 3,
) -> Constrained:
    """Lagrange's equations of the first kind: M q̈ = h + Gᵀ λ, φ(q) = 0.

    The constraint is differentiated twice (index 1): G q̈ = −vᵀ ∂²φ v − 2αφ̇ − α²φ.
    Integration then drifts away from φ = 0 slowly; `project` corrects that.

    Args:
      lagrangian: L(params, q, v).
      constraint: φ(params, q) -> (k,), zero if the constraint holds.
      stabilization: Baumgarte's rate α, in 1/time; not needed with projection.
      projections: Newton iterations of `project`.

    Returns:
      A `Constrained`. Its values are not finite if constraints are redundant.

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
                "per constraint, shape (k,)."
            )
        return value

    def push_back(mass: Array, slope: Array, gap: Array) -> tuple[Array, Array]:
        """M⁻¹ Gᵀ μ and μ with G M⁻¹ Gᵀ μ = gap."""
        spread = symmetric_solve(mass, slope.T)
        multipliers = symmetric_solve(slope @ spread, gap)
        return spread @ multipliers, multipliers

    @exact
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

    @exact
    def field(t: Array, y: TangentState, params: PyTree) -> TangentState:
        del t
        check_state("constrained", y, TangentState)
        return TangentState(y.v, accelerate(params, y.q, y.v)[0])

    @exact
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
