"""Fractional powers of a Jacobian, applied to a cotangent.

With the thin SVD J = U Λ Vᵀ, the direction of exponent κ is

    J^κ g = V Λ^κ Uᵀ g = Jᵀ (J Jᵀ)^((κ−1)/2) g,

gradient descent at κ = 1, half-inverse gradients at κ = −1/2 (Schnell, Holl & Thuerey,
ICLR 2022, https://arxiv.org/abs/2203.10131) and Gauss–Newton at κ = −1. The authors
store the exponent with the opposite sign. Only J's smaller side needs a factorization.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys.checks import (
    check_matrix,
    check_number,
    check_numbers,
    check_share,
    check_vector,
    checked,
)
from jaxphys.linalg.small import double, self_product
from jaxphys.names import check_known
from jaxphys.precision import always_exact
from jaxphys.types import Array

__all__ = [
    "METHODS",
    "Spectrum",
    "auto_method",
    "check_rcond",
    "default_rcond",
    "gram_power",
    "gram_rcond",
    "inverse_fourth_root",
    "masked_power",
    "newton_power",
    "quarters",
    "spectral",
    "spectral_direction",
]


METHODS = ("auto", "svd", "qr", "gram")


class Spectrum(NamedTuple):
    """A direction and what its factorization saw.

    Attributes:
      direction: J^κ g, or the coefficients that Jᵀ maps to it.
      rank: how many singular values were kept.
      largest: the largest singular value σ_max.
    """

    direction: Array
    rank: Array
    largest: Array


@checked(
    power=check_number,
    rcond=check_share,
    jacobian=check_numbers,
    cotangent=check_numbers,
)
@always_exact
def spectral_direction(
    jacobian: Array,
    cotangent: Array,
    *,
    power: float,
    rcond: float | None = None,
    method: str = "auto",
) -> Array:
    """The direction J^κ g = V Λ^κ Uᵀ g of a Jacobian with thin SVD J = U Λ Vᵀ.

    Args:
      jacobian: J, shape (m, P), real.
      cotangent: g, shape (m,).
      power: κ; 1 is the gradient Jᵀ g, −1/2 the half-inverse, −1 the pseudo-inverse.
      rcond: singular values ≤ rcond · σ_max are discarded, not clamped; by default
        ε · max(m, P).
      method: "svd" of J; "qr", a QR factorization of the taller side and the SVD of
        its small factor; "gram", eigenvectors of the smaller of J Jᵀ and Jᵀ J in
        float64, which resolves singular values above 1e-7 σ_max or so; "auto", the
        fastest that is right in the precision at hand: the Gram matrix where its
        float64 holds all that J knows, QR otherwise.

    Returns:
      The direction, shape (P,), in J's dtype. A zero Jacobian gives zero.

    Raises:
      ValueError: on shapes, dtypes, `rcond` or `method` that do not fit.

    Do not differentiate through this: derivatives of singular vectors are not finite
    where singular values repeat.

    Example:
      >>> import jax.numpy as jnp
      >>> J, g = jnp.array([[2.0, 0.0], [0.0, 0.5]]), jnp.array([1.0, 1.0])
      >>> print(spectral_direction(J, g, power=-1.0))
      [0.5 2. ]

    Reference: Schnell, Holl & Thuerey, Half-Inverse Gradients for Physical Deep
    Learning, ICLR 2022, https://arxiv.org/abs/2203.10131.
    """
    jacobian, cotangent = jnp.asarray(jacobian), jnp.asarray(cotangent)
    spectrum = spectral(jacobian, cotangent, power=power, rcond=rcond, method=method)
    return spectrum.direction


@checked(
    power=check_number, jacobian=check_matrix, cotangent=check_vector, rcond=check_share
)
@always_exact
def spectral(
    jacobian: Array,
    cotangent: Array,
    *,
    power: float,
    rcond: float | None = None,
    method: str = "auto",
) -> Spectrum:
    """`spectral_direction` with its rank and largest singular value beside it."""
    if jacobian.ndim != 2 or cotangent.shape != jacobian.shape[:1]:
        raise ValueError(
            f"spectral_direction got a Jacobian of shape {jacobian.shape} and a "
            f"cotangent of shape {cotangent.shape}; expected (m, P) and (m,). For a "
            "batch of Jacobians use jax.vmap."
        )
    if not jnp.issubdtype(jacobian.dtype, jnp.floating):
        raise ValueError(
            f"spectral_direction got a Jacobian of dtype {jacobian.dtype}; expected a "
            "real floating dtype. Stack real and imaginary parts of complex outputs."
        )
    check_known("method", method, METHODS)
    if rcond is None:
        rcond = default_rcond(jacobian.dtype, *jacobian.shape)
    check_rcond(rcond)
    if method == "auto":
        method = auto_method(jacobian.dtype, min(jacobian.shape), rcond)
    return _ROUTES[method](jacobian, cotangent, power, rcond)


def auto_method(dtype, smaller_side: int, rcond: float) -> str:
    """The fastest route that is right: a Gram matrix must resolve what J resolves.

    Rounding perturbs J by ε ‖J‖_F ≤ ε √m σ_max at most, so that is what J knows.
    """
    resolved = gram_rcond(double(dtype), smaller_side)
    known = float(jnp.finfo(dtype).eps) * smaller_side**0.5
    return "gram" if resolved <= max(rcond, known) else "qr"


def _from_factors(left, values, right, cotangent, power, rcond) -> Spectrum:
    """V Λ^κ Uᵀ g from thin factors U (m, k), Λ (k,), V (P, k)."""
    largest = jnp.max(values, initial=0)
    keep = values > rcond * largest
    weights = masked_power(values, power, keep)
    direction = right @ (weights * (left.T @ cotangent))
    return Spectrum(direction, jnp.sum(keep), largest)


def _by_svd(jacobian, cotangent, power, rcond) -> Spectrum:
    left, values, right = jnp.linalg.svd(jacobian, full_matrices=False)
    return _from_factors(left, values, right.T, cotangent, power, rcond)


def _by_qr(jacobian, cotangent, power, rcond) -> Spectrum:
    """QR of the taller side first, so that the SVD is of a small square matrix."""
    rows, columns = jacobian.shape
    if rows <= columns:
        q, r = jnp.linalg.qr(jacobian.T)
        left, values, right = jnp.linalg.svd(r.T, full_matrices=False)
        return _from_factors(left, values, q @ right.T, cotangent, power, rcond)
    q, r = jnp.linalg.qr(jacobian)
    left, values, right = jnp.linalg.svd(r, full_matrices=False)
    return _from_factors(q @ left, values, right.T, cotangent, power, rcond)


def _by_gram(jacobian, cotangent, power, rcond) -> Spectrum:
    """Eigenvectors of the smaller of J Jᵀ and Jᵀ J, in double where there is double."""
    rows, columns = jacobian.shape
    wide = jacobian.astype(double(jacobian.dtype))
    if rows <= columns:
        spectrum = gram_power(self_product(wide), cotangent, power, rcond)
        direction = wide.T @ spectrum.direction
    else:
        pulled = wide.T @ cotangent.astype(wide.dtype)
        spectrum = gram_power(self_product(wide.T), pulled, power, rcond)
        direction = spectrum.direction
    return spectrum._replace(
        direction=direction.astype(jacobian.dtype),
        largest=spectrum.largest.astype(jacobian.dtype),
    )


_ROUTES = {"svd": _by_svd, "qr": _by_qr, "gram": _by_gram}


def default_rcond(dtype, rows: int, columns: int) -> float:
    """The cut-off below which a singular value is rounding noise: ε · max(m, P)."""
    return float(jnp.finfo(dtype).eps) * max(rows, columns)


def gram_rcond(dtype, rows: int) -> float:
    """The smallest relative singular value that a Gram matrix in `dtype` resolves.

    Squaring J halves the digits: eigenvalues of J Jᵀ are right to ε · m · σ²_max, so
    singular values are right only above √(ε m) · σ_max.
    """
    return float(jnp.finfo(dtype).eps * rows) ** 0.5


@checked(rcond=check_share)
def check_rcond(rcond: float | Array) -> None:
    """A ValueError for a cut-off outside of [0, 1); a traced one is not checked."""
    if not isinstance(rcond, jax.core.Tracer) and not 0 <= rcond < 1:
        raise ValueError(f"rcond is {rcond}; expected a number in [0, 1).")


def _check_fits(gram: Array, cotangent: Array) -> None:
    size = gram.shape[0]
    if gram.shape != (size, size):
        raise ValueError(f"gram has shape {gram.shape}; expected a square matrix.")
    if cotangent.shape != (size,):
        raise ValueError(
            f"cotangent has shape {cotangent.shape}; expected ({size},), as gram has "
            f"{gram.shape}."
        )


def masked_power(values: Array, power: float, keep: Array) -> Array:
    """`values ** power` where `keep` holds and zero elsewhere, never NaN."""
    # The inner `where` keeps 0 ** negative from being computed at all.
    return jnp.where(keep, jnp.where(keep, values, 1) ** power, 0)


@checked(
    power=check_number, gram=check_matrix, cotangent=check_vector, rcond=check_share
)
@always_exact
def gram_power(gram: Array, cotangent: Array, power: float, rcond: float) -> Spectrum:
    """(J Jᵀ)^((κ−1)/2) g from the Gram matrix: map it back with Jᵀ to get J^κ g.

    Args:
      gram: K = J Jᵀ, shape (m, m), symmetric.
      cotangent: g, shape (m,).
      power: κ.
      rcond: singular values ≤ rcond · σ_max are discarded; never less than what the
        Gram matrix resolves (`gram_rcond`).

    Returns:
      A `Spectrum` whose direction has shape (m,), in the Gram matrix's dtype.
    """
    _check_fits(gram, cotangent)
    eigenvalues, vectors = jnp.linalg.eigh(gram, symmetrize_input=False)
    # Rounding leaves eigenvalues of a positive matrix slightly below zero.
    squares = jnp.maximum(eigenvalues, 0)
    largest = squares[-1]
    resolved = gram_rcond(gram.dtype, gram.shape[0])
    cut = jnp.maximum(jnp.asarray(rcond, gram.dtype), resolved) ** 2
    keep = squares > cut * largest
    weights = masked_power(squares, (power - 1) / 2, keep)
    projected = vectors.T @ cotangent.astype(gram.dtype)
    return Spectrum(vectors @ (weights * projected), jnp.sum(keep), jnp.sqrt(largest))


#: Coupled Newton steps at most; each brings an eigenvalue far from one nearer by 2.4.
_NEWTON_STEPS = 64


@checked(matrix=check_matrix)
@always_exact
def inverse_fourth_root(matrix: Array) -> Array:
    """A^(−1/4) of a symmetric positive definite A, by products of matrices alone.

    X ← X S, M ← S⁴ M with S = (5 I − M)/4 from M = s A, X = s^(1/4) I: M tends to I,
    first linearly, in log(cond A)/0.9 steps or so, then quadratically. Four products a
    step, and no eigenvectors. A relative error of rounding × cond A is left.

    Args:
      matrix: A, shape (m, m).

    Returns:
      Its inverse fourth root, (m, m); not finite where A is not.

    Example:
      >>> print(inverse_fourth_root(jnp.diag(jnp.array([1.0, 16.0]))).round(4))
      [[1.  0. ]
       [0.  0.5]]

    Reference: Guo & Higham, A Schur–Newton method for the matrix pth root and its
    inverse, SIAM J. Matrix Anal. Appl. 28, 2006, section 3.
    """
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"matrix has shape {matrix.shape}; expected a square one.")
    identity = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    # Newton's method converges from eigenvalues in (0, 5).
    scale = 2.5 / jnp.linalg.norm(matrix)
    enough = float(jnp.finfo(matrix.dtype).eps) ** 0.5

    def unfinished(carry):
        _, _, error, number = carry
        return (error > enough) & (number < _NEWTON_STEPS)

    def improve(carry):
        root, near, _, number = carry
        # Of the M that this step leaves behind: its quadratic last step is taken too.
        error = jnp.max(jnp.abs(near - identity))
        step = (5 * identity - near) / 4
        square = step @ step
        return root @ step, square @ (square @ near), error, number + 1

    far = jnp.asarray(jnp.inf, matrix.dtype)
    start = (scale**0.25 * identity, scale * matrix, far, 0)
    return jax.lax.while_loop(unfinished, improve, start)[0]


@checked(power=check_number)
def quarters(power: float) -> int:
    """n of (κ − 1)/2 = −n/4, or a ValueError where κ is not 1 − n/2.

    Example:
      >>> quarters(-0.5), quarters(-1.0)
      (3, 4)
    """
    count = 2 * (1 - power)
    if count < 0 or count != int(count):
        raise ValueError(
            f"power is {power}; the method newton has 1, 1/2, 0, −1/2, −1 and so on."
        )
    return int(count)


@checked(
    power=check_number, gram=check_matrix, cotangent=check_vector, rcond=check_share
)
@always_exact
def newton_power(gram: Array, cotangent: Array, power: float, rcond: float) -> Spectrum:
    """`gram_power` by products of matrices, for devices where eigenvectors are slow.

    With c = rcond · σ_max and X = (K + c² I)^(−1/4) it is (I − c² X⁴) Xⁿ g for
    (κ − 1)/2 = −n/4: truncation is soft. Singular values σ are weighted by

        σ^(κ−1) (1 + c²/σ²)^((κ−3)/2),

    which tends to that of `gram_power` as 1 − (3 − κ)/2 · c²/σ² above c, and to zero
    as σ² below.

    Args:
      gram, cotangent, rcond: as in `gram_power`.
      power: κ, one of 1, 1/2, 0, −1/2, −1, ….

    Returns:
      A `Spectrum`; its rank is Σ σ²/(σ² + c²), rounded, its largest singular value
      that of power iterations.
    """
    _check_fits(gram, cotangent)
    count = quarters(power)
    size = jnp.linalg.norm(gram)
    empty = size == 0
    identity = jnp.eye(gram.shape[0], dtype=gram.dtype)
    scaled = gram / jnp.where(empty, 1, size)
    largest = _largest_eigenvalue(scaled)
    shift = max(rcond, gram_rcond(gram.dtype, gram.shape[0])) ** 2 * largest
    damped = jnp.where(empty, identity, scaled + shift * identity)
    root = inverse_fourth_root(damped)

    def rooted(w: Array, times: int) -> Array:
        for _ in range(times):
            w = root @ w
        return w

    new = rooted(cotangent.astype(gram.dtype), count)
    new = new - shift * rooted(new, 4)
    new = jnp.where(empty, 0, new * size ** (-count / 4))
    # tr X⁴ = |X²|².
    rank = gram.shape[0] - shift * jnp.sum((root @ root) ** 2)
    rank = jnp.where(empty, 0, jnp.round(rank)).astype(jnp.int32)
    return Spectrum(new, rank, jnp.sqrt(largest * size))


def _largest_eigenvalue(matrix: Array, iterations: int = 20) -> Array:
    """Of a symmetric positive matrix, from below, by power iterations."""
    tiny = float(jnp.finfo(matrix.dtype).tiny)

    def turn(_, w: Array) -> Array:
        new = matrix @ w
        return new / jnp.maximum(jnp.linalg.norm(new), tiny)

    # The column of the largest entry has a part along the largest eigenvector.
    start = matrix[:, jnp.argmax(jnp.diagonal(matrix))]
    w = jax.lax.fori_loop(0, iterations, turn, turn(0, start))
    return w @ matrix @ w
