"""Damped Gauss–Newton steps, from one linear solve in sample space.

With S² the curvature ∂²ℓ/∂y² of the batch-mean loss (diagonal; 2/b for a mean of sums
of squares), J̃ = S J, r̃ = S⁻¹ g and K̃ = J̃ J̃ᵀ, the quadratic model of the loss is

    ℓ(θ + δ) ≈ ℓ(θ) − ½|r̃|² + ½|r̃ + J̃ δ|²,

and its minimizer within reach is δ = −J̃ᵀ (K̃ + μ I)⁻¹ r̃. The damping is kept relative,
μ = λ tr(K̃)/m, so that it does not change with the units of y or θ. Where K̃ is too large
to factorize, products by it solve the same system by conjugate gradients.

Parameters that the outputs hardly depend on lie along narrow curved valleys. A straight
step leaves one after a short way; the geodesic acceleration

    δ₂ = −½ J̃ᵀ (K̃ + μ I)⁻¹ S y″,    y″ = ∂²y(θ + t δ)/∂t² at t = 0,

bends it along, from the same factorization (Transtrum & Sethna, Improvements to the
Levenberg–Marquardt algorithm for nonlinear least-squares minimization, 2012,
https://arxiv.org/abs/1201.5885).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxphys import linalg, trees
from jaxphys.optim import routes
from jaxphys.optim.factors import pull_back
from jaxphys.types import Array, PyTree

METHODS = ("auto", "gram", "qr", "lanczos")

#: The bend of steps that are bent, as recommended by Transtrum and Sethna.
USUAL_BEND = 0.75


class DampedState(NamedTuple):
    """Levenberg–Marquardt's memory.

    Attributes:
      damping: λ, relative to tr(K̃)/m.
      accepted: whether the last step was taken.
      gain_ratio: the last step's actual over its predicted reduction of the loss.
      unsolved: what was left of the right-hand side, relative to it, by the route
        "lanczos"; zero of a factorization.
      concave: share of the outputs whose curvature was not positive.
      bend: 2 |δ₂|/|δ| of the last step tried.
    """

    damping: Array
    accepted: Array
    gain_ratio: Array
    unsolved: Array
    concave: Array
    bend: Array


class _Solve(NamedTuple):
    """How the damped steps solve, and where they do otherwise.

    Attributes:
      method: one of `METHODS`.
      iterations, tolerance: of "lanczos".
      memory_limit: bytes that "auto" may take.
    """

    method: str
    iterations: int
    tolerance: float
    memory_limit: int | None

    def check(self) -> "_Solve":
        """These settings, or a ValueError where they cannot be meant."""
        routes.check(self.method, METHODS, self.iterations)
        if not 0 <= self.tolerance < 1:
            raise ValueError(
                f"tolerance is {self.tolerance}; expected a number in [0, 1)."
            )
        return self

    def route(self, rows: int, num_columns: int, wide, limit: int | None) -> str:
        """The method for a batch of that size, under a limit in place of its own."""
        if self.method != "auto":
            return self.method
        return routes.chosen_route(
            rows,
            num_columns,
            iterations=self.iterations,
            memory_limit=self.memory_limit if limit is None else limit,
            wide=wide == jnp.float64,
            largest_side=routes.LARGEST_CHOLESKY,
        )


class _Form(NamedTuple):
    """A symmetric matrix M = Rᵀ R, as the damped steps use it.

    Attributes:
      apply: w ↦ M w.
      solver: μ ↦ (w ↦ ((M + μ I)⁻¹ w, what it left of w, relatively)).
      trace: tr M.
    """

    apply: Callable[[Array], Array]
    solver: Callable[[Array], Callable[[Array], tuple[Array, Array]]]
    trace: Array


def _form(linearisation, scale: Array, sample_side: bool, wide, route: str) -> _Form:
    """K̃ = J̃ J̃ᵀ or J̃ᵀ J̃ as a matrix, or as the R of a QR factorization of J̃.

    Squaring J̃ in single precision would lose half of its few digits.
    """

    def exact(solve: Callable[[Array], Array]):
        return lambda w: (solve(w), jnp.zeros((), wide))

    if route == "gram":
        if sample_side:
            matrix = linearisation.gram(wide) * scale[:, None] * scale[None, :]
        else:
            rows = scale.reshape(linearisation.values.shape)
            matrix = linearisation.normal(wide, rows)
        return _Form(
            lambda w: matrix @ w,
            lambda shift: exact(linalg.damped_solver(matrix, shift)),
            jnp.trace(matrix),
        )
    jacobian = linearisation.jacobian() * scale[:, None]
    root = jnp.linalg.qr(jacobian.T if sample_side else jacobian, mode="r")
    return _Form(
        lambda w: root.T @ (root @ w),
        lambda shift: exact(linalg.damped_root_solver(root, shift)),
        jnp.sum(root**2),
    )


def _form_of_products(linearisation, scale: Array, wide, solve: _Solve) -> _Form:
    """K̃ by products alone; its trace is an estimate."""
    product = linearisation.product(wide)

    def apply(w: Array) -> Array:
        return scale * product(scale * w)

    def solver(shift: Array):
        def solved(w: Array) -> tuple[Array, Array]:
            count = min(solve.iterations, w.size)
            found = linalg.lanczos_solve(apply, w, shift, count, solve.tolerance)
            return found.solution, found.residual

        return solved

    return _Form(apply, solver, linalg.hutchinson_trace(apply, scale.size, wide))


class _Step(NamedTuple):
    """The damped step, and what the quadratic model says of it.

    Attributes:
      step: δ.
      predicted: by how much the loss should fall.
      unsolved: as in `DampedState`.
      respond: `respond(y) -> −J̃ᵀ (K̃ + μ I)⁻¹ S y`, the damped step that changes the
        outputs by −y, shape (b, d).
    """

    step: PyTree
    predicted: Array
    unsolved: Array
    respond: Callable[[Array], PyTree]


def _in_samples(linearisation, scale, wide, solve: _Solve, route: str):
    """K̃, and Jᵀ w for w of shape (m,): without factors of J where it has none."""
    if route == "lanczos":
        shape = linearisation.values.shape
        return (
            _form_of_products(linearisation, scale, wide, solve),
            lambda w: linearisation.vjp(w.reshape(shape)),
        )
    factors = linearisation.factors()
    form = _form(linearisation, scale, True, wide, route)
    return form, lambda w: pull_back(factors, w)


def _sample_side(linearisation, scale, residual, damping, wide, solve, route) -> _Step:
    """The step from K̃ (m × m): J̃ δ is known without another product by J."""
    form, pull = _in_samples(linearisation, scale, wide, solve, route)
    solve_damped = form.solver(damping * form.trace / scale.size)
    weights, unsolved = solve_damped(residual)
    change = -form.apply(weights)
    predicted = -(residual @ change + 0.5 * change @ change)

    def respond(y: Array) -> PyTree:
        return pull(-scale * solve_damped(scale * y.reshape(-1))[0])

    return _Step(pull(-scale * weights), predicted, unsolved, respond)


def _parameter_side(linearisation, scale, gradient, damping, wide, route) -> _Step:
    """The same step from J̃ᵀ J̃ (P × P), for fewer parameters than outputs."""
    flat, unravel = trees.ravel(gradient)
    pulled = flat.astype(wide)
    form = _form(linearisation, scale, False, wide, route)
    solve_damped = form.solver(damping * form.trace / scale.size)
    weights, unsolved = solve_damped(pulled)
    step = -weights
    predicted = -(pulled @ step + 0.5 * step @ form.apply(step))

    def respond(y: Array) -> PyTree:
        squares = (scale**2).reshape(y.shape)
        asked, _ = trees.ravel(linearisation.vjp(squares * y))
        return unravel(-solve_damped(asked)[0].astype(flat.dtype))

    return _Step(unravel(step.astype(flat.dtype)), predicted, unsolved, respond)


def _bent(linearisation, model: _Step) -> tuple[PyTree, Array]:
    """δ + δ₂, and 2 |δ₂|/|δ|; δ alone where y has no forward derivatives."""
    try:
        second = linearisation.bend(model.step)
    except (TypeError, NotImplementedError):  # custom_vjp
        return model.step, jnp.zeros((), linearisation.values.dtype)
    turn = jax.tree.map(lambda x: x / 2, model.respond(second))
    size = optax.tree.norm(model.step)
    bend = 2 * optax.tree.norm(turn) / jnp.where(size > 0, size, 1)
    return optax.tree.add(model.step, turn), bend


class _Scaled(NamedTuple):
    """S and r̃ = S⁻¹ g, both of shape (m,), and the share of S² that was replaced."""

    scale: Array
    residual: Array
    concave: Array


def _scaled(curvature: Array, cotangent: Array, wide) -> _Scaled:
    """Where S² is not positive it is 1/b: ½|y|² in place of what has no minimum."""
    positive = curvature > 0
    squares = jnp.where(positive, curvature, 1 / curvature.shape[0])
    scale = jnp.sqrt(squares.reshape(-1).astype(wide))
    residual = cotangent.reshape(-1).astype(wide) / scale
    return _Scaled(scale, residual, jnp.mean(~positive, dtype=curvature.dtype))


def levenberg_marquardt(
    *,
    damping: float = 1.0,
    min_damping: float = 1e-12,
    max_damping: float = 1e6,
    decrease: float = 3.0,
    increase: float = 2.0,
    max_bend: float | None = None,
    method: str = "auto",
    iterations: int = 100,
    tolerance: float = 1e-6,
    memory_limit: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Levenberg–Marquardt: δ = −J̃ᵀ (J̃ J̃ᵀ + μ I)⁻¹ r̃, μ by the gain ratio.

    The gain ratio ρ compares the loss's actual reduction on the batch with the model's
    prediction. A step with ρ ≤ 0, or a non-finite one, is rejected: the update is zero
    and λ grows by `increase` squared. An accepted step lets λ fall by `decrease` where
    ρ > ¾ and grow by `increase` where ρ < ¼.

    Args:
      damping: λ at the start, relative to tr(J̃ J̃ᵀ)/m, hence free of units. From 1 the
        first steps are short, and it takes six of them to reach 1e-3.
      min_damping, max_damping: bounds of λ.
      decrease, increase: factors, both > 1; a rejection multiplies by increase².
      max_bend: with a number, 0.75 say, the step is bent along the outputs' curvature,
        δ + δ₂, and rejected where 2 |δ₂|/|δ| is larger; None for straight steps. Bent
        ones go further along narrow valleys, as where a Lagrangian is learned from
        clean data; far from a minimum straight ones are as good. It takes two forward
        derivatives of y; where there are none (custom_vjp), steps are straight.
      method: "gram" factorizes the smaller of J̃ J̃ᵀ (built without J̃) and J̃ᵀ J̃; "qr"
        forms J̃; "lanczos" has products by J̃ J̃ᵀ alone (`linalg.lanczos_solve`), for
        outputs and parameters too many for a matrix of them: the step it takes is the
        best in a space of that many products, its λ is relative to an estimated trace,
        and the gain ratio judges it by what it promises itself; "auto" is "lanczos"
        above a side of 2048 or the memory limit, else "gram" with x64 on and "qr" with
        x64 off.
      iterations: products of "lanczos", at most.
      tolerance: of "lanczos": what may be left of r̃, relative to it. The state's
        `unsolved` tells what was.
      memory_limit: bytes that "auto" may take for matrices or a Krylov basis.

    Extras of `update`:
      linearisation: the batch's `linearise(outputs, params, inputs)`.
      cotangent: g = ∂ℓ/∂y, shape (b, d), of the batch-mean loss ℓ.
      curvature_fn: `curvature_fn() -> (b, d)`, the diagonal of ∂²ℓ/∂y². An entry that
        is not positive is replaced by 1/b, and counted in the state's `concave`: the
        model is then of another objective, and only the gain ratio keeps the step
        honest. State such an objective as a sum of squares, as
        `losses.infidelity_residual` does the infidelity.
      value, value_fn: ℓ(θ), and ℓ as a function of the parameters on this batch.
      memory_limit: in place of the one above, where it is not None.

    Returns:
      An optax transformation. Its update is the step itself, with no learning rate;
      chain it with `optax.clip_by_global_norm` or `optax.scale` where wanted, knowing
      that the gain ratio judges the step before these.

    Example:
      >>> tx = levenberg_marquardt(damping=1e-3)

    References: Levenberg 1944; Marquardt 1963; Madsen, Nielsen & Tingleff, Methods for
    Non-Linear Least Squares Problems, DTU 2004, section 3.2.
    """
    if not 0 < min_damping <= damping <= max_damping:
        raise ValueError(
            f"got damping {damping} with bounds {min_damping} and {max_damping}; "
            "expected 0 < min_damping <= damping <= max_damping."
        )
    if decrease <= 1 or increase <= 1:
        raise ValueError(f"decrease {decrease} and increase {increase} must exceed 1.")
    if max_bend is not None and max_bend <= 0:
        raise ValueError(f"max_bend is {max_bend}; expected a number > 0, or None.")
    solve = _Solve(method, iterations, tolerance, memory_limit).check()

    def init(params):
        dtype = trees.check_one_dtype(params)
        one = jnp.ones((), dtype)
        none = 0 * one
        return DampedState(damping * one, jnp.array(True), one, none, none, none)

    def update(
        updates,
        state,
        params=None,
        *,
        linearisation=None,
        cotangent=None,
        curvature_fn=None,
        value=None,
        value_fn=None,
        memory_limit=None,
        **extras,
    ):
        del extras
        routes.require(
            "levenberg_marquardt",
            params=params,
            linearisation=linearisation,
            cotangent=cotangent,
            curvature_fn=curvature_fn,
            value=value,
            value_fn=value_fn,
        )
        dtype = trees.check_one_dtype(params)
        wide = linalg.double(dtype)
        scale, residual, concave = _scaled(curvature_fn(), cotangent, wide)
        relative = state.damping.astype(wide)
        count = routes.num_params(params)
        route = solve.route(scale.size, count, wide, memory_limit)
        known = (linearisation, scale)
        if scale.size <= count or route == "lanczos":
            model = _sample_side(*known, residual, relative, wide, solve, route)
        else:
            model = _parameter_side(*known, updates, relative, wide, route)
        step, bend = model.step, jnp.zeros((), dtype)
        if max_bend is not None:
            step, bend = _bent(linearisation, model)
        trial = value_fn(optax.apply_updates(params, step))
        ratio = (value - trial).astype(wide) / model.predicted
        accepted = jnp.isfinite(trial) & (ratio > 0) & (model.predicted > 0)
        if max_bend is not None:
            accepted &= bend <= max_bend
        factor = jnp.where(ratio > 0.75, 1 / decrease, 1.0)
        factor = jnp.where(ratio < 0.25, increase, factor)
        factor = jnp.where(accepted, factor, increase**2)
        new = jnp.clip(relative * factor, min_damping, max_damping)
        step = trees.select(accepted, step, jax.tree.map(jnp.zeros_like, step))
        ratio = jnp.where(accepted, ratio, 0)
        seen = (ratio, model.unsolved, concave, bend)
        return step, DampedState(
            new.astype(dtype), accepted, *(x.astype(dtype) for x in seen)
        )

    return optax.GradientTransformationExtraArgs(init, update)


