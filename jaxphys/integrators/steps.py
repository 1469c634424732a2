"""Explicit steps: Euler's, and the classical method of Runge and Kutta.

They take any vector field f(t, y, args) and conserve nothing exactly, which is good
enough over short times.
"""

import jax
import jax.numpy as jnp

from jaxphys._jaxpr.once import traced_once
from jaxphys.checks import check_function, checked
from jaxphys.integrators._states import shifted
from jaxphys.trees import time_dtype
from jaxphys.types import Array, PyTree, Step, VectorField

__all__ = ["euler", "rk4"]


@checked(f=check_function)
def euler(f: VectorField) -> Step:
    """Explicit Euler, order 1: y + dt f(t, y).

    Example:
      >>> print(round(euler(lambda t, y, args: -y)(0.0, 1.0, 0.1, None), 6))
      0.9
    """

    def step(t: Array, y: PyTree, dt: Array, args: PyTree) -> PyTree:
        return shifted(y, dt, f(t, y, args))

    return step


@checked(f=check_function)
def rk4(f: VectorField, *, rolled: bool = False) -> Step:
    """The classical Runge–Kutta method, order 4.

    Args:
      f: f(t, y, args) -> dy/dt.
      rolled: whether the four stages are iterations of a loop. The compiled code is a
        quarter as long, which compiles faster where f is a network.

    Returns:
      `step(t, y, dt, args) -> y`; args are held fixed over the step.

    Example:
      >>> print(round(rk4(lambda t, y, args: -y)(0.0, 1.0, 0.1, None), 6))
      0.904837

    Reference: Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I,
    table 1.2.
    """

    def step(t: Array, y: PyTree, dt: Array, args: PyTree) -> PyTree:
        slope = traced_once(lambda t, y: f(t, y, args))
        k1 = slope(t, y)
        k2 = slope(t + dt / 2, shifted(y, dt / 2, k1))
        k3 = slope(t + dt / 2, shifted(y, dt / 2, k2))
        k4 = slope(t + dt, shifted(y, dt, k3))
        return jax.tree.map(
            lambda y0, a, b, c, d: y0 + dt / 6 * (a + 2 * b + 2 * c + d),
            y,
            k1,
            k2,
            k3,
            k4,
        )

    def rolled_step(t: Array, y: PyTree, dt: Array, args: PyTree) -> PyTree:
        dtype = time_dtype(y)
        nodes = jnp.array([0, 0.5, 0.5, 1], dtype)
        # Each stage adds the slope of the one before and computes the next, so that the
        # loop contains f once.
        weights = jnp.array([0, 1, 2, 2], dtype) / 6

        def stage(carry: tuple[PyTree, PyTree], numbers: tuple[Array, Array]):
            slope, total = carry
            node, weight = numbers
            total = shifted(total, weight, slope)
            return (f(t + node * dt, shifted(y, node * dt, slope), args), total), None

        zero = jax.tree.map(jnp.zeros_like, y)
        (last, total), _ = jax.lax.scan(stage, (zero, zero), (nodes, weights))
        return shifted(y, dt, shifted(total, 1 / 6, last))

    return rolled_step if rolled else step
