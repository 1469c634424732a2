"""Explicit symplectic steps of H = T(p) + V(q): drifts and kicks in turn.

The flows of T alone and of V alone are exact. Composed with the right fractions of a
step they give any order, and an energy error that stays bounded over long times.

Reference: Hairer, Lubich & Wanner, Geometric Numerical Integration, § II.5.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import jax

from jaxphys._jaxpr.once import traced_once
from jaxphys.checks import check_function, checked
from jaxphys.types import Array, Hamiltonian, PhaseState, PyTree, Step, check_state

__all__ = ["leapfrog", "splitting", "symplectic_euler", "yoshida4", "yoshida6"]


def splitting(
    coefficients: Sequence[tuple[float, float]],
) -> Callable[..., Step]:
    """A composition of the two exact flows of H = T(p) + V(q), from its coefficients.

    Each pair (c, d) drifts, q ← q + c dt ∂H/∂p, and then kicks, p ← p − d dt ∂H/∂q.
    Any such composition is symplectic; its order is in the coefficients.

    Args:
      coefficients: pairs (drift, kick) in fractions of dt; each column sums to one.

    Returns:
      `make(hamiltonian, *, time_dependent=False) -> step`; the step takes PhaseStates,
      and may have T(p, t) and V(q, t), of H(params, q, p, t). The energy must be
      separable: for others neither the order nor symplecticity holds; take
      `implicit_midpoint` or `gauss4`.

    Raises:
      ValueError: if a column does not sum to one.

    Example:
      >>> import jax.numpy as jnp
      >>> verlet = splitting([(0.5, 1.0), (0.5, 0.0)])
      >>> step = verlet(lambda params, q, p: (q @ q + p @ p) / 2)
      >>> print(step(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)), 0.1, None).q)
      [0.995]

    Reference: Hairer, Lubich & Wanner, Geometric Numerical Integration, § II.5.
    """
    try:
        pairs = [(float(c), float(d)) for c, d in coefficients]
    except (TypeError, ValueError):
        pairs = []
    if not pairs:
        raise TypeError(
            f"coefficients are {coefficients!r}; expected pairs (drift, kick) of "
            "numbers, one at least."
        )
    for name, column in zip(("drifts", "kicks"), zip(*pairs, strict=True), strict=True):
        if not math.isclose(sum(column), 1, abs_tol=1e-12):
            raise ValueError(
                f"the {name} sum to {sum(column)}; expected 1, or the method is not "
                "consistent. Coefficients are pairs (drift, kick)."
            )

    def make(hamiltonian: Hamiltonian, *, time_dependent: bool = False) -> Step:
        def step(t: Array, y: PhaseState, dt: Array, args: PyTree) -> PhaseState:
            check_state("a symplectic step", y, PhaseState)
            q, p = y
            velocity = traced_once(lambda *z: jax.grad(hamiltonian, 2)(args, *z))
            slope = traced_once(lambda *z: jax.grad(hamiltonian, 1)(args, *z))
            # T is taken at the time of the kicks and V at that of the drifts: each is
            # constant while it acts, and the composition keeps its order.
            drifted = kicked = t
            for drift, kick in pairs:
                if drift:
                    time = (kicked,) if time_dependent else ()
                    q = q + drift * dt * velocity(q, p, *time)
                    drifted = drifted + drift * dt
                if kick:
                    time = (drifted,) if time_dependent else ()
                    p = p - kick * dt * slope(q, p, *time)
                    kicked = kicked + kick * dt
            return PhaseState(q, p)

        return step

    return make


def _leapfrogs(weights: Sequence[float]) -> list[tuple[float, float]]:
    """Leapfrogs of these lengths, one after the other, as pairs (drift, kick)."""
    ends = [0.0, *weights, 0.0]
    drifts = [(x + y) / 2 for x, y in itertools.pairwise(ends)]
    return list(zip(drifts, [*weights, 0.0], strict=True))


# Order 4: 2 w₁ + w₀ = 1 and 2 w₁³ + w₀³ = 0.
_W4 = 1 / (2 - 2 ** (1 / 3))
_YOSHIDA4 = (_W4, 1 - 2 * _W4, _W4)

# Order 6: Σ w = 1, Σ w³ = 0, Σ w⁵ = 0 and Σ_j w_j³ (Σ_{i<j} w_i + w_j/2)² = 0, solved
# from the digits of Yoshida's solution A.
_W6 = (-1.1776799841788710069, 0.2355732133593581337, 0.7845136104775572638)
_YOSHIDA6 = (*_W6[::-1], 1 - 2 * sum(_W6), *_W6)


@checked(hamiltonian=check_function)
def symplectic_euler(hamiltonian: Hamiltonian, *, time_dependent: bool = False) -> Step:
    """The symplectic Euler method, order 1, for H = T(p) + V(q): a drift, then a kick.

    q′ = q + dt ∂H/∂p(p), p′ = p − dt ∂H/∂q(q′).

    Args:
      hamiltonian: a separable H(params, q, p), or H(params, q, p, t).
      time_dependent: whether H takes t.

    Example:
      >>> import jax.numpy as jnp
      >>> step = symplectic_euler(lambda params, q, p: (q @ q + p @ p) / 2)
      >>> print(step(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)), 0.1, None).p)
      [-0.1]
    """
    return splitting([(1.0, 1.0)])(hamiltonian, time_dependent=time_dependent)


@checked(hamiltonian=check_function)
def leapfrog(hamiltonian: Hamiltonian, *, time_dependent: bool = False) -> Step:
    """Leapfrog (Störmer–Verlet), order 2, for H = T(p) + V(q): drift ½, kick, drift ½.

    One force per step, symplectic and reversible: with −p the same steps lead back.

    Args: those of `symplectic_euler`.

    Example:
      >>> import jax.numpy as jnp
      >>> step = leapfrog(lambda params, q, p: (q @ q + p @ p) / 2)
      >>> print(step(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)), 0.1, None).q)
      [0.995]

    Reference: Hairer, Lubich & Wanner, Geometric Numerical Integration, § I.1.4.
    """
    make = splitting(_leapfrogs([1.0]))
    return make(hamiltonian, time_dependent=time_dependent)


@checked(hamiltonian=check_function)
def yoshida4(hamiltonian: Hamiltonian, *, time_dependent: bool = False) -> Step:
    """Three leapfrogs w₁, w₀, w₁ of order 4, for H = T(p) + V(q).

    w₁ = 1/(2 − 2^(1/3)), w₀ = 1 − 2 w₁.

    Args: those of `symplectic_euler`.

    Example:
      >>> import jax.numpy as jnp
      >>> step = yoshida4(lambda params, q, p: (q @ q + p @ p) / 2)
      >>> end = step(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)), 0.1, None)
      >>> print(round(float(end.q[0]), 4))
      0.995

    Reference: Yoshida, Construction of higher order symplectic integrators, Physics
    Letters A 150, 1990.
    """
    make = splitting(_leapfrogs(_YOSHIDA4))
    return make(hamiltonian, time_dependent=time_dependent)


@checked(hamiltonian=check_function)
def yoshida6(hamiltonian: Hamiltonian, *, time_dependent: bool = False) -> Step:
    """Seven leapfrogs of order 6, Yoshida's solution A, for H = T(p) + V(q).

    Args: those of `symplectic_euler`.

    Example:
      >>> import jax.numpy as jnp
      >>> step = yoshida6(lambda params, q, p: (q @ q + p @ p) / 2)
      >>> end = step(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)), 0.1, None)
      >>> print(round(float(end.q[0]), 4))
      0.995

    Reference: Yoshida, Construction of higher order symplectic integrators, Physics
    Letters A 150, 1990, table 1.
    """
    make = splitting(_leapfrogs(_YOSHIDA6))
    return make(hamiltonian, time_dependent=time_dependent)
