"""Powers, solves and traces of a matrix K that is known by its products K w alone.

In the Krylov space span{g, K g, K² g, …} a symmetric K is tridiagonal. A function of K
applied to g then costs as many products as the space has dimensions, and a
factorization of that tiny matrix (Golub & Van Loan, Matrix Computations, chapter 10).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys.checks import (
    check_count,
    check_function,
    check_number,
    check_share,
    check_vector,
    checked,
)
from jaxphys.linalg.spectral import Spectrum, gram_power
from jaxphys.precision import always_exact
from jaxphys.trees import check_dtype
from jaxphys.types import Array

__all__ = [
    "Krylov",
    "Solved",
    "hutchinson_trace",
    "lanczos",
    "lanczos_power",
    "lanczos_solve",
]


class Krylov(NamedTuple):
    """An orthonormal basis of span{g, K g, K² g, …}, and K in it, tridiagonal.

    Attributes:
      basis: rows, (k, m); zero beyond the space's dimension.
      diagonal, off: of the tridiagonal matrix, (k,) and (k,); the last of `off` leads
        out of the space.
    """

    basis: Array
    diagonal: Array
    off: Array


@checked(product=check_function, iterations=check_count, start=check_vector)
@always_exact
def lanczos(product: Callable[[Array], Array], start: Array, iterations: int) -> Krylov:
    """Lanczos' tridiagonalization of a symmetric K, every vector made orthogonal twice.

    Args:
      product: w ↦ K w for w of shape (m,).
      start: g, (m,).
      iterations: k ≤ m, the number of products.

    Example:
      >>> K = jnp.diag(jnp.array([1.0, 2.0, 3.0]))
      >>> space = lanczos(lambda w: K @ w, jnp.ones(3), 3)
      >>> print(jnp.round(space.diagonal.sum(), 4))
      6.0

    Reference: Golub & Van Loan, Matrix Computations, section 10.1.
    """
    size = jnp.linalg.norm(start)
    first = _no_space(start, size, iterations)

    def extend(number: int, space: Krylov) -> Krylov:
        return _extended(product, number, space)

    return jax.lax.fori_loop(0, iterations, extend, first)


def _unit(w: Array, norm: Array, least: Array | float) -> Array:
    tiny = float(jnp.finfo(w.dtype).tiny)
    return jnp.where(norm > least, w / jnp.maximum(norm, tiny), 0)


def _no_space(start: Array, size: Array, iterations: int) -> Krylov:
    """Room for k dimensions, and the first vector of them."""
    zeros = jnp.zeros(iterations, start.dtype)
    basis = jnp.zeros((iterations, start.shape[0]), start.dtype)
    tiny = float(jnp.finfo(start.dtype).tiny)
    return Krylov(basis.at[0].set(_unit(start, size, tiny)), zeros, zeros)


def _extended(product: Callable, number: Array | int, space: Krylov) -> Krylov:
    """One more product: column `number` of T, and the vector after it."""
    last = space.basis[number]
    new = product(last)
    middle = last @ new
    # Once more, as one pass leaves a part along the basis of the size of rounding times
    # what was taken away ("twice is enough").
    for _ in range(2):
        new = new - (space.basis @ new) @ space.basis
    norm = jnp.linalg.norm(new)
    # What is left of a vector inside the space is rounding.
    reach = jnp.abs(middle) + norm
    rounding = 10 * jnp.finfo(new.dtype).eps * reach
    norm = jnp.where(norm > rounding, norm, 0)
    return Krylov(
        space.basis.at[number + 1].set(_unit(new, norm, rounding), mode="drop"),
        space.diagonal.at[number].set(middle),
        space.off.at[number].set(norm),
    )


@checked(
    product=check_function,
    power=check_number,
    iterations=check_count,
    cotangent=check_vector,
    rcond=check_share,
)
@always_exact
def lanczos_power(
    product: Callable[[Array], Array],
    cotangent: Array,
    power: float,
    rcond: float,
    iterations: int,
) -> Spectrum:
    """`gram_power` from products by K alone, in a Krylov space of k dimensions.

    |g| Q f(T) e₁ for K ≈ Q T Qᵀ: exact where g has parts along k eigenvectors only, and
    right along those of large eigenvalues first. What it has not found of the small
    ones is left out, as if by a larger rcond.

    Args:
      product: w ↦ J Jᵀ w.
      cotangent: g, shape (m,).
      power, rcond: as in `gram_power`.
      iterations: k ≤ m.

    Returns:
      A `Spectrum`; its rank is that of T.
    """
    space = lanczos(product, cotangent, iterations)
    inner = space.off[:-1]
    matrix = jnp.diag(space.diagonal) + jnp.diag(inner, 1) + jnp.diag(inner, -1)
    start = jnp.zeros_like(space.diagonal).at[0].set(jnp.linalg.norm(cotangent))
    inside = gram_power(matrix, start, power, rcond)
    return inside._replace(direction=inside.direction @ space.basis)


class Solved(NamedTuple):
    """What conjugate gradients leave.

    Attributes:
      solution: w, (m,).
      residual: |b − (K + μ I) w| / |b|, as the recurrence has it.
      iterations: how many products were taken.
    """

    solution: Array
    residual: Array
    iterations: Array


@checked(product=check_function, iterations=check_count, rhs=check_vector)
@always_exact
def lanczos_solve(
    product: Callable[[Array], Array],
    rhs: Array,
    damping: Array,
    iterations: int,
    tolerance: float,
) -> Solved:
    """(K + μ I)⁻¹ b from products by K alone: conjugate gradients in Lanczos' basis.

    w = |b| Q (T + μ I)⁻¹ e₁ in the Krylov space of b. Of all its vectors it has the
    least error in the norm of K + μ I; every vector is made orthogonal twice, so it
    is as good as exact arithmetic makes it. It ends where the residual, known at each
    step without w, is within the tolerance: after ½ √c ln(2 √c/tolerance) products or
    fewer, c = 1 + σ²_max/μ.

    Args:
      product: w ↦ K w, K symmetric and positive.
      rhs: b, (m,).
      damping: μ > 0.
      iterations: products at most; the basis has as many vectors.
      tolerance: of the residual, relative to |b|.

    Example:
      >>> K = jnp.diag(jnp.array([1.0, 2.0, 3.0]))
      >>> print(lanczos_solve(lambda w: K @ w, jnp.ones(3), 1.0, 3, 1e-6).solution)
      [0.5        0.33333333 0.25      ]

    Reference: Golub & Van Loan, Matrix Computations, section 10.2.
    """
    size = jnp.linalg.norm(rhs)
    damping = jnp.asarray(damping, rhs.dtype)

    def unfinished(carry):
        number, _, _, left = carry
        return (number < iterations) & (left > tolerance)

    def extend(carry):
        number, space, pivot, left = carry
        space = _extended(product, number, space)
        # T + μ I = L D Lᵀ row by row: what is left shrinks by off/pivot.
        before = space.off[number - 1]
        coupling = jnp.where(number > 0, before**2 / pivot, 0)
        pivot = space.diagonal[number] + damping - coupling
        left = left * space.off[number] / pivot
        return number + 1, space, pivot, left

    one = jnp.ones((), rhs.dtype)
    none = jnp.zeros((), jnp.int32)
    empty = _no_space(rhs, size, iterations)
    start = (none, empty, one, jnp.where(size > 0, one, 0))
    count, space, _, left = jax.lax.while_loop(unfinished, extend, start)
    # Rows beyond those that were reached stand alone.
    joined = jnp.where(jnp.arange(iterations) < count - 1, space.off, 0)
    first = jnp.zeros(iterations, rhs.dtype).at[0].set(size)
    inside = jax.lax.linalg.tridiagonal_solve(
        jnp.roll(joined, 1).at[0].set(0),
        space.diagonal + damping,
        joined.at[-1].set(0),
        first[:, None],
    )[:, 0]
    return Solved(inside @ space.basis, left, count)


@checked(
    product=check_function, size=check_count, probes=check_count, dtype=check_dtype
)
@always_exact
def hutchinson_trace(
    product: Callable[[Array], Array], size: int, dtype, probes: int = 8
) -> Array:
    """tr K, estimated: the mean of zᵀ K z over vectors z of random signs.

    Its relative standard deviation is √(2/(n r)) at most, for n probes and an effective
    rank r = (tr K)²/|K|². The signs are the same at every call.

    Example:
      >>> K = jnp.diag(jnp.array([1.0, 2.0, 3.0], jnp.float32))
      >>> print(hutchinson_trace(lambda w: K @ w, 3, jnp.float32))
      6.0

    Reference: Hutchinson, Commun. Stat. Simul. Comput. 18, 1989.
    """
    signs = jax.random.rademacher(jax.random.key(0), (probes, size), dtype)

    def add(number: int, total: Array) -> Array:
        return total + signs[number] @ product(signs[number])

    return jax.lax.fori_loop(0, probes, add, jnp.zeros((), dtype)) / probes
