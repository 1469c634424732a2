"""Steps that solve an equation: Gauss' methods, and the variational integrator.

Symplectic for every H or L, separable or not. An `ImplicitStep` can also say whether
its equation was solved.

Reference: Hairer, Lubich & Wanner, Geometric Numerical Integration, § II.1 and VI.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxphys._jaxpr.once import traced_once
from jaxphys.checks import check_count, check_function, check_positive, checked
from jaxphys.names import check_known
from jaxphys.precision import exact
from jaxphys.roots import METHODS, RootInfo, find_root
from jaxphys.types import (
    Array,
    Lagrangian,
    PhaseState,
    PyTree,
    Step,
    VectorField,
    check_state,
)

__all__ = [
    "ImplicitStep",
    "gauss4",
    "implicit_midpoint",
    "projected",
    "variational",
]


@dataclasses.dataclass(frozen=True)
class ImplicitStep:
    """A step that solves an equation: call it as any step.

    Attributes:
      with_info: `with_info(t, y, dt, args) -> (y, RootInfo)`; `rollout` and `repeat`
        collect the flags with `with_info=True`.
    """

    with_info: Callable[..., tuple[PyTree, RootInfo]]

    def __call__(self, t: Array, y: PyTree, dt: Array, args: PyTree) -> PyTree:
        """The state after the step."""
        return self.with_info(t, y, dt, args)[0]


def _check_method(name: str, value: str) -> None:
    check_known(name, value, METHODS)


def _implicit_runge_kutta(
    f: VectorField, a: Sequence[Sequence[float]], b: Sequence[float], **options
) -> ImplicitStep:
    """The slopes k_i = f(t + c_i dt, y + dt Σ_j a_ij k_j), solved for all at once."""
    matrix, weights = np.array(a), np.array(b)
    nodes = matrix.sum(axis=1)

    @exact
    def step(t: Array, y: PyTree, dt: Array, args: PyTree) -> tuple[PyTree, RootInfo]:
        start, unravel = ravel_pytree(y)
        a, b, c = (jnp.asarray(x, start.dtype) for x in (matrix, weights, nodes))

        @traced_once
        def slope(t: Array, y: Array) -> Array:
            return ravel_pytree(f(t, unravel(y), args))[0]

        # Solved for z = dt k, which has the units of the state, as the tolerance does.
        def residual(z: Array) -> Array:
            stages = start[None] + a @ z.reshape(len(b), -1)
            return z - dt * jax.vmap(slope)(t + c * dt, stages).ravel()

        guess = jnp.tile(dt * slope(t, start), len(b))
        z, info = find_root(residual, guess, **options)
        return unravel(start + b @ z.reshape(len(b), -1)), info

    return ImplicitStep(step)


@checked(
    f=check_function,
    tolerance=check_positive,
    max_iterations=check_count,
    method=_check_method,
)
def implicit_midpoint(
    f: VectorField,
    *,
    method: str = "newton",
    tolerance: float | None = None,
    max_iterations: int = 50,
) -> ImplicitStep:
    """The implicit midpoint rule, order 2: y′ = y + dt f(t + dt/2, (y + y′)/2).

    Symplectic for every Hamiltonian and symmetric in time, it conserves every quadratic
    invariant; it does not damp stiff components.

    Args:
      f: f(t, y, args) -> dy/dt, y any pytree.
      method: "newton", or "fixed_point", which needs no Jacobian and converges for
        time steps below 2/‖∂f/∂y‖.
      tolerance, max_iterations: those of `jaxphys.roots.find_root`.

    Returns:
      An `ImplicitStep`, whose `with_info` says whether the equation was solved.

    Example:
      >>> step = implicit_midpoint(lambda t, y, args: -y)
      >>> print(round(float(step(0.0, 1.0, 0.1, None)), 6))
      0.904762

    Reference: Hairer, Lubich & Wanner, Geometric Numerical Integration, § VI.4.
    """
    options = {"tolerance": tolerance, "max_iterations": max_iterations}
    return _implicit_runge_kutta(f, [[0.5]], [1.0], method=method, **options)


@checked(
    f=check_function,
    tolerance=check_positive,
    max_iterations=check_count,
    method=_check_method,
)
def gauss4(
    f: VectorField,
    *,
    method: str = "newton",
    tolerance: float | None = None,
    max_iterations: int = 50,
) -> ImplicitStep:
    """The Gauss–Legendre method of two stages, order 4, symplectic for every H.

    Args: those of `implicit_midpoint`.

    Returns:
      An `ImplicitStep`, whose `with_info` says whether the equation was solved.

    Example:
      >>> step = gauss4(lambda t, y, args: -y)
      >>> print(round(float(step(0.0, 1.0, 0.1, None)), 6))
      0.904837

    Reference: Hairer, Lubich & Wanner, Geometric Numerical Integration, § II.1.3.
    """
    r = math.sqrt(3) / 6
    a = [[0.25, 0.25 - r], [0.25 + r, 0.25]]
    options = {"tolerance": tolerance, "max_iterations": max_iterations}
    return _implicit_runge_kutta(f, a, [0.5, 0.5], method=method, **options)


@checked(
    lagrangian=check_function, tolerance=check_positive, max_iterations=check_count
)
def variational(
    lagrangian: Lagrangian,
    *,
    time_dependent: bool = False,
    tolerance: float | None = None,
    max_iterations: int = 50,
) -> ImplicitStep:
    """The variational integrator of the midpoint rule, order 2, from a Lagrangian.

    The action of a step is S = dt L((q + q′)/2, (q′ − q)/dt). Its sum is stationary if
    p = −∂S/∂q, which Newton's method solves for q′; then p′ = ∂S/∂q′. The step is
    symplectic and conserves every momentum that a symmetry of L conserves.

    Args:
      lagrangian: L(params, q, v), or L(params, q, v, t) taken at t + dt/2.
      time_dependent: whether L takes t.
      tolerance, max_iterations: those of `jaxphys.roots.find_root`.

    Returns:
      An `ImplicitStep` that takes PhaseStates; start it from `mechanics.momentum`.

    Example:
      >>> step = variational(lambda params, q, v: (v @ v - q @ q) / 2)
      >>> end = step(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)), 0.1, None)
      >>> print(round(float(end.q[0]), 4))
      0.995

    Reference: Marsden & West, Discrete mechanics and variational integrators, Acta
    Numerica 10, 2001.
    """

    @exact
    def step(t: Array, y: PhaseState, dt: Array, args: PyTree):
        check_state("a variational step", y, PhaseState)
        q, p = y
        time = (t + dt / 2,) if time_dependent else ()

        def action(q0: Array, q1: Array) -> Array:
            return dt * lagrangian(args, (q0 + q1) / 2, (q1 - q0) / dt, *time)

        move, info = find_root(
            lambda move: dt * (p + jax.grad(action)(q, q + move)),
            jnp.zeros_like(q),
            tolerance=tolerance,
            max_iterations=max_iterations,
        )
        return PhaseState(q + move, jax.grad(action, 1)(q, q + move)), info

    return ImplicitStep(step)


@checked(step=check_function, project=check_function)
def projected(step: Step, project: Callable[[PyTree, PyTree], PyTree]) -> Step:
    """A step followed by `project(y, args)`, back onto the constraints.

    Example:
      >>> from jaxphys.integrators import euler
      >>> grow = euler(lambda t, y, args: y)
      >>> step = projected(grow, lambda y, args: jnp.minimum(y, 1.0))
      >>> print(step(0.0, 0.9, 0.5, None))
      1.0
    """
    if isinstance(step, ImplicitStep):

        def both(t: Array, y: PyTree, dt: Array, args: PyTree):
            y, info = step.with_info(t, y, dt, args)
            return project(y, args), info

        return ImplicitStep(both)
    return lambda t, y, dt, args: project(step(t, y, dt, args), args)
