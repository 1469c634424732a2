"""Errors of a learned motion, and of the energy along it.

Functions take one trajectory, with time along the first axis; use `jax.vmap` for many,
and `quartiles` or `summary` of the results. A loss on noisy data says little about a
motion; these functions compare it with the true one.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp

from jaxphys.checks import (
    check_array,
    check_function,
    check_some,
    check_some_numbers,
    checked,
)
from jaxphys.precision import exact
from jaxphys.types import Array, Dynamics, PhaseState, PyTree, Step, VectorField

__all__ = [
    "DerivativeError",
    "Drift",
    "Quartiles",
    "Summary",
    "derivative_error",
    "divergence",
    "energy_drift",
    "geometric_mean",
    "quartiles",
    "relative_error",
    "squared_error",
    "summary",
    "symplectic_defect",
    "valid_time",
]


def _rows(y: PyTree) -> Array:
    """All components of a trajectory in one array, (T, d)."""
    leaves = jax.tree.leaves(y)
    if not leaves:
        raise TypeError("a trajectory is empty; expected arrays (T, …).")
    for leaf in leaves:
        check_array("a trajectory", leaf, least=1)
    return jnp.concatenate([x.reshape(x.shape[0], -1) for x in leaves], axis=1)


def _pair(predicted: PyTree, true: PyTree) -> tuple[Array, Array]:
    first, second = _rows(predicted), _rows(true)
    if first.shape != second.shape:
        raise ValueError(
            f"got trajectories of shapes {first.shape} and {second.shape}, (T, d); "
            "expected the same times and components. For a batch use jax.vmap."
        )
    return first, second


def squared_error(predicted: PyTree, true: PyTree) -> Array:
    """The mean of (ẑ − z)² over times and components, a scalar.

    Example:
      >>> print(squared_error(jnp.ones((3, 2)), jnp.zeros((3, 2))))
      1.0
    """
    first, second = _pair(predicted, true)
    return jnp.mean((first - second) ** 2)


def relative_error(predicted: PyTree, true: PyTree) -> Array:
    """‖ẑ − z‖/‖ẑ + z‖ at each time, (T,): zero if they agree.

    Example:
      >>> print(relative_error(jnp.array([[3.0]]), jnp.array([[1.0]])))
      [0.5]

    Reference: Finzi, Wang & Wilson, Simplifying Hamiltonian and Lagrangian Neural
    Networks via Explicit Constraints, 2020, https://arxiv.org/abs/2010.13581.
    """
    first, second = _pair(predicted, true)
    apart = jnp.linalg.norm(first - second, axis=1)
    together = jnp.linalg.norm(first + second, axis=1)
    return jnp.where(apart > 0, apart / jnp.where(apart > 0, together, 1), 0)


@checked(errors=check_some_numbers, t=check_array)
def geometric_mean(errors: Array, t: Array | None = None) -> Array:
    """exp of the mean log error over time, a scalar; errors of zero are left out.

    Args:
      errors: at each time, (T,), as of `relative_error`.
      t: the times, (T,), for a mean by the trapezoidal rule; by default all errors
        have the same weight.

    Example:
      >>> print(geometric_mean(jnp.array([0.0, 0.25, 1.0])))
      0.5
    """
    if t is not None and t.shape != errors.shape:
        raise ValueError(
            f"t has shape {t.shape}; expected {errors.shape}, as errors has."
        )
    known = errors > 0
    logs = jnp.log(jnp.where(known, errors, 1))
    if t is None:
        weights = jnp.ones_like(errors)
    else:
        half = jnp.diff(t) / 2
        weights = jnp.pad(half, (0, 1)) + jnp.pad(half, (1, 0))
    weights = jnp.where(known, weights, 0)
    total = jnp.sum(weights)
    mean = jnp.sum(weights * logs) / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, jnp.exp(mean), 0)


@checked(threshold=check_some)
def valid_time(t: Array, errors: Array, threshold: float = 0.1) -> Array:
    """The time until an error first exceeds a threshold, a scalar; all of it if never.

    An error of NaN exceeds every threshold.

    Example:
      >>> print(valid_time(jnp.arange(4.0), jnp.array([0.0, 0.05, 0.3, 0.01])))
      2.0
    """
    if jnp.ndim(t) != 1 or jnp.shape(t) != jnp.shape(errors) or not jnp.size(t):
        raise ValueError(
            f"valid_time got t of shape {jnp.shape(t)} and errors of shape "
            f"{jnp.shape(errors)}; expected one shape, (T,). For a batch use jax.vmap."
        )
    over = ~(errors <= threshold)
    return jnp.where(jnp.any(over), t[jnp.argmax(over)], t[-1]) - t[0]


class Drift(NamedTuple):
    """The change of energy along a trajectory.

    Attributes:
      mean_square: the mean of (E(t) − E(0))².
      relative: the largest |E(t) − E(0)| over |E(0)|.
      of_range: the largest |E(t) − E(0)| over the range of the potential energy of the
        true motion; NaN if that is not given.
    """

    mean_square: Array
    relative: Array
    of_range: Array


@checked(energy=check_some_numbers)
def energy_drift(energy: Array, potential: Array | None = None) -> Drift:
    """The `Drift` of the true energy along a trajectory.

    Args:
      energy: at each time, (T,).
      potential: potential energies of the true motion, any shape. Their range is a
        unit that does not depend on the zero of energy.

    Example:
      >>> energy, potential = jnp.array([2.0, 2.0, 2.5]), jnp.array([0.0, 1.0])
      >>> print(energy_drift(energy, potential).of_range)
      0.5
    """
    change = energy - energy[0]
    largest = jnp.max(jnp.abs(change))
    size = jnp.asarray(jnp.nan, energy.dtype)
    if potential is not None:
        size = jnp.max(potential) - jnp.min(potential)
    return Drift(jnp.mean(change**2), largest / jnp.abs(energy[0]), largest / size)


class DerivativeError(NamedTuple):
    """The error of a vector field.

    Attributes:
      mean_square: the mean over samples of the summed squared differences.
      relative: its square root, over the root mean square of the true derivatives.
    """

    mean_square: Array
    relative: Array


def derivative_error(
    dynamics: Dynamics, params: PyTree, states: PyTree, rates: PyTree
) -> DerivativeError:
    """The error of a learned field against known derivatives at a batch of states.

    Use clean states: at noisy ones the error cannot be less than the change of the
    derivatives by the noise.

    Args:
      dynamics, params: the field.
      states: leading sample axis.
      rates: the derivatives, likewise.
    """
    found = jax.vmap(lambda y: dynamics.vector_field(0.0, y, params))(states)
    first, second = _pair(found, rates)
    square = jnp.mean(jnp.sum((first - second) ** 2, axis=1))
    size = jnp.mean(jnp.sum(second**2, axis=1))
    return DerivativeError(square, jnp.sqrt(square / size))


class Quartiles(NamedTuple):
    """The median and the two other quartiles of many values."""

    low: Array
    median: Array
    high: Array


@checked(values=check_some_numbers)
def quartiles(values: Array) -> Quartiles:
    """The quartiles over the leading axis; NaN counts as infinite.

    Example:
      >>> print(quartiles(jnp.array([1.0, 2.0, 3.0, jnp.nan, 0.0])).median)
      2.0
    """
    known = jnp.where(jnp.isnan(values), jnp.inf, values)
    ordered = jnp.sort(known, axis=0)
    count = ordered.shape[0] - 1

    def at(part: float) -> Array:
        low, high = ordered[int(part * count)], ordered[-int(-part * count // 1)]
        weight = part * count - int(part * count)
        # 0 · ∞ is NaN: an infinite neighbor without weight must not enter the sum.
        return low if weight == 0 else low + weight * (high - low)

    return Quartiles(at(0.25), at(0.5), at(0.75))


class Summary(NamedTuple):
    """Mean, median, quartiles and geometric mean of many values.

    Attributes:
      mean: the mean of the finite values.
      median, low, high: the median and the quartiles of all values.
      geometric_mean: that of the finite values above zero.
      finite: the share of values that are finite.
    """

    mean: Array
    median: Array
    low: Array
    high: Array
    geometric_mean: Array
    finite: Array


@checked(values=check_some_numbers)
def summary(values: Array) -> Summary:
    """The `Summary` of values, shape (N,).

    Example:
      >>> print(summary(jnp.array([1.0, 4.0, jnp.inf])).geometric_mean)
      2.0
    """
    known = jnp.isfinite(values)
    count = jnp.sum(known)
    mean = jnp.sum(jnp.where(known, values, 0)) / count
    low, median, high = quartiles(values)
    geometric = geometric_mean(jnp.where(known, values, 0))
    return Summary(mean, median, low, high, geometric, jnp.mean(known))


@checked(field=check_function)
def divergence(field: VectorField) -> Callable[..., Array]:
    """The divergence of a vector field, zero for every Hamiltonian one.

    Returns:
      `div(t, y, args) -> scalar`.

    Example:
      >>> print(divergence(lambda t, y, args: -2 * y)(0.0, jnp.ones(3), None))
      -6.0
    """

    def div(t: Array, y: PyTree, args: PyTree) -> Array:
        flat, unravel = jax.flatten_util.ravel_pytree(y)

        def rate(flat: Array) -> Array:
            return jax.flatten_util.ravel_pytree(field(t, unravel(flat), args))[0]

        return jnp.trace(jax.jacfwd(rate)(flat))

    return div


@checked(step=check_function)
def symplectic_defect(step: Step) -> Callable[..., Array]:
    """The largest entry of |JᵀΩJ − Ω|, J the Jacobian of a step; zero if symplectic.

    Returns:
      `defect(t, PhaseState, dt, args) -> scalar`.

    Example:
      >>> from jaxphys import integrators
      >>> step = integrators.leapfrog(lambda params, q, p: (q @ q + p @ p) / 2)
      >>> y = PhaseState(jnp.ones(1), jnp.zeros(1))
      >>> bool(symplectic_defect(step)(0.0, y, 0.1, None) < 1e-6)
      True

    Reference: Hairer, Lubich & Wanner, Geometric Numerical Integration, § VI.2.
    """

    @exact
    def defect(t: Array, y: PhaseState, dt: Array, args: PyTree) -> Array:
        n = y.q.shape[0]
        flat = jnp.concatenate(y)

        def move(flat: Array) -> Array:
            return jnp.concatenate(step(t, PhaseState(flat[:n], flat[n:]), dt, args))

        jacobian = jax.jacfwd(move)(flat)
        zero, one = jnp.zeros((n, n), flat.dtype), jnp.eye(n, dtype=flat.dtype)
        omega = jnp.block([[zero, one], [-one, zero]])
        return jnp.max(jnp.abs(jacobian.T @ omega @ jacobian - omega))

    return defect
