"""A Lagrangian network by the formula as it was published, in JAX.

q̈ = (∇_v∇_vᵀ L)⁺ [∇_q L − (∇_q∇_vᵀ L) v], with a Hessian, a Jacobian of a Jacobian and
a pseudo-inverse (Cranmer et al., Lagrangian Neural Networks, 2020, eq. 6): the peer of
the benchmarks acceleration and lnn_step.
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


def network(params, q, v):
    """L of q and v as they are: a perceptron of softplus units, and ½ |v|².

    Args:
      params: kernels and biases, layer by layer.
      q, v: shape (n,).
    """
    *hidden, (kernel, bias) = params
    x = jnp.concatenate([q, v])
    for weights, shift in hidden:
        x = jax.nn.softplus(x @ weights + shift)
    return (x @ kernel + bias)[0] + v @ v / 2


def loss(params, q, v, a):
    """The mean squared error of accelerations over a batch."""
    ours = jax.vmap(acceleration(network), (None, 0, 0))(params, q, v)
    return jnp.mean((ours - a) ** 2)