class SpringState(NamedTuple):
    """SPRING's memory.

    Attributes:
      momentum: φ, the last unscaled step, shaped like the parameters.
      shrink: the factor by which the step bound shortened the last step, in (0, 1].
      accepted: whether the last step was finite.
      concave: share of the outputs whose curvature was not positive.
    """

    momentum: PyTree
    shrink: Array
    accepted: Array
    concave: Array


def spring(
    learning_rate: optax.ScalarOrSchedule = 1.0,
    *,
    damping: float | None = None,
    decay: float = 0.9,
    max_step: float = 0.01,
    method: str = "auto",
    iterations: int = 100,
    tolerance: float = 1e-6,
    memory_limit: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    """SPRING: φ ← μφ + J̃ᵀ (J̃ J̃ᵀ + λ I)⁻¹ (−r̃ − μ J̃ φ), θ ← θ + η φ.

    The Kaczmarz idea: of all steps that solve this batch's (damped) least squares,
    take the one nearest to the last step, so that what earlier batches asked for is
    kept. Unbounded it can run away; here |φ| is at most `max_step` times the larger of
    |θ| and 1, and a step that is not finite is dropped together with its momentum.

    Args:
      learning_rate: η, a number or an optax schedule; 1 is the full step.
      damping: λ, relative to tr(J̃ J̃ᵀ)/m; by default 1e-9 for float64 parameters and
        1e-7 for others, as less lets rounding in r̃ through.
      decay: μ, in [0, 1); 0 is damped Gauss–Newton.
      max_step: bound of |φ| / max(|θ|, 1).
      method, iterations, tolerance, memory_limit: see `levenberg_marquardt`. Where λ is
        as small as here, "lanczos" ends by its iterations, and those are what damps.

    These numbers may be traced, as `optax.inject_hyperparams` has them.

    Extras of `update`: linearisation, cotangent, curvature_fn, memory_limit, as in
    `levenberg_marquardt`.

    Example:
      >>> tx = spring(learning_rate=1.0, damping=1e-7, decay=0.9)

    References: Goldshlager, Abrahamsen & Lin, A Kaczmarz-inspired approach to
    accelerate the optimization of neural network wavefunctions, J. Comput. Phys. 2024,
    https://arxiv.org/abs/2401.10190; for physics-informed networks
    https://arxiv.org/abs/2505.12149.
    """
    traced = any(isinstance(x, jax.core.Tracer) for x in (damping, decay, max_step))
    if not traced and (
        (damping is not None and damping <= 0) or not 0 <= decay < 1 or max_step <= 0
    ):
        raise ValueError(
            f"got damping {damping}, decay {decay}, max_step {max_step}; expected "
            "damping > 0, 0 <= decay < 1 and max_step > 0."
        )
    solve = _Solve(method, iterations, tolerance, memory_limit).check()

    def init(params):
        dtype = trees.check_one_dtype(params)
        one = jnp.ones((), dtype)
        none = jax.tree.map(jnp.zeros_like, params)
        return SpringState(none, one, jnp.array(True), 0 * one)

    def update(
        updates,
        state,
        params=None,
        *,
        linearisation=None,
        cotangent=None,
        curvature_fn=None,
        memory_limit=None,
        **extras,
    ):
        del updates, extras
        routes.require(
            "spring",
            params=params,
            linearisation=linearisation,
            cotangent=cotangent,
            curvature_fn=curvature_fn,
        )
        dtype = trees.check_one_dtype(params)
        wide = linalg.double(dtype)
        scale, residual, concave = _scaled(curvature_fn(), cotangent, wide)
        kept = jax.tree.map(lambda x: decay * x, state.momentum)
        count = routes.num_params(params)
        route = solve.route(scale.size, count, wide, memory_limit)
        form, pull = _in_samples(linearisation, scale, wide, solve, route)
        usual = 1e-9 if dtype == jnp.float64 else 1e-7
        shift = (usual if damping is None else damping) * form.trace / scale.size
        already = scale * linearisation.jvp(kept).reshape(-1).astype(wide)
        weights, _ = form.solver(shift)(-residual - already)
        new = pull(scale * weights)
        momentum = optax.tree.add(kept, new)
        size = optax.tree.norm(momentum)
        reach = max_step * jnp.maximum(optax.tree.norm(params), 1)
        accepted = jnp.isfinite(size)
        shrink = jnp.minimum(1, reach / jnp.where(size > 0, size, 1)).astype(dtype)
        step = jax.tree.map(lambda x: jnp.where(accepted, shrink * x, 0), momentum)
        zeros = jax.tree.map(jnp.zeros_like, momentum)
        return step, SpringState(
            trees.select(accepted, step, zeros), shrink, accepted, concave.astype(dtype)
        )

    return optax.chain(
        optax.GradientTransformationExtraArgs(init, update),
        optax.scale_by_learning_rate(learning_rate, flip_sign=False),
    )
