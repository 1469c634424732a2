"""Roots of small nonlinear systems, with a flag for success.

Newton's method or fixed-point iteration, to rounding error, inside `jit` and `vmap`.
The search itself is not differentiated. It ends in two Newton corrections, which change
a root by rounding only and carry its derivatives, forward and backward. At the root,
one such correction has the first derivative of the implicit function theorem, and each
further one doubles the order: two are exact up to the third.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys.checks import (
    check_count,
    check_function,
    check_positive,
    check_vector,
    checked,
)
from jaxphys.names import check_known
from jaxphys.precision import exact
from jaxphys.types import Array

__all__ = ["METHODS", "RootInfo", "find_root"]

METHODS = ("newton", "fixed_point")


class RootInfo(NamedTuple):
    """How a search for a root ended.

    Attributes:
      converged: whether the last correction was below the tolerance.
      num_iterations: iterations made.
      residual: the largest entry of |f(x)| at the end.
    """

    converged: Array
    num_iterations: Array
    residual: Array


@checked(
    residual=check_function,
    tolerance=check_positive,
    max_iterations=check_count,
    guess=check_vector,
)
@exact
def find_root(
    residual: Callable[[Array], Array],
    guess: Array,
    *,
    method: str = "newton",
    tolerance: float | None = None,
    max_iterations: int = 50,
    backtrack: bool = False,
) -> tuple[Array, RootInfo]:
    """x with f(x) = 0, for a vector x.

    Args:
      residual: f, (n,) -> (n,); it may close over values to differentiate by.
      guess: where to begin, shape (n,).
      method: "newton", with ∂f/∂x by `jax.jacfwd` and a dense solve; "fixed_point",
        x ← x − f(x), which converges where x − f(x) contracts.
      tolerance: the correction, relative to 1 + |x|, at which to stop; by default √ε
        for Newton's method, which then is at rounding error, and 64 ε otherwise.
      max_iterations: give up after so many.
      backtrack: whether Newton's corrections are halved until |f| decreases, for
        guesses far from the root or functions that are not defined everywhere.

    Returns:
      The last x and a `RootInfo`. Failure does not raise; see `converged`.

    Raises:
      ValueError: for an unknown method, max_iterations below 1 or tolerance ≤ 0.

    Example:
      >>> root, info = find_root(lambda x: x**2 - 2, jnp.array([1.0]))
      >>> print(root.round(4), info.converged)
      [1.4142] True
    """
    check_known("method", method, METHODS)
    if not jnp.issubdtype(guess.dtype, jnp.floating):
        raise TypeError(f"guess has dtype {guess.dtype}; expected a floating one.")
    if int(max_iterations) != max_iterations or max_iterations < 1:
        raise ValueError(
            f"max_iterations is {max_iterations}; expected a whole number ≥ 1."
        )
    if tolerance is None:
        eps = float(jnp.finfo(guess.dtype).eps)
        tolerance = eps**0.5 if method == "newton" else 64 * eps
    elif not tolerance > 0:
        raise ValueError(f"tolerance is {tolerance}; expected a number > 0.")

    def newton(f: Callable, x: Array, value: Array) -> Array:
        return jnp.linalg.solve(jax.jacfwd(f)(x), value)

    def search(f: Callable, x: Array) -> tuple[Array, Array, Array]:
        def go_on(state):
            count, _, _, size = state
            return (count < max_iterations) & (size > tolerance)

        def improve(state):
            count, x, value, _ = state
            step = value if method == "fixed_point" else newton(f, x, value)
            step = _halved(f, x, step, value) if backtrack else step
            x = x - step
            # A step that is NaN ends the search: all later ones would be NaN too.
            size = jnp.max(jnp.abs(step)) / (1 + jnp.max(jnp.abs(x)))
            return count + 1, x, f(x), jnp.where(jnp.isnan(size), -1, size)

        far = jnp.full((), jnp.inf, x.dtype)
        start = (jnp.asarray(0), x, f(x), far)
        count, x, _, size = jax.lax.while_loop(go_on, improve, start)
        return x, count, (size >= 0) & (size <= tolerance)

    def corrected(x: Array) -> Array:
        if method == "newton":
            return x - newton(residual, x, residual(x))
        value, tangent = jax.linearize(residual, x)
        solve = functools.partial(_neumann, tolerance=tolerance, limit=max_iterations)
        return x - jax.lax.custom_linear_solve(tangent, value, solve, solve)

    # The values that the residual closes over become arguments, so that the search can
    # stop their gradients, while the corrections below still differentiate by them.
    fixed, closed_over = jax.closure_convert(residual, guess)
    guess, *closed_over = jax.lax.stop_gradient([guess, *closed_over])
    root, count, converged = search(lambda x: fixed(x, *closed_over), guess)
    root = corrected(corrected(jax.lax.stop_gradient(root)))
    worst = jnp.max(jnp.abs(fixed(jax.lax.stop_gradient(root), *closed_over)))
    return root, RootInfo(converged & jnp.isfinite(worst), count, worst)


def _neumann(linear: Callable, rhs: Array, *, tolerance: float, limit: int) -> Array:
    """y with A y = b for a linear map near the identity, by y ← y + (b − A y)."""

    def go_on(state):
        count, y, gap = state
        return (count < limit) & (jnp.max(jnp.abs(gap)) > tolerance * scale(y))

    def scale(y: Array) -> Array:
        return jnp.maximum(jnp.max(jnp.abs(y)), jnp.max(jnp.abs(rhs)))

    def improve(state):
        count, y, gap = state
        y = y + gap
        return count + 1, y, rhs - linear(y)

    return jax.lax.while_loop(go_on, improve, (0, jnp.zeros_like(rhs), rhs))[1]


def _halved(f: Callable, x: Array, step: Array, value: Array) -> Array:
    """The step times the largest of 1, ½, … 2⁻¹⁵ with which |f| decreases."""
    fractions = 0.5 ** jnp.arange(16, dtype=x.dtype)
    sizes = jax.vmap(lambda c: jnp.max(jnp.abs(f(x - c * step))))(fractions)
    sizes = jnp.where(jnp.isfinite(sizes), sizes, jnp.inf)
    falls = sizes < jnp.max(jnp.abs(value))
    first = jnp.where(jnp.any(falls), jnp.argmax(falls), 0)
    return fractions[first] * step
