"""Lagrangian networks: a scalar network of position and velocity is the Lagrangian.

L_θ(q, v) takes the place of an analytic Lagrangian everywhere. The equations of Euler
and Lagrange give accelerations in any coordinates, without measured momenta, and the
energy v·∂L/∂v − L is conserved along the motion, for any weights.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from jaxphys import mechanics
from jaxphys.checks import check_count, check_not_negative, checked
from jaxphys.models.adapters import as_model
from jaxphys.models.coordinates import Normalization, check_smooth, coordinates, network
from jaxphys.models.networks import LAGRANGIAN
from jaxphys.precision import exact
from jaxphys.types import (
    Array,
    Dynamics,
    Lagrangian,
    Model,
    PyTree,
    TangentState,
    VectorField,
    check_pair,
)

__all__ = ["REGULARIZATION", "lagrangian_dynamics", "lnn"]

#: ε of ½ ε |ṽ|²: with it the mass matrix of fresh weights is regular.
REGULARIZATION = 1.0


@checked(num_coordinates=check_count, regularization=check_not_negative)
def lnn(
    num_coordinates: int,
    *,
    periodic: Sequence[bool] | None = None,
    normalization: Normalization | None = None,
    own: Any = None,
    activation: str = "softplus",
    kernel_init: str = LAGRANGIAN,
    regularization: float = REGULARIZATION,
    **options,
) -> Model:
    """A Lagrangian network L_θ(q, v) = E [l_θ(q̃, ṽ) + ½ ε |ṽ|²].

    Args:
      num_coordinates: n, the size of q and of v.
      periodic: one bool per coordinate: angles enter as (cos q, sin q).
      normalization: units of q and v, and of their rates in place of those of q and p.
      own: a network of your own, from n + n numbers, one more for each angle, to one: a
        Model, or a module of equinox, nnx or linen.
      activation: of the perceptron; it must have second derivatives. Accelerations
        are made of these, and softplus does better than tanh.
      kernel_init: of the perceptron; "lagrangian" is made for this.
      regularization: ε ≥ 0. Accelerations do not change when L is multiplied by a
        number, so ε sets the scale of the learned mass matrix, not its error.
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
    space = coordinates(num_coordinates, periodic, normalization)
    size = space.num_features + num_coordinates
    options |= {"activation": activation, "kernel_init": kernel_init}
    scalar = network(size, own=own, **options)
    unit = space.units.energy()

    @exact
    def lagrangian(params: PyTree, q: Array, v: Array) -> Array:
        check_pair("the Lagrangian network", "v", q, v)
        speed = space.momentum(v)
        inner = scalar.apply(params, jnp.concatenate([space.position(q), speed]))[0]
        return unit * (inner + regularization * (speed @ speed) / 2)

    return Model(scalar.init, lagrangian)


def lagrangian_dynamics(model: Any) -> Dynamics:
    """The motion of a Lagrangian model, to be learned.

    Args:
      model: its `apply(params, q, v)` is a Lagrangian. If it is `positive`, M is solved
        by a Cholesky factorization; if it has a density, as `lattice` does, in linear
        time. Or your own module of equinox, nnx or linen, called as `module(q, v)`.

    Returns:
      A `Dynamics` over `TangentState`; its energy is v·∂L/∂v − L, its inverse the
      external force that gives an acceleration.

    Example:
      >>> lagrangian_dynamics(lnn(1, hidden=(8,))).state.__name__
      'TangentState'
    """
    model = as_model(model, what="the Lagrangian")
    density = model.parts.get("density")
    if density is None:
        field = mechanics.lagrangian_vector_field(model.apply, positive=model.positive)
    else:
        field = _lattice_field(density)
    return Dynamics(
        model.init,
        field,
        TangentState,
        mechanics.energy(model.apply),
        inverse=mechanics.inverse_dynamics(model.apply),
        lagrangian=model.apply,
    )


def _lattice_field(density: Lagrangian) -> VectorField:
    accelerate = mechanics.lattice_acceleration(density)

    @exact
    def field(t: Array, y: TangentState, params: PyTree) -> TangentState:
        del t
        return TangentState(y.v, accelerate(params, *y))

    return field
