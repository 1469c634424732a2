"""The accelerations of a Lagrangian network by the formula as it was published.

q̈ = (∇_v∇_vᵀ L)⁺ [∇_q L − (∇_q∇_vᵀ L) v], with a Hessian, a Jacobian of a Jacobian and
a pseudo-inverse (Cranmer et al., Lagrangian Neural Networks, 2020, eq. 6): the peer of
the acceleration benchmark.
"""

import jax
import jax.numpy as jnp


def acceleration(lagrangian):
    """`a(params, q, v)` of a Lagrangian L(params, q, v)."""

    def accelerate(params, q, v):
        mass = jax.hessian(lagrangian, 2)(params, q, v)
        mixed = jax.jacobian(jax.jacobian(lagrangian, 2), 1)(params, q, v)
        push = jax.grad(lagrangian, 1)(params, q, v) - mixed @ v
        return jnp.linalg.pinv(mass) @ push

    return accelerate
