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


#: Coupled Newton steps at most; each brings an eigenvalue far from one nearer by 2.4.
_NEWTON_STEPS = 64


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
    first = _no_space(start, size, iterations)

    def extend(number: int, known: Krylov) -> Krylov:
        return _extended(product, number, known)

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


def _extended(product: Callable, number: Array | int, known: Krylov) -> Krylov:
    """One more product: column `number` of T, and the vector after it."""
    last = known.basis[number]
    new = product(last)
    middle = last @ new
    for _ in range(2):
        new = new - (known.basis @ new) @ known.basis
    norm = jnp.linalg.norm(new)
    # What is left of a vector inside the space is rounding.
    reach = jnp.abs(middle) + norm
    rounding = 10 * jnp.finfo(new.dtype).eps * reach
    norm = jnp.where(norm > rounding, norm, 0)
    return Krylov(
        known.basis.at[number + 1].set(_unit(new, norm, rounding), mode="drop"),
        known.diagonal.at[number].set(middle),
        known.off.at[number].set(norm),
    )


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
        number, known, pivot, left = carry
        known = _extended(product, number, known)
        # T + μ I = L D Lᵀ row by row: what is left shrinks by off/pivot.
        before = known.off[number - 1]
        coupling = jnp.where(number > 0, before**2 / pivot, 0)
        pivot = known.diagonal[number] + damping - coupling
        left = left * known.off[number] / pivot
        return number + 1, known, pivot, left

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


def damped_solver(gram: Array, damping: Array) -> Callable[[Array], Array]:
    """w ↦ (K + λ I)⁻¹ w by one Cholesky factorization; K of shape (m, m), w (m,)."""
    damped = gram + damping * jnp.eye(gram.shape[0], dtype=gram.dtype)
    factor = jax.scipy.linalg.cho_factor(damped, lower=True)
    return lambda w: jax.scipy.linalg.cho_solve(factor, w.astype(gram.dtype))


def damped_root_solver(root: Array, damping: Array) -> Callable[[Array], Array]:
    """w ↦ (Rᵀ R + λ I)⁻¹ w without squaring R: QR of (R; √λ I); R (k, n), w (n,)."""
    size = root.shape[1]
    shift = jnp.sqrt(damping).astype(root.dtype) * jnp.eye(size, dtype=root.dtype)
    factor = jnp.linalg.qr(jnp.concatenate([root, shift]), mode="r")
    solve = jax.scipy.linalg.solve_triangular
    return lambda w: solve(factor, solve(factor, w.astype(root.dtype), trans="T"))


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
