"""Fractional powers of a Jacobian, applied to a cotangent.

With the thin SVD J = U Λ Vᵀ, the direction of exponent κ is

    J^κ g = V Λ^κ Uᵀ g = Jᵀ (J Jᵀ)^((κ−1)/2) g,

gradient descent at κ = 1, half-inverse gradients at κ = −1/2 (Schnell, Holl & Thuerey,
ICLR 2022, https://arxiv.org/abs/2203.10131) and Gauss–Newton at κ = −1. The authors
store the exponent with the opposite sign. Only J's smaller side needs a factorization.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxphys.types import Array, PyTree

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


def double(dtype) -> jnp.dtype:
    """The widest real type at hand for `dtype`: float64 with x64 on, else `dtype`."""
    return jnp.promote_types(dtype, jax.dtypes.canonicalize_dtype(jnp.float64))


#: Sides up to this are multiplied whole; a product of two of these is worth its call.
_WHOLE = 512


def self_product(rows: Array) -> Array:
    """A Aᵀ of A of shape (m, k): each entry below the diagonal is computed once.

    Example:
      >>> print(self_product(jnp.array([[1.0, 2.0], [0.0, 1.0]])))
      [[5. 2.]
       [2. 1.]]
    """
    size = rows.shape[0]
    if size <= _WHOLE:
        return rows @ rows.T
    first, second = rows[: size // 2], rows[size // 2 :]
    mixed = second @ first.T
    return jnp.block([[self_product(first), mixed.T], [mixed, self_product(second)]])


def default_rcond(dtype, rows: int, columns: int) -> float:
    """The cut-off below which a singular value is rounding noise: ε · max(m, P)."""
    return float(jnp.finfo(dtype).eps) * max(rows, columns)


def gram_rcond(dtype, rows: int) -> float:
    """The smallest relative singular value that a Gram matrix in `dtype` resolves.

    Squaring J halves the digits: eigenvalues of J Jᵀ are right to ε · m · σ²_max, so
    singular values are right only above √(ε m) · σ_max.
    """
    return float(jnp.finfo(dtype).eps * rows) ** 0.5


def check_rcond(rcond: float | Array) -> None:
    """A ValueError for a cut-off outside of [0, 1); one that is traced passes."""
    if not isinstance(rcond, jax.core.Tracer) and not 0 <= rcond < 1:
        raise ValueError(f"rcond is {rcond}; expected a number in [0, 1).")


def masked_power(values: Array, power: float, keep: Array) -> Array:
    """`values ** power` where `keep` holds and zero elsewhere, never NaN."""
    return jnp.where(keep, jnp.where(keep, values, 1) ** power, 0)


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
    eigenvalues, vectors = jnp.linalg.eigh(gram, symmetrize_input=False)
    squares = jnp.maximum(eigenvalues, 0)
    largest = squares[-1]
    resolved = gram_rcond(gram.dtype, gram.shape[0])
    cut = jnp.maximum(jnp.asarray(rcond, gram.dtype), resolved) ** 2
    keep = squares > cut * largest
    weights = masked_power(squares, (power - 1) / 2, keep)
    projected = vectors.T @ cotangent.astype(gram.dtype)
    return Spectrum(vectors @ (weights * projected), jnp.sum(keep), jnp.sqrt(largest))


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


def lanczos(product: Callable[[Array], Array], start: Array, iterations: int) -> Krylov:
    """Lanczos' tridiagonalization of a symmetric K, every vector made orthogonal twice.

    Args:
      product: w ↦ K w for w of shape (m,).
      start: g, (m,).
      iterations: k ≤ m, the number of products.

    Example:
      >>> K = jnp.diag(jnp.array([1.0, 2.0, 3.0]))
      >>> found = lanczos(lambda w: K @ w, jnp.ones(3), 3)
      >>> print(jnp.round(found.diagonal.sum(), 4))
      6.0

    Reference: Golub & Van Loan, Matrix Computations, section 10.1.
    """
    size = jnp.linalg.norm(start)
    tiny = float(jnp.finfo(start.dtype).tiny)

    def unit(w: Array, norm: Array, least: Array | float) -> Array:
        return jnp.where(norm > least, w / jnp.maximum(norm, tiny), 0)

    def extend(number: int, known: Krylov) -> Krylov:
        last = known.basis[number]
        new = product(last)
        middle = last @ new
        for _ in range(2):
            new = new - (known.basis @ new) @ known.basis
        norm = jnp.linalg.norm(new)
        # What is left of a vector inside the space is rounding.
        reach = jnp.abs(middle) + norm
        rounding = 10 * jnp.finfo(start.dtype).eps * reach
        norm = jnp.where(norm > rounding, norm, 0)
        return Krylov(
            known.basis.at[number + 1].set(unit(new, norm, rounding), mode="drop"),
            known.diagonal.at[number].set(middle),
            known.off.at[number].set(norm),
        )

    zeros = jnp.zeros(iterations, start.dtype)
    basis = jnp.zeros((iterations, start.shape[0]), start.dtype)
    first = Krylov(basis.at[0].set(unit(start, size, tiny)), zeros, zeros)
    return jax.lax.fori_loop(0, iterations, extend, first)


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
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; known: {', '.join(METHODS)}.")
    if rcond is None:
        rcond = default_rcond(jacobian.dtype, *jacobian.shape)
    check_rcond(rcond)
    if method == "auto":
        method = auto_method(jacobian.dtype, min(jacobian.shape), rcond)
    return _ROUTES[method](jacobian, cotangent, power, rcond)


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


def auto_method(dtype, smaller_side: int, rcond: float) -> str:
    """The fastest route that is right: a Gram matrix must resolve what J resolves.

    Rounding perturbs J by ε ‖J‖_F ≤ ε √m σ_max at most, so that is what J knows.
    """
    resolved = gram_rcond(double(dtype), smaller_side)
    known = float(jnp.finfo(dtype).eps) * smaller_side**0.5
    return "gram" if resolved <= max(rcond, known) else "qr"


def damped_solve(gram: Array, rhs: Array, damping: Array) -> Array:
    """(K + λ I)⁻¹ rhs by Cholesky factorization; K of shape (m, m), rhs (m,)."""
    damped = gram + damping * jnp.eye(gram.shape[0], dtype=gram.dtype)
    factor = jax.scipy.linalg.cho_factor(damped, lower=True)
    return jax.scipy.linalg.cho_solve(factor, rhs.astype(gram.dtype))


def damped_root_solve(root: Array, rhs: Array, damping: Array) -> Array:
    """(Rᵀ R + λ I)⁻¹ rhs without squaring R: QR of (R; √λ I); R (k, n), rhs (n,)."""
    size = root.shape[1]
    shift = jnp.sqrt(damping).astype(root.dtype) * jnp.eye(size, dtype=root.dtype)
    factor = jnp.linalg.qr(jnp.concatenate([root, shift]), mode="r")
    half = jax.scipy.linalg.solve_triangular(factor, rhs.astype(root.dtype), trans="T")
    return jax.scipy.linalg.solve_triangular(factor, half)


def ravel(tree: PyTree):
    """Flatten a pytree of real arrays of one dtype: the vector and its inverse.

    Raises:
      ValueError: where the leaves have several dtypes, which would be promoted
        silently, or one that is not real floating.
    """
    check_one_dtype(tree)
    return ravel_pytree(tree)


def all_finite(tree: PyTree) -> Array:
    """Whether every entry of every array of a pytree is finite.

    Example:
      >>> import jax.numpy as jnp
      >>> print(all_finite({"x": jnp.ones(2), "y": jnp.array(jnp.nan)}))
      False
    """
    leaves = jax.tree.leaves(tree)
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))


def check_one_dtype(tree: PyTree) -> jnp.dtype:
    """The one real floating dtype of all leaves of `tree`, or a ValueError."""
    dtypes = sorted({str(jnp.result_type(leaf)) for leaf in jax.tree.leaves(tree)})
    if len(dtypes) != 1 or not jnp.issubdtype(jnp.dtype(dtypes[0]), jnp.floating):
        raise ValueError(
            f"parameters have dtypes {dtypes}; expected one real floating dtype. Cast "
            "with jax.tree.map(lambda leaf: leaf.astype(dtype), params)."
        )
    return jnp.dtype(dtypes[0])


def symmetric_solve(matrix: Array, rhs: Array, *, positive: bool = False) -> Array:
    """M⁻¹ b for a symmetric matrix, in closed form up to 3 × 3.

    Args:
      matrix: M, shape (n, n), symmetric.
      rhs: b, shape (n,) or (n, k).
      positive: whether M is positive definite by construction, so that a Cholesky
        factorization serves above 3 × 3; otherwise LU with pivots.

    Returns:
      The solution, of b's shape; not finite where M is singular.

    Example:
      >>> import jax.numpy as jnp
      >>> matrix = jnp.array([[2.0, 1.0], [1.0, 2.0]])
      >>> print(symmetric_solve(matrix, jnp.array([3.0, 0.0])))
      [ 2. -1.]
    """
    size = matrix.shape[-1]
    if size == 1:
        return rhs / matrix[0, 0]
    if size == 2:
        (a, b), (_, d) = matrix
        return jnp.stack([d * rhs[0] - b * rhs[1], a * rhs[1] - b * rhs[0]]) / (
            a * d - b * b
        )
    if size == 3:
        (a, b, c), (_, d, e), (_, _, f) = matrix
        first = jnp.stack([d * f - e * e, c * e - b * f, b * e - c * d])
        second = jnp.stack([a * f - c * c, b * c - a * e])
        last = a * d - b * b
        determinant = a * first[0] + b * first[1] + c * first[2]
        x, y, z = rhs
        solution = [
            first[0] * x + first[1] * y + first[2] * z,
            first[1] * x + second[0] * y + second[1] * z,
            first[2] * x + second[1] * y + last * z,
        ]
        return jnp.stack(solution) / determinant
    if positive:
        factor = jax.scipy.linalg.cho_factor(matrix, lower=True)
        return jax.scipy.linalg.cho_solve(factor, rhs)
    return jnp.linalg.solve(matrix, rhs)


def cyclic_solve(diagonal: Array, off: Array, rhs: Array) -> Array:
    """M⁻¹ b for a symmetric tridiagonal matrix closed to a ring, in linear time.

    M has diagonal[i] at (i, i), and off[i] at (i, i + 1) and (i + 1, i), the last of
    them in the corners; it is a tridiagonal matrix and one of rank one.

    Args:
      diagonal, off, rhs: shape (n,), n ≥ 3.

    Returns:
      The solution, (n,); not finite where M is singular, and without pivots inaccurate
      where it is far from positive definite.

    Example:
      >>> import jax.numpy as jnp
      >>> ring = cyclic_solve(jnp.full(4, 4.0), jnp.ones(4), jnp.array([6.0, 0, 6, 0]))
      >>> print(jnp.round(ring, 6))
      [ 2. -1.  2. -1.]
    """
    corner = off[-1]
    first = -diagonal[0]
    # M = T + u wᵀ with u = (first, 0 …, corner), w = (1, 0 …, corner / first).
    changed = diagonal.at[0].add(-first).at[-1].add(-(corner**2) / first)
    zero = jnp.zeros((1,), diagonal.dtype)
    lower, upper = (
        jnp.concatenate([zero, off[:-1]]),
        jnp.concatenate([off[:-1], zero]),
    )
    border = jnp.zeros_like(rhs).at[0].set(first).at[-1].set(corner)
    both = jax.lax.linalg.tridiagonal_solve(
        lower, changed, upper, jnp.stack([rhs, border], axis=1)
    )
    x, y = both[:, 0], both[:, 1]
    ratio = corner / first
    return x - y * (x[0] + ratio * x[-1]) / (1 + y[0] + ratio * y[-1])
