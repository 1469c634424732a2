"""Lagrangian networks of fields: one density, shared by all bonds of a ring of nodes.

L = Σ ℓ_θ(uᵢ, uᵢ₊₁, u̇ᵢ, u̇ᵢ₊₁): a few weights for any number of nodes, and a motion that
costs no more than linear time in it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxphys.checks import check_not_negative, check_positive, checked
from jaxphys.models.coordinates import check_smooth, network
from jaxphys.models.lnn import REGULARIZATION
from jaxphys.models.networks import LAGRANGIAN
from jaxphys.precision import exact
from jaxphys.types import Array, Model, PyTree, check_pair

__all__ = ["FieldUnits", "lattice"]


class FieldUnits(NamedTuple):
    """Typical sizes of a field, of its slope and of its velocity."""

    field: float = 1.0
    slope: float = 1.0
    velocity: float = 1.0


_ONE = FieldUnits()


@checked(spacing=check_positive, regularization=check_not_negative)
def lattice(
    spacing: float = 1.0,
    *,
    units: FieldUnits = _ONE,
    activation: str = "softplus",
    kernel_init: str = LAGRANGIAN,
    regularization: float = REGULARIZATION,
    own: Any = None,
    **options,
) -> Model:
    """A Lagrangian network of a field on a ring of nodes.

    The network of a bond sees the field in its middle, its slope and both velocities.

    Args:
      spacing: the distance of two nodes.
      units: what the network's inputs are divided by.
      activation, kernel_init, regularization, own, options: those of `lnn`; a network
        of your own takes four numbers.

    Returns:
      A Model whose `apply(params, q, v) -> scalar` is a Lagrangian, with the part
      density(params, q, v) of one bond, for q, v of shape (2,). By it
      `lagrangian_dynamics` finds accelerations in linear time.

    Raises:
      ValueError: for a spacing that is not positive, unknown names, or ReLU.

    Example:
      >>> model = lattice(0.1, hidden=(8,))
      >>> params = model.init(jax.random.key(0))
      >>> model.apply(params, jnp.ones(5), jnp.zeros(5)).shape
      ()

    Reference: Cranmer et al., Lagrangian Neural Networks, 2020, section 4.3.
    """
    check_smooth(activation, "a Lagrangian")
    if not spacing > 0:
        raise ValueError(f"spacing is {spacing}; expected a number above zero.")
    options |= {"activation": activation, "kernel_init": kernel_init}
    scalar = network(4, own=own, **options)

    @exact
    def density(params: PyTree, q: Array, v: Array) -> Array:
        slope = (q[1] - q[0]) / (spacing * units.slope)
        middle = (q[0] + q[1]) / (2 * units.field)
        speed = v / units.velocity
        features = jnp.concatenate([jnp.stack([middle, slope]), speed])
        return scalar.apply(params, features)[0] + regularization * (speed @ speed) / 4

    @exact
    def lagrangian(params: PyTree, q: Array, v: Array) -> Array:
        check_pair("the lattice network", "v", q, v)
        bonds = (jnp.stack([x, jnp.roll(x, -1)], axis=1) for x in (q, v))
        return jnp.sum(jax.vmap(density, (None, 0, 0))(params, *bonds))

    return Model(scalar.init, lagrangian, {"density": density})
