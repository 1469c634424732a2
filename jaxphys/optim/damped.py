"""A batch as damped least squares: what the damped Gauss–Newton steps share.

With S² the curvature ∂²ℓ/∂y² of the batch-mean loss (2/b for a mean of sums of squares;
sample by sample a matrix for others, see `weighted`), J̃ = S J, r̃ = S⁻¹ g and
K̃ = J̃ J̃ᵀ, the quadratic model of the loss is

    ℓ(θ + δ) ≈ ℓ(θ) − ½|r̃|² + ½|r̃ + J̃ δ|²,

and its minimizer within reach is δ = −J̃ᵀ (K̃ + μ I)⁻¹ r̃. The damping is kept relative,
μ = λ tr(K̃)/m, so that it does not change with the units of y or θ. Where K̃ is too large
to factorize, products by it solve the same system by conjugate gradients.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxphys import linalg, trees
from jaxphys.optim import routes
from jaxphys.optim.linearise import Linearisation
from jaxphys.optim.weighted import Weighted, roots_of
from jaxphys.types import Array, PyTree

__all__ = ["METHODS", "Form", "LeastSquares", "Solver", "solver"]

METHODS = ("auto", "gram", "qr", "lanczos")


class Form(NamedTuple):
    """A symmetric matrix M = Rᵀ R, as the damped steps use it.

    Attributes:
      apply: w ↦ M w.
      solver: μ ↦ (w ↦ ((M + μ I)⁻¹ w, what it left of w, relatively)).
      trace: tr M.
    """

    apply: Callable[[Array], Array]
    solver: Callable[[Array], Callable[[Array], tuple[Array, Array]]]
    trace: Array


class Solver(NamedTuple):
    """How a damped step solves.

    Attributes:
      plan: how its route is chosen.
      tolerance: of the route "lanczos".
    """

    plan: routes.Routes
    tolerance: float

    def problem(
        self,
        params: PyTree,
        linearisation: Linearisation,
        cotangent: Array,
        curvature: Any,
        memory_limit: int | None,
    ) -> "LeastSquares":
        """The batch's least squares, from g, shape (b, d), and ∂²ℓ/∂y².

        What is not positive of the curvature is cut: see `linalg.positive_roots`.
        """
        wide = linalg.double(trees.check_one_dtype(params))
        roots = roots_of(curvature, cotangent, wide)
        residual = roots.inverse.apply(cotangent.astype(wide)).reshape(-1)
        count = routes.num_params(params)
        route = self.plan.choose(residual.size, count, wide, memory_limit)
        weighted = Weighted(linearisation, roots.root)
        return LeastSquares(weighted, residual, roots.cut, wide, count, route, self)


def solver(
    method: str, iterations: int, tolerance: float, memory_limit: int | None
) -> Solver:
    """These settings, or a ValueError where they are invalid."""
    side = routes.LARGEST_CHOLESKY
    plan = routes.Routes(method, iterations, memory_limit, side).check(METHODS)
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance is {tolerance}; expected a number in [0, 1).")
    return Solver(plan, tolerance)


class LeastSquares(NamedTuple):
    """A batch as the least squares ½|r̃ + J̃ δ|², and the way to solve them.

    Attributes:
      weighted: J̃.
      residual: r̃, shape (m,).
      concave: the share of |g|² along which the objective's curvature is not positive.
      wide: dtype of the solve.
      num_params: P.
      route: by which K̃ or J̃ᵀ J̃ is had.
      solver: its settings.
    """

    weighted: Weighted
    residual: Array
    concave: Array
    wide: jnp.dtype
    num_params: int
    route: str
    solver: Solver

    def in_samples(self) -> tuple[Form, Callable[[Array], PyTree]]:
        """K̃ = J̃ J̃ᵀ, and w ↦ J̃ᵀ w for w of shape (m,).

        J̃ᵀ w comes from the factors of J, which K̃ is made of, or by a reverse pass where
        neither is there.
        """
        if self.route == "lanczos":
            return self._of_products(), self.weighted.vjp
        if self.route == "gram":
            form = self._of_matrix(self.weighted.gram(self.wide))
        else:
            form = self._of_root(self.weighted.dense().T)
        return form, self.weighted.pull

    def in_parameters(self) -> Form:
        """J̃ᵀ J̃, the smaller matrix where parameters are fewer than outputs."""
        if self.route == "gram":
            return self._of_matrix(self.weighted.normal(self.wide))
        return self._of_root(self.weighted.dense())

    def shift(self, damping: Array | float, form: Form) -> Array:
        """μ = λ tr(K̃)/m; the trace of J̃ᵀ J̃ is the same."""
        return damping * form.trace / self.residual.size

    def _exactly(self, solve: Callable[[Array], Array]) -> Callable:
        return lambda w: (solve(w), jnp.zeros((), self.wide))

    def _of_matrix(self, matrix: Array) -> Form:
        return Form(
            lambda w: matrix @ w,
            lambda shift: self._exactly(linalg.damped_solver(matrix, shift)),
            jnp.trace(matrix),
        )

    def _of_root(self, tall: Array) -> Form:
        """From the R of a QR factorization of A, for Aᵀ A.

        Squaring A in single precision would lose half of its few digits.
        """
        root = jnp.linalg.qr(tall, mode="r")
        return Form(
            lambda w: root.T @ (root @ w),
            lambda shift: self._exactly(linalg.damped_root_solver(root, shift)),
            jnp.sum(root**2),
        )

    def _of_products(self) -> Form:
        """K̃ by products alone; its trace is an estimate."""
        apply = self.weighted.product(self.wide)

        def damped(shift: Array) -> Callable[[Array], tuple[Array, Array]]:
            def solve(w: Array) -> tuple[Array, Array]:
                count = min(self.solver.plan.iterations, w.size)
                solved = linalg.lanczos_solve(
                    apply, w, shift, count, self.solver.tolerance
                )
                return solved.solution, solved.residual

            return solve

        trace = linalg.hutchinson_trace(apply, self.residual.size, self.wide)
        return Form(apply, damped, trace)
