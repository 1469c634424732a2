"""Levenberg–Marquardt: damped Gauss–Newton steps whose damping follows their success.

The step is that of `damped`. Parameters that the outputs hardly depend on lie along
narrow curved valleys. A straight step leaves one after a short way; the geodesic
acceleration

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

from jaxphys import trees
from jaxphys.checks import (
    check_count,
    check_number,
    check_positive,
    check_share,
    check_some,
    checked,
)
from jaxphys.optim import routes
from jaxphys.optim.damped import LeastSquares, solver
from jaxphys.optim.info import StepInfo
from jaxphys.optim.linearise import Linearisation
from jaxphys.precision import always_exact
from jaxphys.types import Array, PyTree

__all__ = ["USUAL_BEND", "DampedState", "levenberg_marquardt"]

#: The bend of steps that are bent, as recommended by Transtrum and Sethna.
USUAL_BEND = 0.75


class DampedState(NamedTuple):
    """Levenberg–Marquardt's memory.

    Attributes:
      damping: λ of the next step, relative to tr(K̃)/m.
      gain_ratio: the last step's actual over its predicted reduction of the loss.
      unsolved: what was left of the right-hand side, relative to it, by the route
        "lanczos"; zero of a factorization.
      bend: 2 |δ₂|/|δ| of the last step tried.
      info: what is reported: damping, accepted, concave.
    """

    damping: Array
    gain_ratio: Array
    unsolved: Array
    bend: Array
    info: StepInfo


@checked(
    damping=check_number,
    min_damping=check_positive,
    max_damping=check_some,
    decrease=check_positive,
    increase=check_positive,
    max_bend=check_some,
    iterations=check_count,
    tolerance=check_share,
    memory_limit=check_some,
)
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
      curvature_fn: `curvature_fn()` gives ∂²ℓ/∂y² as `linalg.Blocks`; or its diagonal,
        (b, d), or its matrices, (b, d, d), as arrays. What is not positive of it is
        cut. The reported `concave` is the share of |g|² along directions that have
        lost their curvature so: the model does not know how far to go there, takes the
        batch's mean curvature, and only the gain ratio keeps the step honest. State
        such an objective as a sum of squares, as `losses.infidelity_residual` does the
        infidelity.
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
    rule = _Rule(min_damping, max_damping, decrease, increase).check(damping)
    if max_bend is not None and not max_bend > 0:
        raise ValueError(f"max_bend is {max_bend}; expected a number > 0, or None.")
    solves = solver(method, iterations, tolerance, memory_limit)

    def init(params):
        one = jnp.ones((), trees.check_one_dtype(params))
        info = StepInfo(
            damping=damping * one, accepted=jnp.array(True), concave=0 * one
        )
        return DampedState(damping * one, one, 0 * one, 0 * one, info)

    @always_exact
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
        problem = solves.problem(
            params, linearisation, cotangent, curvature_fn(), memory_limit
        )
        dtype, wide = trees.check_one_dtype(params), problem.wide
        relative = state.damping.astype(wide)
        model = _damped_step(problem, updates, relative)
        step, bend = model.step, jnp.zeros((), dtype)
        if max_bend is not None:
            step, bend = _bent(linearisation, model)
        trial = value_fn(optax.apply_updates(params, step))
        ratio = (value - trial).astype(wide) / model.predicted
        # A ratio of two negative numbers is positive: the model must promise a gain.
        accepted = jnp.isfinite(trial) & (ratio > 0) & (model.predicted > 0)
        if max_bend is not None:
            accepted &= bend <= max_bend
        new = rule.after(relative, ratio, accepted)
        step = trees.select(accepted, step, jax.tree.map(jnp.zeros_like, step))
        ratio = jnp.where(accepted, ratio, 0)
        seen = (new, ratio, model.unsolved, problem.concave, bend)
        new, ratio, unsolved, concave, bend = (x.astype(dtype) for x in seen)
        info = StepInfo(damping=new, accepted=accepted, concave=concave)
        return step, DampedState(new, ratio, unsolved, bend, info)

    return optax.GradientTransformationExtraArgs(init, update)


class _Rule(NamedTuple):
    """How λ follows the gain ratio: its bounds, and the factors of a change."""

    smallest: float
    largest: float
    decrease: float
    increase: float

    def check(self, damping: float) -> "_Rule":
        """This rule, or a ValueError where it is invalid."""
        if not 0 < self.smallest <= damping <= self.largest:
            raise ValueError(
                f"got damping {damping} with bounds {self.smallest} and "
                f"{self.largest}; expected 0 < min_damping <= damping <= max_damping."
            )
        if not (self.decrease > 1 and self.increase > 1):
            raise ValueError(
                f"decrease {self.decrease} and increase {self.increase} must exceed 1."
            )
        return self

    def after(self, damping: Array, ratio: Array, accepted: Array) -> Array:
        """λ of the next step."""
        factor = jnp.where(ratio > 0.75, 1 / self.decrease, 1.0)
        factor = jnp.where(ratio < 0.25, self.increase, factor)
        factor = jnp.where(accepted, factor, self.increase**2)
        return jnp.clip(damping * factor, self.smallest, self.largest)


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


def _damped_step(problem: LeastSquares, gradient: PyTree, damping: Array) -> _Step:
    """The step from the smaller of K̃ and J̃ᵀ J̃; by products it is always from K̃."""
    fewer_outputs = problem.residual.size <= problem.num_params
    if fewer_outputs or problem.route == "lanczos":
        return _sample_side(problem, damping)
    return _parameter_side(problem, gradient, damping)


def _sample_side(problem: LeastSquares, damping: Array) -> _Step:
    """The step from K̃ (m × m): J̃ δ is known without another product by J."""
    form, pull = problem.in_samples()
    residual = problem.residual
    solve = form.solver(problem.shift(damping, form))
    weights, unsolved = solve(residual)
    change = -form.apply(weights)
    predicted = -(residual @ change + 0.5 * change @ change)

    def respond(y: Array) -> PyTree:
        asked = problem.weighted.weigh(y.reshape(-1))
        return pull(-solve(asked)[0])

    return _Step(pull(-weights), predicted, unsolved, respond)


def _parameter_side(problem: LeastSquares, gradient: PyTree, damping: Array) -> _Step:
    """The same step from J̃ᵀ J̃ (P × P), for fewer parameters than outputs."""
    flat, unravel = trees.ravel(gradient)
    pulled = flat.astype(problem.wide)
    form = problem.in_parameters()
    solve = form.solver(problem.shift(damping, form))
    weights, unsolved = solve(pulled)
    step = -weights
    predicted = -(pulled @ step + 0.5 * step @ form.apply(step))

    def respond(y: Array) -> PyTree:
        weighted = problem.weighted
        asked, _ = trees.ravel(weighted.vjp(weighted.weigh(y.reshape(-1))))
        return unravel(-solve(asked)[0].astype(flat.dtype))

    return _Step(unravel(step.astype(flat.dtype)), predicted, unsolved, respond)


def _bent(linearisation: Linearisation, model: _Step) -> tuple[PyTree, Array]:
    """δ + δ₂, and 2 |δ₂|/|δ|; δ alone where y has no forward derivatives."""
    try:
        second = linearisation.bend(model.step)
    except (TypeError, NotImplementedError):  # custom_vjp
        return model.step, jnp.zeros((), linearisation.values.dtype)
    turn = jax.tree.map(lambda x: x / 2, model.respond(second))
    size = optax.tree.norm(model.step)
    bend = 2 * optax.tree.norm(turn) / jnp.where(size > 0, size, 1)
    return optax.tree.add(model.step, turn), bend
