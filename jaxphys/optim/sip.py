"""Scale-invariant physics: invert the simulator, then teach the network the result.

For a control u and the physics y = P(u), the control that the physics asks for is

    u_new = u + η (P⁻¹(y*; u) − u),

P⁻¹(y*; u) a solution near u; to first order it is u − (∂y/∂u)⁺ r, r = y − y* for sums
of squares. The network is trained by any first-order optimizer on |u − u_new|²,
u_new held fixed (Holl, Koltun & Thuerey, NeurIPS 2022,
https://arxiv.org/abs/2109.15048).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys import linalg, losses
from jaxphys.checks import (
    check_count,
    check_function,
    check_positive,
    check_share,
    checked,
)
from jaxphys.precision import exact
from jaxphys.types import Array

__all__ = ["local_inverse", "sip"]


@checked(
    simulate=check_function,
    objective=check_function,
    step_size=check_positive,
    invert=check_function,
    rcond=check_share,
)
def sip(
    simulate: Callable[[Array, Array], Array],
    objective: Callable[[Array, Array], Array],
    *,
    step_size: float = 1.0,
    rcond: float = 1e-5,
    invert: Callable[[Array, Array, Array], Array] | None = None,
) -> Callable[[Array, tuple[Array, Array]], Array]:
    """The proxy objective |u − stop_gradient(u_new)|² of scale-invariant physics.

    It is an objective on the *network's* outputs, so that
    `make_train_step(model.apply, sip(...), optax.adam(1e-3))` trains by it.

    Args:
      simulate: `simulate(control, inputs) -> outputs`, one sample.
      objective: `objective(outputs, targets) -> scalar`, one sample; its diagonal
        curvature turns ∂ℓ/∂y into a residual, exactly so for (weighted) squares.
      step_size: η; 1 is the true inverse step. The published notebook divides by the
        batch, which makes it η = 2/b.
      rcond: singular values ≤ rcond · σ_max of ∂y/∂u are discarded.
      invert: `invert(control, inputs, targets) -> control`, the solution near a
        control, as in `Problem.invert` or from `local_inverse`; by default the
        first-order one.

    Returns:
      `proxy(control, (inputs, targets)) -> scalar`, one sample.

    Example:
      >>> import jax.numpy as jnp
      >>> double = lambda u, x: 2.0 * u
      >>> squares = lambda y, target: jnp.sum((y - target) ** 2)
      >>> proxy = sip(double, squares)  # from u = 1 to u_new = 3 for y* = 6
      >>> print(round(float(proxy(jnp.ones(1), (jnp.zeros(1), jnp.full(1, 6.0)))), 4))
      4.0

    Reference: Holl, Koltun & Thuerey, Scale-invariant Learning by Physics Inversion,
    NeurIPS 2022, https://arxiv.org/abs/2109.15048.
    """

    def newton(control: Array, inputs: Array, targets: Array) -> Array:
        values, pull = jax.vjp(lambda u: simulate(u, inputs), control)
        jacobian = jax.vmap(lambda e: pull(e)[0])(
            jnp.eye(values.size, dtype=values.dtype)
        )
        residual = losses.newton_residual(objective, values, targets)
        step = linalg.spectral_direction(jacobian, residual, power=-1.0, rcond=rcond)
        return control - step

    solution = newton if invert is None else invert

    @exact
    def proxy(control: Array, goal: tuple[Array, Array]) -> Array:
        fixed = jax.lax.stop_gradient(control)
        step = solution(fixed, *goal) - fixed
        wanted = jax.lax.stop_gradient(fixed + step_size * step)
        return jnp.sum((control - wanted) ** 2)

    return proxy


class _Search(NamedTuple):
    """The state of a search for a control."""

    control: Array
    residual: Array
    damping: Array


@checked(
    simulate=check_function,
    residual=check_function,
    iterations=check_count,
    damping=check_positive,
)
def local_inverse(
    simulate: Callable[[Array, Array], Array],
    *,
    residual: Callable[[Array, Array], Array] | None = None,
    iterations: int = 10,
    damping: float = 1e-3,
) -> Callable[[Array, Array, Array], Array]:
    """A solution of P(u) = y* near a given control, searched for sample by sample.

    Levenberg–Marquardt in the space of the outputs, δ = −Jᵀ (J Jᵀ + μ I)⁻¹ r: of all
    steps that reach as far, the shortest. A step that does not lower |r|² is not taken,
    and μ grows.

    Args:
      simulate: `simulate(control, inputs) -> outputs`, one sample.
      residual: `residual(outputs, targets) -> r`; by default y − y*.
      iterations: steps tried.
      damping: μ at the start, relative to tr(J Jᵀ)/m.

    Returns:
      `invert(control, inputs, targets) -> control`, one sample, to be batched by
      `jax.vmap`. It is not to be differentiated.

    Example:
      >>> invert = local_inverse(lambda u, x: jnp.sin(u))
      >>> print(invert(jnp.array([3.0]), jnp.zeros(1), jnp.array([0.5])).round(4))
      [2.618]
    """
    if iterations < 1 or not damping > 0:
        raise ValueError(
            f"got iterations {iterations}, damping {damping}; expected iterations ≥ 1 "
            "and damping > 0."
        )

    @exact
    def invert(control: Array, inputs: Array, targets: Array) -> Array:
        def missed(u: Array) -> Array:
            outputs = simulate(u, inputs)
            return outputs - targets if residual is None else residual(outputs, targets)

        def step(number: int, at: _Search) -> _Search:
            del number
            slopes = jax.jacrev(missed)(at.control)
            gram = linalg.self_product(slopes)
            shift = at.damping * jnp.trace(gram) / gram.shape[0]
            weights = linalg.damped_solver(gram, shift)(at.residual)
            trial = at.control - slopes.T @ weights
            left = missed(trial)
            better = jnp.sum(left**2) < jnp.sum(at.residual**2)
            return _Search(
                jnp.where(better, trial, at.control),
                jnp.where(better, left, at.residual),
                jnp.clip(at.damping * jnp.where(better, 0.2, 5.0), 1e-9, 1e9),
            )

        first = _Search(control, missed(control), jnp.asarray(damping, control.dtype))
        return jax.lax.fori_loop(0, iterations, step, first).control

    return invert
