"""Damped Gauss–Newton steps, from one Cholesky factorization in sample space.

With S² the curvature ∂²ℓ/∂y² of the batch-mean loss (diagonal; 2/b for a mean of sums
of squares), J̃ = S J, r̃ = S⁻¹ g and K̃ = J̃ J̃ᵀ, the quadratic model of the loss is

    ℓ(θ + δ) ≈ ℓ(θ) − ½|r̃|² + ½|r̃ + J̃ δ|²,

and its minimizer within reach is δ = −J̃ᵀ (K̃ + μ I)⁻¹ r̃. The damping is kept relative,
μ = λ tr(K̃)/m, so that it does not change with the units of y or θ.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxphys import linalg
from jaxphys.optim.linearise import pull_back
from jaxphys.optim.spectral import num_params, require
from jaxphys.types import Array, PyTree


class DampedState(NamedTuple):
    """Levenberg–Marquardt's memory.

    Attributes:
      damping: λ, relative to tr(K̃)/m.
      accepted: whether the last step was taken.
      gain_ratio: the last step's actual over its predicted reduction of the loss.
    """

    damping: Array
    accepted: Array
    gain_ratio: Array


class _Form(NamedTuple):
    """A symmetric matrix M = Rᵀ R, as the damped steps use it.

    Attributes:
      apply: w ↦ M w.
      solve: (w, μ) ↦ (M + μ I)⁻¹ w.
      trace: tr M.
    """

    apply: Callable[[Array], Array]
    solve: Callable[[Array, Array], Array]
    trace: Array


def _form(linearisation, scale: Array, sample_side: bool, wide) -> _Form:
    """K̃ = J̃ J̃ᵀ or J̃ᵀ J̃: formed in double precision, by QR of J̃ where there is none.

    Squaring J̃ in single precision would lose half of its few digits.
    """
    if wide == jnp.float64:
        if sample_side:
            matrix = linearisation.gram(wide) * scale[:, None] * scale[None, :]
        else:
            rows = scale.reshape(linearisation.values.shape)
            matrix = linearisation.normal(wide, rows)
        return _Form(
            lambda w: matrix @ w,
            lambda w, shift: linalg.damped_solve(matrix, w, shift),
            jnp.trace(matrix),
        )
    jacobian = linearisation.jacobian() * scale[:, None]
    root = jnp.linalg.qr(jacobian.T if sample_side else jacobian, mode="r")
    return _Form(
        lambda w: root.T @ (root @ w),
        lambda w, shift: linalg.damped_root_solve(root, w, shift),
        jnp.sum(root**2),
    )


class _Model(NamedTuple):
    """The damped step and what the quadratic model says of it."""

    step: PyTree
    predicted: Array


def _sample_side(linearisation, scale, residual, damping, wide) -> _Model:
    """The step from K̃ (m × m): J̃ δ is known without another product by J."""
    form = _form(linearisation, scale, True, wide)
    weights = form.solve(residual, damping * form.trace / scale.size)
    change = -form.apply(weights)
    step = pull_back(linearisation.factors(), -scale * weights)
    return _Model(step, -(residual @ change + 0.5 * change @ change))


def _parameter_side(linearisation, scale, gradient, damping, wide) -> _Model:
    """The same step from J̃ᵀ J̃ (P × P), for fewer parameters than outputs."""
    flat, unravel = linalg.ravel(gradient)
    pulled = flat.astype(wide)
    form = _form(linearisation, scale, False, wide)
    step = -form.solve(pulled, damping * form.trace / scale.size)
    predicted = -(pulled @ step + 0.5 * step @ form.apply(step))
    return _Model(unravel(step.astype(flat.dtype)), predicted)


def _scaled(curvature: Array, cotangent: Array, wide) -> tuple[Array, Array]:
    """S and r̃ = S⁻¹ g, both of shape (m,)."""
    scale = jnp.sqrt(curvature.reshape(-1).astype(wide))
    return scale, cotangent.reshape(-1).astype(wide) / scale


def _select(condition: Array, yes: PyTree, no: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def levenberg_marquardt(
    *,
    damping: float = 1.0,
    min_damping: float = 1e-12,
    max_damping: float = 1e6,
    decrease: float = 3.0,
    increase: float = 2.0,
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

    Extras of `update`:
      linearisation: the batch's `linearise(outputs, params, inputs)`.
      cotangent: g = ∂ℓ/∂y, shape (b, d), of the batch-mean loss ℓ.
      curvature_fn: `curvature_fn() -> (b, d)`, the positive diagonal of ∂²ℓ/∂y².
      value, value_fn: ℓ(θ), and ℓ as a function of the parameters on this batch.

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

    def init(params):
        dtype = linalg.check_one_dtype(params)
        return DampedState(
            jnp.asarray(damping, dtype), jnp.array(True), jnp.ones((), dtype)
        )

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
        **extras,
    ):
        del extras
        require(
            "levenberg_marquardt",
            params=params,
            linearisation=linearisation,
            cotangent=cotangent,
            curvature_fn=curvature_fn,
            value=value,
            value_fn=value_fn,
        )
        dtype = linalg.check_one_dtype(params)
        wide = linalg.double(dtype)
        scale, residual = _scaled(curvature_fn(), cotangent, wide)
        relative = state.damping.astype(wide)
        if scale.size <= num_params(params):
            model = _sample_side(linearisation, scale, residual, relative, wide)
        else:
            model = _parameter_side(linearisation, scale, updates, relative, wide)
        trial = value_fn(optax.apply_updates(params, model.step))
        ratio = (value - trial).astype(wide) / model.predicted
        accepted = jnp.isfinite(trial) & (ratio > 0) & (model.predicted > 0)
        factor = jnp.where(ratio > 0.75, 1 / decrease, 1.0)
        factor = jnp.where(ratio < 0.25, increase, factor)
        factor = jnp.where(accepted, factor, increase**2)
        new = jnp.clip(relative * factor, min_damping, max_damping)
        step = _select(accepted, model.step, jax.tree.map(jnp.zeros_like, model.step))
        return step, DampedState(
            new.astype(dtype), accepted, jnp.where(accepted, ratio, 0).astype(dtype)
        )

    return optax.GradientTransformationExtraArgs(init, update)


class SpringState(NamedTuple):
    """SPRING's memory.

    Attributes:
      momentum: φ, the last unscaled step, shaped like the parameters.
      shrink: the factor by which the step bound shortened the last step, in (0, 1].
      accepted: whether the last step was finite.
    """

    momentum: PyTree
    shrink: Array
    accepted: Array


def spring(
    learning_rate: optax.ScalarOrSchedule = 1.0,
    *,
    damping: float | None = None,
    decay: float = 0.9,
    max_step: float = 0.01,
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

    These numbers may be traced, as `optax.inject_hyperparams` has them.

    Extras of `update`: linearisation, cotangent, curvature_fn, as in
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

    def init(params):
        dtype = linalg.check_one_dtype(params)
        return SpringState(
            jax.tree.map(jnp.zeros_like, params), jnp.ones((), dtype), jnp.array(True)
        )

    def update(
        updates,
        state,
        params=None,
        *,
        linearisation=None,
        cotangent=None,
        curvature_fn=None,
        **extras,
    ):
        del updates, extras
        require(
            "spring",
            params=params,
            linearisation=linearisation,
            cotangent=cotangent,
            curvature_fn=curvature_fn,
        )
        dtype = linalg.check_one_dtype(params)
        wide = linalg.double(dtype)
        scale, residual = _scaled(curvature_fn(), cotangent, wide)
        kept = jax.tree.map(lambda x: decay * x, state.momentum)
        form = _form(linearisation, scale, True, wide)
        usual = 1e-9 if dtype == jnp.float64 else 1e-7
        shift = (usual if damping is None else damping) * form.trace / scale.size
        already = scale * linearisation.jvp(kept).reshape(-1).astype(wide)
        weights = form.solve(-residual - already, shift)
        new = pull_back(linearisation.factors(), scale * weights)
        momentum = optax.tree.add(kept, new)
        size = optax.tree.norm(momentum)
        reach = max_step * jnp.maximum(optax.tree.norm(params), 1)
        accepted = jnp.isfinite(size)
        shrink = jnp.minimum(1, reach / jnp.where(size > 0, size, 1)).astype(dtype)
        step = jax.tree.map(lambda x: jnp.where(accepted, shrink * x, 0), momentum)
        zeros = jax.tree.map(jnp.zeros_like, momentum)
        return step, SpringState(_select(accepted, step, zeros), shrink, accepted)

    return optax.chain(
        optax.GradientTransformationExtraArgs(init, update),
        optax.scale_by_learning_rate(learning_rate, flip_sign=False),
    )
