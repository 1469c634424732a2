"""SPRING: damped Gauss–Newton steps that keep what earlier batches asked for.

The least squares are those of `damped`; of all their solutions the one nearest to the
last step is taken (Goldshlager, Abrahamsen & Lin, J. Comput. Phys. 2024,
https://arxiv.org/abs/2401.10190).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxphys import trees
from jaxphys.checks import (
    check_count,
    check_positive,
    check_rate,
    check_share,
    check_some,
    checked,
)
from jaxphys.optim import routes
from jaxphys.optim.damped import solver
from jaxphys.optim.info import StepInfo
from jaxphys.precision import always_exact
from jaxphys.types import Array, PyTree

__all__ = ["SpringState", "spring"]


class SpringState(NamedTuple):
    """SPRING's memory.

    Attributes:
      momentum: φ, the last unscaled step, shaped like the parameters.
      shrink: the factor by which the step bound shortened the last step, in (0, 1].
      info: what is reported: accepted, whether the last step was finite, and concave.
    """

    momentum: PyTree
    shrink: Array
    info: StepInfo


@checked(
    damping=check_positive,
    decay=check_share,
    max_step=check_some,
    iterations=check_count,
    tolerance=check_share,
    memory_limit=check_some,
)
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
    check_rate("learning_rate", learning_rate)
    traced = any(isinstance(x, jax.core.Tracer) for x in (damping, decay, max_step))
    if not traced and (
        (damping is not None and damping <= 0) or not 0 <= decay < 1 or max_step <= 0
    ):
        raise ValueError(
            f"got damping {damping}, decay {decay}, max_step {max_step}; expected "
            "damping > 0, 0 <= decay < 1 and max_step > 0."
        )
    solves = solver(method, iterations, tolerance, memory_limit)

    def init(params):
        one = jnp.ones((), trees.check_one_dtype(params))
        none = jax.tree.map(jnp.zeros_like, params)
        return SpringState(
            none, one, StepInfo(accepted=jnp.array(True), concave=0 * one)
        )

    @always_exact
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
        problem = solves.problem(
            params, linearisation, cotangent, curvature_fn(), memory_limit
        )
        dtype = trees.check_one_dtype(params)
        kept = jax.tree.map(lambda x: decay * x, state.momentum)
        form, pull = problem.in_samples()
        usual = 1e-9 if dtype == jnp.float64 else 1e-7
        shift = problem.shift(usual if damping is None else damping, form)
        moved = linearisation.jvp(kept).reshape(-1).astype(problem.wide)
        already = problem.weighted.weigh(moved)
        weights, _ = form.solver(shift)(-problem.residual - already)
        momentum = optax.tree.add(kept, pull(weights))
        size = optax.tree.norm(momentum)
        reach = max_step * jnp.maximum(optax.tree.norm(params), 1)
        accepted = jnp.isfinite(size)
        shrink = jnp.minimum(1, reach / jnp.where(size > 0, size, 1)).astype(dtype)
        # Zero times what is not finite is not zero: it is replaced, not multiplied.
        step = jax.tree.map(lambda x: jnp.where(accepted, shrink * x, 0), momentum)
        zeros = jax.tree.map(jnp.zeros_like, momentum)
        info = StepInfo(accepted=accepted, concave=problem.concave.astype(dtype))
        return step, SpringState(trees.select(accepted, step, zeros), shrink, info)

    return optax.chain(
        optax.GradientTransformationExtraArgs(init, update),
        optax.scale_by_learning_rate(learning_rate, flip_sign=False),
    )
