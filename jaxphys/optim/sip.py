"""Scale-invariant physics: invert the simulator, then teach the network the result.

For a control u and the physics y = P(u), the control that the physics asks for is

    u_new = u − η (∂y/∂u)⁺ r,    r = y − y* for a sum of squares,

and the network is trained by any first-order optimizer on the proxy |u − u_new|² with
u_new held fixed (Holl, Koltun & Thuerey, NeurIPS 2022, https://arxiv.org/abs/2109.15048).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxphys import linalg, losses
from jaxphys.types import Array


def sip(
    simulate: Callable[[Array, Array], Array],
    objective: Callable[[Array, Array], Array],
    *,
    step_size: float = 1.0,
    rcond: float = 1e-5,
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

    def proxy(control: Array, goal: tuple[Array, Array]) -> Array:
        inputs, targets = goal
        fixed = jax.lax.stop_gradient(control)
        values, pull = jax.vjp(lambda u: simulate(u, inputs), fixed)
        jacobian = jax.vmap(lambda e: pull(e)[0])(
            jnp.eye(values.size, dtype=values.dtype)
        )
        residual = losses.newton_residual(objective, values, targets)
        step = linalg.spectral_direction(jacobian, residual, power=-1.0, rcond=rcond)
        wanted = jax.lax.stop_gradient(fixed - step_size * step)
        return jnp.sum((control - wanted) ** 2)

    return proxy
