"""Lagrangian networks: a scalar network of position and velocity is the Lagrangian.

L_θ(q, v) takes the place of an analytic Lagrangian everywhere. The equations of Euler
and Lagrange make accelerations of it in any coordinates, with no momenta measured, and
its energy v·∂L/∂v − L is conserved along them, whatever the weights.
"""

from collections.abc import Sequence

import jax.numpy as jnp

from jaxphys import mechanics
from jaxphys.models.coordinates import (
    Normalization,
    check_smooth,
    coordinates,
    network,
)
from jaxphys.models.networks import LAGRANGIAN
from jaxphys.types import Array, Dynamics, Model, PyTree, TangentState, check_pair

#: ε of ½ ε |ṽ|²: with it the mass matrix of fresh weights is regular.
REGULARIZATION = 1.0


def lnn(
    num_coordinates: int,
    *,
    periodic: Sequence[bool] | None = None,
    wrapped: bool = False,
    normalization: Normalization | None = None,
    own: Model | None = None,
    activation: str = "softplus",
    kernel_init: str = LAGRANGIAN,
    regularization: float = REGULARIZATION,
    **options,
) -> Model:
    """A Lagrangian network L_θ(q, v) = E [l_θ(q̃, ṽ) + ½ ε |ṽ|²].

    Args:
      num_coordinates: n, the size of q and of v.
      periodic: one bool a coordinate: angles enter as (cos q, sin q).
      wrapped: whether angles enter as numbers in [−π, π) in their place, where L jumps
        from one end to the other; to compare with.
      normalization: units of q and v, and of their rates in place of those of momenta.
      own: a network of your own: a Model that takes n + n numbers, one more for each
        angle, to one.
      activation: of the perceptron; it must have second derivatives, and here even they
        are what is learned from: softplus does better than tanh.
      kernel_init: of the perceptron; `lagrangian` is made for this.
      regularization: ε ≥ 0. What L is multiplied by is free, so that ε sets the scale
        of the learned mass matrix rather than its error.
      options: hidden and dtype of the perceptron.

    Returns:
      A Model whose `apply(params, q, v) -> scalar` is a Lagrangian.

    Raises:
      ValueError: for sizes that do not fit, unknown names, or ReLU.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = lnn(2, periodic=(True, True), hidden=(16, 16))
      >>> accelerate = mechanics.acceleration(model.apply)
      >>> accelerate(model.init(jax.random.key(0)), jnp.ones(2), jnp.zeros(2)).shape
      (2,)

    Reference: Cranmer et al., Lagrangian Neural Networks, 2020,
    https://arxiv.org/abs/2003.04630.
    """
    check_smooth(activation, "a Lagrangian")
    if regularization < 0:
        raise ValueError(f"regularization is {regularization}; expected ≥ 0.")
    space = coordinates(num_coordinates, periodic, normalization, wrapped=wrapped)
    size = space.num_features + num_coordinates
    options |= {"activation": activation, "kernel_init": kernel_init}
    scalar = network(size, own=own, **options)
    unit = space.units.energy()

    def lagrangian(params: PyTree, q: Array, v: Array) -> Array:
        check_pair("the Lagrangian network", "v", q, v)
        speed = space.momentum(v)
        inner = scalar.apply(params, jnp.concatenate([space.position(q), speed]))[0]
        return unit * (inner + regularization * (speed @ speed) / 2)

    return Model(scalar.init, lagrangian)


def lagrangian_dynamics(model: Model, *, positive: bool = False) -> Dynamics:
    """The motion of a Lagrangian model, to be learned.

    Args:
      model: its `apply(params, q, v)` is a Lagrangian.
      positive: whether its mass matrix is positive definite by construction.

    Returns:
      A `Dynamics` over `TangentState`; its energy is v·∂L/∂v − L, its inverse the force
      from outside that gives an acceleration.

    Example:
      >>> lagrangian_dynamics(lnn(1, hidden=(8,))).state.__name__
      'TangentState'
    """
    return Dynamics(
        model.init,
        mechanics.lagrangian_vector_field(model.apply, positive=positive),
        TangentState,
        mechanics.energy(model.apply),
        inverse=mechanics.inverse_dynamics(model.apply),
        lagrangian=model.apply,
    )
